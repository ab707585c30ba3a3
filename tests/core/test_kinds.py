"""The three kinds of session: how each ends, and what it would ask the engine after an event."""

from typing import Any

import msgspec
import pytest

from duologue.core import inputs
from duologue.core.kinds import AnySession, make_session
from duologue.core.settings import SessionConfig
from duologue.core.talk import Ask, Tool
from duologue.events import ClientEvent, Error
from duologue.runtime.ids import IdSource
from duologue.testing.timeline import Timeline
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


@pytest.fixture(params=["realtime", "transcription", "translation"])
def minute(request: pytest.FixtureRequest) -> Timeline:
    """A session of a minute, without sound."""
    config = SessionConfig(id="sess_k", model="m", type=request.param, max_s=60)
    t = Timeline(config)
    t.microphone = False
    return t


def test_a_session_ends_when_its_time_is_over_and_not_before(minute: Timeline) -> None:
    minute.enter(59.0, inputs.Tick())
    minute.run(59.5)
    assert minute.types() == ["session.created"]
    minute.run(61.0)
    (event,) = minute.events(Error)
    assert event.error.code == "session_expired" and minute.closed is not None
    assert (minute.closed.code, minute.closed.reason) == (1001, event.error.message)
    minute.enter(62.0, inputs.Tick())
    minute.run(63.0)
    assert len(minute.events(Error)) == 1, "it is over"


def test_the_server_may_end_a_session_and_says_why(minute: Timeline) -> None:
    minute.enter(0.1, inputs.Dismissed("invalid_api_key", "This key was revoked.", 3000))
    minute.run(0.2)
    (event,) = minute.events(Error)
    assert (event.error.code, event.error.message) == ("invalid_api_key", "This key was revoked.")
    assert minute.closed is not None and minute.session.deadline is None
    reason = "invalid_request_error.invalid_api_key"
    assert (minute.closed.code, minute.closed.reason) == (3000, reason)


def test_nothing_is_told_to_a_client_that_is_gone(minute: Timeline) -> None:
    minute.enter(0.1, inputs.Disconnected())
    minute.run(61.0)
    assert minute.types() == ["session.created"] and minute.closed is None
