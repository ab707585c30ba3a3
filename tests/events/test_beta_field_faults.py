"""Every field of every beta client event, spoilt: a refusal that names the place, or a GA event.

Nothing else may come out of the codec, whatever a frame holds; what it makes of a frame is an
event that a client of the GA protocol could have sent.
"""

import json
from functools import cache
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue import events as ev
from duologue.errors import Refusal
from duologue.events.beta import Beta
from duologue.events.beta_client import BETA_CLIENT_EVENTS
from events.spoilt import SPOILT, Path, frames, places, shown, with_value

OLD_FORMS: list[dict[str, Any]] = [
    {
        "type": "session.update",
        "session": {"tool_choice": {"type": "function", "function": {"name": "clock"}}},
    },
    {
        "type": "response.create",
        "response": {
            "tool_choice": {"type": "function", "function": {"name": "clock"}},
            "input": [
                {
                    "type": "message",
                    "role": "user",
                    "content": [{"type": "item_reference", "id": "item_1"}],
                },
                {"type": "message", "role": "assistant", "content": [{"type": "text", "text": ""}]},
            ],
        },
    },
    {
        "type": "conversation.item.create",
        "item": {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "audio", "text": "Hi"}, {"type": "text", "text": "Hi"}],
        },
    },
]
"""Forms that are rewritten before anything is judged by type, and so show in no type."""

PLACES: list[tuple[Path, dict[str, Any]]] = [
    place for kind in BETA_CLIENT_EVENTS.values() for place in frames(kind)
] + [(path, frame) for frame in OLD_FORMS for path, _ in places(frame, ())]

WORDS = sorted({path[-1] for path, _ in PLACES if isinstance(path[-1], str)}) + [
    "message", "item_reference", "text", "audio", "function", "server_vad", "pcm16", "user",
]  # fmt: skip

WRONG = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.sampled_from(WORDS),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(WORDS) | st.text("ab.[]$`", max_size=3), inner, max_size=4
        )
    ),
    max_leaves=12,
)
"""Any JSON, and often with the protocol's own keys and words in it."""


def verdict(text: str, strict: bool) -> Refusal | ev.ClientEvent:
    try:
        return Beta(strict=strict).decode(text)
    except Refusal as refusal:
        return refusal


@cache
def is_whole(text: str, strict: bool) -> bool:
    return not isinstance(verdict(text, strict), Refusal)


def blamed(path: Path, value: Any) -> Path:
    """Where to look for the fault: what is missing is missed in the form of today.

    `type` says which fields an object needs, and a null is a field left out.
    """
    if path[-2:] == ("function", "name") and value is None:
        return path[:-2]
    return path[:-1] if path[-1] in ("type", "function") else path


def is_told_right(path: Path, frame: dict[str, Any], value: Any, strict: bool) -> bool:
    """Check what becomes of `value` at `path`; whether it was refused."""
    told = verdict(json.dumps(with_value(frame, path, value)), strict)
    if not isinstance(told, Refusal):
        ga = msgspec.json.encode(told)
        assert ev.decode_client_event(ga) == told, f"{value!r:.80} at {shown(path)}"
        return False
    assert told.code and told.message
    if not is_whole(json.dumps(frame), strict):
        return True  # the frame is at fault elsewhere too
    if told.param is None:
        assert "nested" in told.message or path == ("type",), told.message
        return True
    place = shown(blamed(path, value))
    assert told.param.startswith(place) or place.startswith(told.param), (
        f"{value!r:.80} at {place} is said to be wrong at {told.param}"
    )
    return True


@pytest.mark.parametrize("strict", [False, True])
def test_every_field_refuses_what_it_cannot_be_and_the_place_is_named(strict: bool) -> None:
    refused = sum(
        is_told_right(path, frame, value, strict) for path, frame in PLACES for value in SPOILT
    )
    assert refused > len(PLACES) * 5


@given(st.sampled_from(PLACES), WRONG, st.booleans())
def test_whatever_stands_in_a_field_is_refused_by_its_place_or_taken(
    place: tuple[Path, dict[str, Any]], value: Any, strict: bool
) -> None:
    is_told_right(*place, value, strict)


@given(WRONG)
def test_any_json_at_all_is_refused_or_taken(frame: Any) -> None:
    verdict(json.dumps(frame), strict=False)
