"""The rule about work: a reader that stops reading stops the engine, sooner or later."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Generator
from contextlib import suppress
from typing import Any

from duologue.audio import pcm as audio
from duologue.core.talk import ReplyEvent, Say
from duologue.testing.engine_conformance.bench import Bench, closing, expect
from duologue.testing.engine_conformance.rule import rules

AHEAD_CHARACTERS = 8192


async def a_reader_that_stops_stops_the_engine(bench: Bench) -> None:
    """What waits for a reader that pauses is bounded.

    An engine that works only while it is asked for the next event has nothing waiting. One
    that has tasks of its own goes on in the pause: what is ready after it is counted.
    """
    case = bench.case
    loop = asyncio.get_running_loop()
    factory = loop.get_task_factory()
    started: list[str] = []

    def counted(
        loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], **options: Any
    ) -> Any:
        started.append("task")
        if factory is None:
            return asyncio.Task(work, loop=loop, **options)
        return factory(loop, work, **options)

    async with bench.talk(bench.spoken) as talk:
        loop.set_task_factory(counted)  # type: ignore[arg-type]
        try:
            async with closing(talk, case.long_ask) as reply:
                async for event in reply:
                    if isinstance(event, Say):
                        break
                await asyncio.sleep(case.pause_s)
                loop.set_task_factory(factory)
                if not started:
                    return
                ahead_ms = characters = 0
                while (ready := await _ready(reply)) is not None:
                    if isinstance(ready, Say):
                        ahead_ms += audio.samples(ready.pcm) * 1000 // audio.RATE_HZ
                        characters += len(ready.text)
                    expect(
                        ahead_ms <= case.ahead_ms and characters <= AHEAD_CHARACTERS,
                        f"more than {ahead_ms / 1000:.0f} s of sound and {characters} characters "
                        "waited for a reader that paused",
                    )
        finally:
            loop.set_task_factory(factory)


async def _ready(reply: AsyncGenerator[ReplyEvent, None]) -> ReplyEvent | None:
    """The next event, if it is there without a turn of the loop, in which more could be made."""
    asked = reply.__anext__().__await__()
    try:
        next(asked)
    except StopIteration as got:
        event: ReplyEvent = got.value
        return event
    except StopAsyncIteration:
        return None
    with suppress(asyncio.CancelledError, StopAsyncIteration):
        await _Withdrawn(asked)
    return None


class _Withdrawn:
    """A step of a generator that is waiting, cancelled, and awaited until it has tidied up.

    To close a connection may take turns of the loop; a generator whose step was left in the
    middle could not be closed.
    """

    def __init__(self, step: Generator[Any, Any, Any]) -> None:
        self._step = step

    def __await__(self) -> Generator[Any, Any, None]:
        try:
            waits_for = self._step.throw(asyncio.CancelledError())
            while True:
                try:
                    yield waits_for
                except BaseException as fault:
                    waits_for = self._step.throw(fault)
                else:
                    waits_for = next(self._step)
        except StopIteration:
            return


RULES = rules(a_reader_that_stops_stops_the_engine)
