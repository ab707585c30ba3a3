"""Rules about interruption: at any event and while one is waited for, promptly and for good."""

import asyncio
from collections.abc import Sequence

from duologue.runtime.ports import Talk
from duologue.testing.engine_conformance.bench import Bench, closing, done, expect, read
from duologue.testing.engine_conformance.rule import rules


def _points(count: int, most: int) -> Sequence[int]:
    """Which of `count` events to stop at: all, or the first and some of the others."""
    if count <= most:
        return range(count)
    return sorted({*range(most // 2), *range(0, count, -(-count // max(1, most // 2)))})


async def _closes(bench: Bench, talk: Talk, after: int) -> None:
    """Read `after` events, close, and see that it is quick and for good."""
    loop = asyncio.get_running_loop()
    async with closing(talk, bench.case.ask) as reply:
        for _ in range(after):
            if await anext(reply, None) is None:
                return
        began = loop.time()
        await reply.aclose()
        took = loop.time() - began
        expect(took <= bench.case.prompt_s, f"closed at event {after} only after {took:.2f} s")
        late = await anext(reply, None)
        expect(late is None, f"closed at event {after}, and a {type(late).__name__} came after it")


async def can_be_closed_at_any_event(bench: Bench) -> None:
    """`aclose` at the n-th event, for all n: prompt, nothing comes after it, the talk goes on."""
    async with bench.talk(bench.spoken) as talk:
        count = len(await read(talk, bench.case.ask))
        for after in _points(count, bench.case.points):
            await _closes(bench, talk, after)
        done(await read(talk, bench.case.ask))


async def can_be_cancelled_while_it_is_waited_for(bench: Bench) -> None:
    """A reader that is cancelled in the middle of waiting lets go promptly; the talk goes on."""
    loop = asyncio.get_running_loop()
    async with bench.talk(bench.spoken) as talk:
        for turns in (0, 1, 3, 10, 100):
            async with asyncio.TaskGroup() as group:
                reading = group.create_task(read(talk, bench.case.ask))
                for _ in range(turns):
                    await asyncio.sleep(0)
                reading.cancel()
                began = loop.time()
                await asyncio.wait([reading])
                took = loop.time() - began
            expect(took <= bench.case.prompt_s, f"cancelled, and let go only after {took:.2f} s")
        done(await read(talk, bench.case.ask))


async def an_interrupted_reply_leaves_no_trace(bench: Bench) -> None:
    """Of a reply that was interrupted the history holds what is put, and nothing else."""
    async with bench.talk(bench.spoken) as talk:
        before = await bench.reads(talk, bench.case.ask)
        await _closes(bench, talk, 2)
        after = await bench.reads(talk, bench.case.ask)
        expect(after == before, f"reads {before} tokens, and {after} after an interruption")


RULES = rules(
    can_be_closed_at_any_event,
    can_be_cancelled_while_it_is_waited_for,
    an_interrupted_reply_leaves_no_trace,
)
