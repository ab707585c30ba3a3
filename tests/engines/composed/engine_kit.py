"""An engine of scripted parts with one talk open, and what tests ask about its replies."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import msgspec

from duologue.core.talk import Ask, Began, Done, ReplyEvent, Say
from duologue.engines.composed.engine import ComposedEngine
from duologue.engines.composed.reply import Reply
from duologue.engines.composed.talk import ComposedTalk
from duologue.engines.light.prompt_mind import PromptMind
from engines.composed.parts_kit import (
    Script,
    ScriptedEar,
    ScriptedEye,
    ScriptedMind,
    ScriptedMouth,
)


class Bench:
    """An engine of scripted parts with one talk open."""

    ear: ScriptedEar
    mind: ScriptedMind
    mouth: ScriptedMouth
    eye: ScriptedEye
    engine: ComposedEngine
    talk: ComposedTalk

    async def start(self, script: Script, ask: Ask, parameters: int) -> None:
        self.ear, self.mind, self.mouth = ScriptedEar(), ScriptedMind(script), ScriptedMouth()
        self.mind.parameters = parameters
        self.eye = ScriptedEye()
        self.engine = ComposedEngine(self.ear, PromptMind(self.mind), self.mouth, self.eye)
        self.talk = await self.engine.open(ask)

    @property
    def prompts(self) -> list[str]:
        return self.mind.leases[0].prompts

    @property
    def cache(self) -> str:
        return self.mind.leases[0].cache


@asynccontextmanager
async def bench(
    script: Script = "Yes.", ask: Ask | None = None, *, parameters: int = 2_000_000_000
) -> AsyncIterator[Bench]:
    """Checks at the end that nothing runs any more."""
    outside = asyncio.all_tasks()
    b = Bench()
    await b.start(script, ask or Ask(), parameters)
    yield b
    await b.engine.aclose()
    assert asyncio.all_tasks() == outside
    assert b.mind.running == 0 and b.mind.leases == [] and b.mind.closed and b.mouth.closed
    assert b.eye.closed


async def rest() -> None:
    """Let everything run that can.

    For what is not to happen there is nothing to wait for. Scripted parts have no clocks and no
    threads, so a hundred turns of the loop are many more than any of them needs.
    """
    for _ in range(100):
        await asyncio.sleep(0)


async def events(reply: Reply) -> list[ReplyEvent]:
    return [event async for event in reply]


def text(got: Iterable[ReplyEvent]) -> str:
    return "".join(e.text for e in got if isinstance(e, Say))


def timeless(got: Iterable[ReplyEvent]) -> list[ReplyEvent]:
    """The events without what depends on time or on what the cache held before."""
    return [_timeless(event) for event in got]


def _timeless(event: ReplyEvent) -> ReplyEvent:
    if isinstance(event, Began):
        return Began(input=event.input)
    if isinstance(event, Done):
        return Done(reason=event.reason)
    return msgspec.structs.replace(event, tokens=0)


def began(got: Iterable[ReplyEvent]) -> Began:
    """What a reply said that it reads."""
    return next(event for event in got if isinstance(event, Began))


def tokens(got: Iterable[ReplyEvent]) -> int:
    """The tokens that a reply said it generated."""
    return sum(event.tokens for event in got if not isinstance(event, Began))
