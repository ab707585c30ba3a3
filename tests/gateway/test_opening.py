"""A talk and the session that it is for: what the engine finds out with it holds for both."""

from typing import Any

import msgspec
import pytest
from msgspec import structs

from duologue.core.settings import SessionConfig
from duologue.core.talk import Ask
from duologue.engines.scripted import Script, ScriptedEngine
from duologue.errors import Refusal
from duologue.events import RealtimeSessionUpdate
from duologue.gateway.opening import open_talk
from duologue.gateway.session_start import SessionStart
from duologue.runtime.ports import Talk
from live_server import scripted

TOOLS = [{"type": "function", "name": "look", "parameters": {"type": "object"}}]


class Learning(ScriptedEngine):
    """It finds out what it is with a talk."""

    def __init__(self, **found: Any) -> None:
        super().__init__(Script())
        self._found = found

    async def open(self, ask: Ask) -> Talk:
        self.traits = structs.replace(self.traits, **self._found)
        return await super().open(ask)


def beginning(engine: Learning, **start: Any) -> tuple[SessionStart, SessionConfig, Ask]:
    begin = SessionStart(scripted(), engine.traits, lambda: 0.0)
    bound = msgspec.convert({"type": "realtime", **start}, RealtimeSessionUpdate)
    settings = structs.replace(begin.running(None, bound, "realtime"), plays=True)
    return begin, settings, begin.ask(settings)


async def test_a_session_is_bound_by_what_the_engine_learns_with_its_talk() -> None:
    engine = Learning(reads_images=False, context_tokens=5000, max_output_tokens=100)
    begin, settings, ask = beginning(engine)
    _, learnt = await open_talk(engine, begin, settings, ask)
    changed = {"takes_images": False, "context_tokens": 5000, "max_output_tokens": 100}
    assert learnt == structs.replace(settings, **changed)
    assert begin.card.traits.input_modalities == ("text", "audio")


async def test_a_talk_that_cannot_be_the_sessions_is_given_back() -> None:
    engine = Learning(tools=False)
    begin, settings, ask = beginning(engine, tools=TOOLS)
    with pytest.raises(Refusal, match="calls no functions"):
        await open_talk(engine, begin, settings, ask)
    assert engine.open_talks == 0
    begin, settings, ask = beginning(engine)
    await open_talk(engine, begin, settings, ask)
    assert engine.open_talks == 1
