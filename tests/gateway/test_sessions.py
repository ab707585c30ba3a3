"""Admission: places of the server and of a key, and keys revoked at an awkward moment."""

import asyncio

import pytest

from duologue.core.settings import SessionConfig
from duologue.core.talk import Ask
from duologue.engines.scripted import (
    LoudnessActivity,
    LoudnessTurnEnd,
    Script,
    ScriptedEngine,
    ScriptedTranscriber,
)
from duologue.errors import EngineBusy
from duologue.events import Error, SessionCreated
from duologue.gateway.keys import Key, KeyTerms
from duologue.gateway.sessions import KeyBusy, Sessions
from duologue.runtime.runner import Runner


def key(max_sessions: int | None = None) -> Key:
    return Key(KeyTerms(name="anna", digest="a", max_sessions=max_sessions))


def test_places_come_back_however_a_session_ends() -> None:
    sessions, anna = Sessions(2), key(max_sessions=1)
    with pytest.raises(ValueError, match="broken"), sessions.place(anna):
        raise ValueError("broken")
    assert (sessions.open, anna.open_sessions) == (0, 0)
    with sessions.place(anna):
        with pytest.raises(KeyBusy, match="All 1 sessions of this API key"), sessions.place(anna):
            pass
        with sessions.place(key()), pytest.raises(EngineBusy, match="of this server"):
            with sessions.place(key()):
                pass
        assert (sessions.open, anna.open_sessions) == (1, 1)


async def test_a_session_whose_key_was_revoked_while_it_was_opened_ends_at_once() -> None:
    engine, sessions, anna = ScriptedEngine(Script()), Sessions(1), key()
    runner = Runner(
        SessionConfig(id="sess_1", model="scripted"),
        await engine.open(Ask()),
        ScriptedTranscriber(engine),
        LoudnessActivity().open(),
        LoudnessTurnEnd(),
    )
    anna.revoked = True
    with sessions.running(runner, anna):
        async with asyncio.timeout(10):
            await runner.run()
    kinds = []
    while (event := await runner.next_event()) is not None:
        kinds.append(type(event))
    assert kinds == [SessionCreated, Error]
    assert runner.close_code == 3000
    assert engine.open_talks == 0
