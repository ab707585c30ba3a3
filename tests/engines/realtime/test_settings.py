"""Settings that an upstream refuses: what it is told in their place, and what falls."""

from typing import Any

import pytest
from msgspec import structs

from duologue.core.talk import Ask, Truncation
from duologue.engines.realtime.hearing import Hearing
from duologue.engines.realtime.settings import Settings
from duologue.engines.realtime.wire import Fault
from engines.realtime.upstream_kit import LOOK

OPENING = {"ref_audio": "data:audio/wav;base64,AAAA", "extra_body": {"a": 1}}
PLAIN = Ask(instructions="Be brief.")


def refused(
    error: Fault, ask: Ask = LOOK, name: str = "", *, opening: dict[str, Any] | None = None
) -> tuple[str, dict[str, Any], list[str]]:
    """What is told in place of the settings that have been refused."""
    settings = Settings(Hearing(None, "talk"), opening or {}, duplex=True)
    (told,) = settings.orders(ask)
    name = name or told.event["event_id"].removeprefix("configure").strip()
    settings.refused(name)
    order, missed = settings.less(ask, name, error)
    assert order is not None and settings.told == ask
    return order.event["event_id"], order.event["session"], missed


@pytest.mark.parametrize(
    ("error", "missed"),
    [
        (Fault(param="session.audio.output.voice", message="No tools."), ["voice"]),
        (Fault(code="tools_not_supported", message="No."), ["tools"]),
        (Fault(param=["session", "tools"], message="Not the voice."), ["tools"]),
        (Fault(param="session", message="Unknown: Tool_Choice, truncation"), ["truncation"]),
        (Fault(message="max_output_tokens is no number"), ["max_output_tokens"]),
    ],
)
def test_what_an_error_names_is_left_out(error: Fault, missed: list[str]) -> None:
    ask = structs.replace(LOOK, max_tokens=5, truncation=Truncation(allowed=False))
    name, session, fell = refused(error, ask)
    assert name == "configure fewer" and fell == missed
    assert session["instructions"] == "Be brief." and "format" in session["audio"]["output"]


@pytest.mark.parametrize("message", [None, "The information is incomplete.", "Bad instructions."])
def test_of_what_names_nothing_the_instructions_are_left(message: str | None) -> None:
    name, session, missed = refused(Fault(message=message))
    assert session == {"type": "realtime", "instructions": "Be brief."}
    assert name == "configure least" and missed == ["tools", "voice"]


def test_what_it_would_do_anyway_is_not_missed() -> None:
    assert refused(Fault(), PLAIN)[2] == []
    assert refused(Fault(), structs.replace(PLAIN, parallel_calls=False))[2] == [
        "parallel_tool_calls"
    ]


def test_what_is_refused_again_is_told_as_instructions_alone_and_then_no_more() -> None:
    settings = Settings(Hearing(None, "talk"), {}, duplex=True)
    list(settings.orders(LOOK))
    steps = [""]
    error = Fault(param="voice")
    while (order := settings.less(LOOK, steps[-1], error)[0]) is not None:
        steps.append(order.event["event_id"].removeprefix("configure "))
        settings.refused(steps[-1])
    assert steps == ["", "fewer", "least"] and settings.told is None


def test_what_the_owner_adds_is_told_until_it_is_taken() -> None:
    name, session, _ = refused(Fault(), opening=OPENING)
    assert name == "configure fewer opening" and session.keys() > OPENING.keys()
    name, session, missed = refused(Fault(), name="fewer opening", opening=OPENING)
    assert name == "configure least" and missed[:2] == ["ref_audio", "extra_body"]
    name, session, missed = refused(Fault(param="ref_audio"), opening=OPENING)
    assert name == "configure fewer" and missed == ["ref_audio"]
    assert session["extra_body"] == {"a": 1} and session["tools"]

    odd = {"audio": "loud", "": 1}
    assert refused(Fault(), opening=odd)[1].keys() == {"", "audio", "type", "instructions"}

    settings = Settings(Hearing(None, "talk"), OPENING, duplex=True)
    for refuses, again in (("tools", False), ("ref_audio", True)):
        settings.begin()
        list(settings.orders(LOOK))
        settings.refused("opening")
        settings.less(LOOK, "opening", Fault(param=refuses))
        (order,) = settings.orders(LOOK)
        assert ("ref_audio" in order.event["session"]) is again
