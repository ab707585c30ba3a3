"""Instructions and tools that leave no room are refused when they are sent, by name (GAP-9)."""

import msgspec
import pytest

from duologue.core.talk import Ask
from duologue.engines.scripted import Script, ScriptedEngine, ScriptedTalk
from duologue.errors import EngineFault
from duologue.events import Error, ResponseDone, SessionCreated, SessionUpdate, SessionUpdated
from duologue.runtime.admission import refused
from runner_kit import Call, call
from session_kit import create, update

SCRIPT = Script(context_tokens=100, max_output_tokens=20)
MANY = "word " * 90
TOOL = {"type": "function", "name": "look"}


async def refusal(c: Call) -> tuple[str | None, str | None, str | None]:
    error = await c.until(Error)
    assert isinstance(error, Error)
    return error.error.code, error.error.param, error.error.event_id


async def test_an_update_whose_instructions_leave_no_room_is_refused_and_changes_nothing() -> None:
    async with call(SCRIPT) as c:
        await c.until(SessionCreated)
        await c.send(update(instructions="Be brief."))
        await c.until(SessionUpdated)
        await c.send({**update(instructions=MANY), "event_id": "mine"})
        assert await refusal(c) == ("context_length_exceeded", "session", "mine")
        await c.send(update(max_output_tokens=10))
        updated = await c.until(SessionUpdated)
        assert updated.session.instructions == "Be brief."  # type: ignore[union-attr]


async def test_tools_count_beside_the_instructions_that_there_are() -> None:
    async with call(SCRIPT) as c:
        await c.send(update(instructions="word " * 79))
        await c.until(SessionUpdated)
        await c.send({**update(tools=[TOOL, {**TOOL, "name": "hear"}]), "event_id": "mine"})
        assert await refusal(c) == ("context_length_exceeded", "session", "mine")
        await c.send(update(tools=[TOOL]))
        await c.until(SessionUpdated)


async def test_a_response_whose_instructions_leave_no_room_is_refused_and_the_next_is_not() -> None:
    async with call(SCRIPT) as c:
        await c.send({**create(instructions=MANY), "event_id": "mine"})
        assert await refusal(c) == ("context_length_exceeded", "response", "mine")
        await c.send(create(instructions="Be brief."))
        done = await c.until(ResponseDone)
        assert done.response.status == "completed"  # type: ignore[union-attr]


async def test_fewer_output_tokens_make_room_for_instructions() -> None:
    async with call(SCRIPT) as c:
        await c.send(update(instructions=MANY, max_output_tokens=5))
        await c.until(SessionUpdated)


class CannotCount(ScriptedTalk):
    """Its tokenizer is out of order."""

    async def admit(self, ask: Ask) -> None:
        raise EngineFault("no tokenizer")


async def test_an_engine_that_cannot_count_now_refuses_nothing() -> None:
    event = msgspec.convert(update(instructions=MANY), SessionUpdate)
    talk = CannotCount(ScriptedEngine(SCRIPT))
    assert await refused(event, Ask(instructions=MANY), talk) is None


class HasABug(ScriptedTalk):
    """Its engine is somebody else's."""

    async def admit(self, ask: Ask) -> None:
        raise ValueError("no such thing")


async def test_an_engine_that_breaks_over_it_refuses_nothing_and_is_told_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    event = msgspec.convert(update(instructions=MANY), SessionUpdate)
    assert await refused(event, Ask(instructions=MANY), HasABug(ScriptedEngine(SCRIPT))) is None
    assert "could not say whether there is room" in caplog.text
