"""What each kind of session would ask the engine after an event, before that is agreed to."""

from typing import Any

import msgspec
import pytest

from duologue.core.kinds import AnySession, make_session
from duologue.core.settings import SessionConfig
from duologue.core.talk import Ask, Tool
from duologue.events import ClientEvent
from duologue.runtime.ids import IdSource
from session_kit import create, update

LOOK = {"type": "function", "name": "look", "description": "Looks.", "parameters": {"a": 1}}
LONG = "word " * 1000


def session(kind: Any = "realtime") -> AnySession:
    made = make_session(
        SessionConfig(id="sess_k", model="m", type=kind), new_id=IdSource("seed"), now=0.0
    )
    made.open(0.0)
    return made


def proposed(event: dict[str, Any], kind: str = "realtime") -> Ask | None:
    return session(kind).proposed(msgspec.convert(event, ClientEvent))  # type: ignore[arg-type]


def test_an_update_is_asked_beside_what_it_leaves_alone() -> None:
    ask = proposed(update(instructions=LONG, max_output_tokens=7))
    assert ask is not None
    assert (ask.instructions, ask.tools, ask.max_tokens) == (LONG, (), 7)
    ask = proposed(update(tools=[LOOK], tool_choice="required"))
    assert ask is not None
    assert (ask.instructions, ask.tool_choice) == ("", "required")
    assert ask.tools == (Tool("look", "Looks.", {"a": 1}),)


def test_a_response_is_asked_with_its_own() -> None:
    ask = proposed(create(instructions=LONG, tools=[LOOK]))
    assert ask is not None
    assert ask.instructions == LONG
    assert [tool.name for tool in ask.tools] == ["look"]


def test_nothing_is_changed_by_it() -> None:
    made = session()
    event: Any = msgspec.convert(update(instructions=LONG), ClientEvent)
    made.proposed(event)
    tools: Any = msgspec.convert(update(tools=[LOOK]), ClientEvent)
    ask = made.proposed(tools)
    assert ask is not None
    assert ask.instructions == ""


@pytest.mark.parametrize(
    "event",
    [
        update(audio={"output": {"speed": 1.2}}),
        update(instructions="", tools=[]),
        create(),
        update(type="transcription"),
    ],
)
def test_what_gives_no_more_to_read_is_not_asked(event: dict[str, Any]) -> None:
    assert proposed(event) is None


@pytest.mark.parametrize("kind", ["transcription", "translation"])
def test_a_session_without_an_engine_asks_none(kind: str) -> None:
    assert proposed(update(instructions=LONG), kind) is None
