"""Rules about leases: one talk, one place, given back; and no engine task without an owner."""

import asyncio
from contextlib import AsyncExitStack, suppress

from msgspec import structs

from duologue.errors import EngineBusy
from duologue.testing.engine_conformance.bench import (
    Bench,
    Broken,
    closing,
    done,
    expect,
    read,
    settled,
)
from duologue.testing.engine_conformance.rule import rules


async def _places(bench: Bench) -> int:
    """How many talks can be had at once, up to the number that is tried; all are closed again."""
    count = 0
    async with AsyncExitStack() as stack:
        with suppress(EngineBusy):
            while count < bench.case.places:
                talk = await bench.engine.open(bench.case.ask)
                stack.push_async_callback(talk.aclose)
                count += 1
    return count


async def a_place_is_given_back(bench: Bench) -> None:
    """When all places are taken `open` raises `EngineBusy`, and not when one is free again."""
    most = await _places(bench)
    expect(most, "no place for a single talk")
    async with bench.talk(bench.typed) as talk, closing(talk, bench.case.ask) as reply:
        await anext(reply, None)  # a place is free again even if its reply was interrupted
    again = await _places(bench)
    expect(again == most, f"{most} places at first, {again} when all were free again")


async def closing_twice_is_closing_once(bench: Bench) -> None:
    """A second `aclose` of a talk does nothing."""
    most = await _places(bench)
    talk = await bench.engine.open(bench.case.ask)
    await talk.aclose()
    try:
        await talk.aclose()
    except Exception as fault:
        raise Broken(f"a second aclose raises {type(fault).__name__}: {fault}") from fault
    again = await _places(bench)
    expect(again == most, f"{most} places, and {again} after a talk was closed twice")


async def a_closed_talk_leaves_no_task(bench: Bench) -> None:
    """After `aclose` of a talk as many tasks run as after that of the talk before it."""
    ours = asyncio.current_task()
    left: list[set[asyncio.Task[object]]] = []
    for _ in range(2):  # the engine may begin its own work with its first talk
        async with bench.talk(bench.spoken) as talk:
            async with closing(talk, bench.case.ask) as reply:
                for _ in range(3):
                    await anext(reply, None)
            done(await read(talk, bench.case.ask))
        known = left[0] if left else set()
        await settled(lambda known=known: asyncio.all_tasks() - known - {ours}, 0.25)  # type: ignore[misc]
        left.append(asyncio.all_tasks() - {ours})
    names = sorted(task.get_name() for task in left[1] - left[0])
    expect(len(left[1]) <= len(left[0]), f"tasks are left after a talk's aclose: {names}")


async def replies_run_side_by_side(bench: Bench) -> None:
    """Replies out of band beside one of the conversation, and talks beside each other."""
    case = bench.case
    aside = structs.replace(case.ask, keep=False, context=(bench.typed,))
    try:
        async with bench.talk(bench.spoken) as talk:
            both = await asyncio.gather(
                read(talk, case.ask), read(talk, aside), read(talk, structs.replace(aside))
            )
    except (RuntimeError, AssertionError) as fault:
        raise Broken(f"replies side by side: {type(fault).__name__}: {fault}") from fault
    for events in both:
        done(events)
    with suppress(EngineBusy):  # of an engine with one place
        async with bench.talk(bench.spoken) as one, bench.talk(bench.typed) as other:
            for events in await asyncio.gather(read(one, case.ask), read(other, case.ask)):
                done(events)


RULES = rules(
    a_place_is_given_back,
    closing_twice_is_closing_once,
    a_closed_talk_leaves_no_task,
    replies_run_side_by_side,
)
