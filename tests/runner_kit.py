"""A runner on the scripted engine, with its client's side."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from duologue.core.settings import SessionConfig
from duologue.core.talk import Ask
from duologue.engines.scripted import (
    LoudnessActivity,
    LoudnessTurnEnd,
    Script,
    ScriptedEngine,
    ScriptedLiveEngine,
    ScriptedTranscriber,
)
from duologue.events import ClientEvent, InputAudioBufferAppend, ServerEvent
from duologue.runtime.ports import TurnEnd
from duologue.runtime.runner import Runner
from duologue.testing.client import ClientMirror


class Call:
    """A runner with its client's side."""

    def __init__(self, runner: Runner, engine: ScriptedEngine) -> None:
        self.runner = runner
        self.engine = engine
        self.mirror = ClientMirror()
        self.events: list[ServerEvent] = []

    async def send(self, event: dict[str, object]) -> None:
        await self.runner.receive(msgspec.convert(event, ClientEvent))

    async def speak(self, pcm: bytes, frame: int = 960) -> None:
        for start in range(0, len(pcm), frame):
            await self.runner.receive(InputAudioBufferAppend(audio=pcm[start : start + frame]))

    async def until(self, kind: type) -> ServerEvent:
        while True:
            event = await self.runner.next_event()
            assert event is not None, f"the session ended before {kind.__name__}"
            self.mirror.receive(event)
            self.events.append(event)
            if isinstance(event, kind):
                return event


@asynccontextmanager
async def call(
    script: Script | None = None, turn_end: TurnEnd | None = None, **options: object
) -> AsyncIterator[Call]:
    script = script or Script()
    engine = ScriptedLiveEngine(script) if script.duplex else ScriptedEngine(script)
    talk = await engine.open(Ask())
    config = SessionConfig(id="sess_runner", model="scripted", duplex=script.duplex)
    runner = Runner(
        config,
        talk,
        ScriptedTranscriber(engine),
        LoudnessActivity().open(),
        turn_end or LoudnessTurnEnd(),
        **options,  # type: ignore[arg-type]
    )
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(runner.run())
        try:
            yield Call(runner, engine)
        finally:
            runner.disconnect()
