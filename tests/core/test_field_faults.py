"""Every field of every client event, spoilt in every way: one whole error or a defined effect.

Each place of each event (`events/spoilt.py`) once takes every kind of wrong value. A refused
frame is answered by exactly one error with a code, a path and the event's id, and the session is
to the last attribute what it was before. An accepted one means something: a null is a key left
out or a setting cleared, anything else is a value that the server would read again as it would
write it.
"""

import types
from typing import Any

import msgspec
import pytest

from duologue.core import inputs, outputs
from duologue.core.session import Session
from duologue.events import CLIENT_EVENTS, Error, InputAudioBufferAppend
from duologue.testing.timeline import Timeline, read
from events.spoilt import SPOILT, frames, shown, with_value
from session_kit import add, create, update, user


def lively() -> Timeline:
    """A session with something of everything: items, a call, sound, a response, a pause."""
    t = Timeline()
    t.engine.says("One two three.", after_s=0.1)
    t.client_sends(0.05, update(tools=[{"type": "function", "name": "x"}]))
    t.client_sends(0.1, add(user("Hello", id="item_mine")))
    t.client_sends(0.2, create(output_modalities=["audio"]))
    t.run(1.0)
    t.user_speaks(1.1, 2.0)
    t.client_sends(1.05, create(conversation="none", output_modalities=["text"]))
    t.run(1.5)
    return t


def state(thing: Any, seen: dict[int, int] | None = None) -> Any:
    """All of a session's state as plain data: attributes of attributes, in order."""
    seen = {} if seen is None else seen
    if isinstance(thing, str | bytes | int | float | bool | types.NoneType | msgspec.Struct):
        return thing
    if id(thing) in seen:
        return ("seen", seen[id(thing)])
    seen[id(thing)] = len(seen)
    if isinstance(thing, dict):
        return [(state(key, seen), state(value, seen)) for key, value in thing.items()]
    if callable(thing) or type(thing).__name__ == "Batch":
        return None  # where ids come from; what is numbered
    attributes = getattr(thing, "__dict__", None) or {
        name: getattr(thing, name) for name in getattr(thing, "__slots__", ())
    }
    if attributes:
        return [(name, state(value, seen)) for name, value in sorted(attributes.items())]
    assert hasattr(thing, "__iter__"), f"what is the state of a {type(thing).__name__}?"
    return [state(one, seen) for one in thing]


def answers(session: Session, entry: inputs.Input) -> tuple[list[outputs.Output], list[Error]]:
    """What follows from an input, and the errors among it."""
    batch = session.handle(entry, 1.6)
    sent = [output.event for output in batch if isinstance(output, outputs.Send)]
    return batch, [event for event in sent if isinstance(event, Error)]


def spoil(kind: type[msgspec.Struct]) -> tuple[int, int]:
    """Try every fault of one event; how many were refused and how many accepted."""
    refused = accepted = 0
    t = lively()
    before = state(t.session)
    for path, frame in frames(kind):
        is_whole = isinstance(read(frame), inputs.Received)  # else it is at fault elsewhere too
        for value in SPOILT:
            entry = read(with_value(frame, path, value))
            if isinstance(entry, inputs.Received) and isinstance(
                entry.event, InputAudioBufferAppend
            ):
                accepted += 1  # sound goes another way, and all of it is sound
                continue
            batch, errors = answers(t.session, entry)
            if not errors:
                assert isinstance(entry, inputs.Received)
                assert read(msgspec.to_builtins(entry.event)) == entry, (path, value)
                assert not any(isinstance(output, outputs.Close) for output in batch)
                t = lively()
                accepted += 1
                continue
            refused += 1
            assert len(batch) == 1, (path, value, batch)
            error = errors[0].error
            assert error.type == "invalid_request_error" and error.code and error.message
            if path == ("event_id",):
                assert error.event_id in (None, value)
            else:
                assert error.event_id == "event_of_mine", (path, value)
            if isinstance(entry, inputs.BadEvent) and is_whole and error.param:
                place = shown(path)
                assert error.param.startswith(place) or place.startswith(error.param), (
                    f"{value!r:.40} at {place} is said to be wrong at {error.param}"
                )
            assert state(t.session) == before, (path, value)
    return refused, accepted


@pytest.mark.conformance("C-051", "C-193", "C-194")
@pytest.mark.parametrize("name", CLIENT_EVENTS)
def test_a_spoilt_field_is_one_error_or_means_something(name: str) -> None:
    refused, accepted = spoil(CLIENT_EVENTS[name])
    assert refused > 10


def test_the_state_that_is_compared_shows_every_effect() -> None:
    before = state(lively().session)
    assert state(lively().session) == before
    for event in (
        update(instructions="Be brief."),
        add(user("More")),
        create(conversation="none"),
        {"type": "input_audio_buffer.clear"},
        {"type": "conversation.item.delete", "item_id": "item_mine"},
        {"type": "conversation.item.truncate", "item_id": "item_1", "content_index": 0,
         "audio_end_ms": 100},
    ):  # fmt: skip
        t = lively()
        assert not answers(t.session, read(event))[1], event
        assert state(t.session) != before, event
