"""Rules about a model that owns the floor: its events, its end, and what waits for it.

A model need not answer: of one that says nothing the rules about what is said cannot be judged,
and `check` returns that.
"""

import asyncio
import tracemalloc
from typing import TYPE_CHECKING, cast

from duologue.audio import pcm as audio
from duologue.core.talk import Call, Floor, LiveEvent, Say
from duologue.runtime.ports import LiveTalk
from duologue.testing.engine_conformance.bench import Bench, expect, settled
from duologue.testing.engine_conformance.conversation import (
    NOT_DUPLEX,
    NOTHING_SAID,
    check_replies,
    converse,
    group_of_tasks,
    is_floor,
    read_live,
    speak,
)
from duologue.testing.engine_conformance.rule import rules

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

UNHEARD_MS = 20 * 60_000
UNHEARD_BYTES = 40 * 1024 * 1024
"""What may be kept of twenty minutes (58 MB) that nobody listens to."""


async def _first(live: "AsyncGenerator[LiveEvent, None]") -> None:
    await anext(live, None)


async def floor_events_come_in_pairs(bench: Bench) -> str | None:
    """The user starts and stops by turns, at places within the sound and in order."""
    if not bench.traits.duplex:
        return NOT_DUPLEX
    events, given_ms = await converse(bench)
    speaking, at_ms = False, 0
    for event in events:
        if not isinstance(event, Floor) or event.kind not in ("user_starts", "user_stops"):
            continue
        starts = event.kind == "user_starts"
        expect(starts is not speaking, f"{event.kind} where the user {_does(speaking)}")
        expect(at_ms <= event.at_ms <= given_ms, f"{event.kind} at {event.at_ms} ms of {given_ms}")
        speaking, at_ms = starts, event.at_ms
    return None


def _does(speaking: bool) -> str:
    return "speaks already" if speaking else "does not speak"


async def what_is_said_is_in_a_reply(bench: Bench) -> str | None:
    """`reply_starts`, what is said, and one `Done`, `Failed` or `yields`: nothing outside."""
    if not bench.traits.duplex:
        return NOT_DUPLEX
    events, _ = await converse(bench)
    return check_replies(events)


async def a_reply_that_is_hushed_ends_once(bench: Bench) -> str | None:
    """A model that nobody wants to hear yields or talks on, and listens as before."""
    if not bench.traits.duplex:
        return NOT_DUPLEX

    def hush(talk: LiveTalk, event: LiveEvent) -> None:
        if is_floor(event, "reply_starts"):
            talk.hush()

    events, _ = await converse(bench, hush)
    return check_replies(events)


async def what_is_said_can_be_played(bench: Bench) -> str | None:
    """Sound is whole samples; `voiced` never goes back, nor beyond the text that was sent."""
    if not bench.traits.duplex:
        return NOT_DUPLEX
    events, _ = await converse(bench)
    sent = voiced = 0
    said = False
    for event in events:
        if isinstance(event, Call) or is_floor(event, "reply_starts"):
            sent = voiced = 0
        if not isinstance(event, Say):
            continue
        said = True
        expect(len(event.pcm) % 2 == 0, f"sound of {len(event.pcm)} bytes: samples have two")
        sent += len(event.text)
        if event.pcm or event.voiced:
            expect(event.voiced >= voiced, f"voiced went back: {voiced}, {event.voiced}")
            expect(event.voiced <= sent, f"voiced {event.voiced} of {sent} characters sent")
            voiced = event.voiced
    return None if said else NOTHING_SAID


async def live_can_be_closed_and_begun_again(bench: Bench) -> str | None:
    """Closing is prompt, nothing comes after it, and the talk can be listened to again."""
    if not bench.traits.duplex:
        return NOT_DUPLEX
    loop = asyncio.get_running_loop()
    async with bench.talk() as any_talk:
        talk = cast(LiveTalk, any_talk)
        for _ in range(3):
            live = cast("AsyncGenerator[LiveEvent, None]", talk.live(bench.case.ask))
            async with group_of_tasks() as group:
                reading = group.create_task(_first(live))
                await speak(talk, bench)
                began = loop.time()
                reading.cancel()
                await asyncio.wait([reading])
            await live.aclose()
            took = loop.time() - began
            expect(took <= bench.case.prompt_s, f"closed only after {took:.2f} s")
            expect(await anext(live, None) is None, "something came after live was closed")
    return None


async def live_ends_with_its_talk(bench: Bench) -> str | None:
    """When the talk is closed, live ends, promptly and without a task that goes on."""
    if not bench.traits.duplex:
        return NOT_DUPLEX
    before = asyncio.all_tasks()
    left: list[int] = []
    for _ in range(2):  # the engine may begin its own work with its first talk
        async with group_of_tasks() as group:
            async with bench.talk() as any_talk:
                talk = cast(LiveTalk, any_talk)
                reading = group.create_task(read_live(talk, bench, []))
                await speak(talk, bench)
            done, _ = await asyncio.wait([reading], timeout=bench.case.prompt_s)
            reading.cancel()
        expect(done, "live goes on when its talk is closed")
        tasks = await settled(lambda: asyncio.all_tasks() - before, bench.case.prompt_s / 2)
        left.append(len(tasks))
    expect(left[1] <= left[0], f"{left[1]} tasks are left after two talks, {left[0]} after one")
    return None


async def what_waits_to_be_heard_is_bounded(bench: Bench) -> str | None:
    """Of sound that nobody listens to a bounded amount is kept, and `hear` never waits."""
    if not bench.traits.duplex:
        return NOT_DUPLEX
    async with bench.talk() as any_talk:
        talk = cast(LiveTalk, any_talk)
        tracemalloc.start()
        try:
            for second in range(UNHEARD_MS // 1000):
                talk.hear(bytes([second % 7]) * (1000 * audio.BYTES_PER_MS))
            kept, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    expect(kept <= UNHEARD_BYTES, f"{kept / 1e6:.0f} MB of sound wait for a model that is behind")
    return None


RULES = rules(
    floor_events_come_in_pairs,
    what_is_said_is_in_a_reply,
    a_reply_that_is_hushed_ends_once,
    what_is_said_can_be_played,
    live_can_be_closed_and_begun_again,
    live_ends_with_its_talk,
    what_waits_to_be_heard_is_bounded,
)
