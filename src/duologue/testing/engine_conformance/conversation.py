"""A user and a full-duplex model, as the rules for those need them.

    the user's turn and silence ─► hear ─► model ─► live ─► `Conversation.events` ─► the rule
                                             ▲                    │
                                             └── put, notes ◄─────┘ as the server does

The user's turn is heard with silence behind it, at the pace of `Case.live_pace`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, cast

from duologue.audio import pcm as audio
from duologue.core.talk import Ask, Began, Call, Done, Failed, Floor, Item, LiveEvent, Part, Say
from duologue.runtime.ports import LiveTalk
from duologue.testing.engine_conformance.bench import Bench, Broken, expect, settled

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

FRAME_MS = 20
SILENCE_MS = 2000
"""Behind each of the user's turns."""

NOT_DUPLEX = "it is asked for its replies"
NOTHING_SAID = "it said nothing"

Then = Callable[[LiveTalk, LiveEvent], None]
"""What a rule does as soon as an event has come."""


class Conversation:
    """A talk that is read, and `events`, what the model has done so far."""

    def __init__(self, talk: LiveTalk, bench: Bench) -> None:
        self.talk = talk
        self.events: list[LiveEvent] = []
        self.given_ms = 0
        self.reading: asyncio.Task[None] | None = None
        self._bench = bench

    async def speak(self) -> None:
        """The user's turn and silence."""
        self.given_ms += await speak(self.talk, self._bench)

    async def answered(self, since: int = 0) -> None:
        """Until the last reply has ended; of events before `since` no answer is expected."""
        await settled(lambda: self._unanswered(since), self._bench.case.answer_s)

    async def turn(self) -> Sequence[LiveEvent]:
        """The user speaks; returns what the model does then."""
        since = len(self.events)
        await self.speak()
        await self.answered(since)
        self.expect_alive()
        return self.events[since:]

    async def expect_more(self, before: Sequence[LiveEvent], behind: str) -> None:
        """The model takes one more turn, unless it has let the one before pass unnoticed."""
        after = await self.turn()
        expect(after or not before, f"the model does nothing any more after {behind}")

    def expect_alive(self) -> None:
        """The talk is open, so the model is there."""
        assert self.reading is not None
        ended = self.reading.done() and not self.reading.cancelled()
        expect(not ended, "live ended by itself, though the talk was open")

    def _unanswered(self, since: int) -> Sequence[LiveEvent]:
        """Nothing, once the last reply has ended, or live itself."""
        if self.reading is None or self.reading.done():
            return ()
        new = self.events[since:]
        return () if new and is_end(new[-1]) else new or (Done(),)


@asynccontextmanager
async def conversation(
    bench: Bench, then: Then | None = None, ask: Ask | None = None
) -> AsyncIterator[Conversation]:
    """A model that is listened to for as long as the block lasts; `then` follows each event."""
    async with bench.talk() as any_talk:
        talk = cast(LiveTalk, any_talk)
        if ask is not None:
            talk.configure(ask)
        talking = Conversation(talk, bench)
        async with group_of_tasks() as group:
            reading = read_live(talk, bench, talking.events, then, ask)
            talking.reading = group.create_task(reading)
            yield talking
            talking.expect_alive()
            talking.reading.cancel()


async def converse(bench: Bench, then: Then | None = None) -> tuple[list[LiveEvent], int]:
    """What a model does while the user speaks twice, and the milliseconds of sound it was given."""
    async with conversation(bench, then) as talking:
        await talking.speak()
        await talking.speak()
        await talking.answered()
    return talking.events, talking.given_ms


async def speak(talk: LiveTalk, bench: Bench) -> int:
    """The user's turn and silence, frame by frame; returns how much was given, in ms."""
    sound = bench.case.pcm + bytes(SILENCE_MS * audio.BYTES_PER_MS)
    for frame in audio.chunks(sound, FRAME_MS * audio.BYTES_PER_MS):
        talk.hear(frame)
        await asyncio.sleep(FRAME_MS / 1000 / bench.case.live_pace)
    return len(sound) // audio.BYTES_PER_MS


async def read_live(
    talk: LiveTalk,
    bench: Bench,
    events: list[LiveEvent],
    then: Then | None = None,
    ask: Ask | None = None,
) -> None:
    """Read what a model does into `events`; a turn that has ended is put, as the server does."""
    live = cast("AsyncGenerator[LiveEvent, None]", talk.live(ask or bench.case.ask))
    async with aclosing(live):
        async for event in live:
            events.append(event)
            if isinstance(event, Floor) and event.kind == "user_stops":
                part = Part(pcm=bench.case.pcm, media_id=f"sound_{len(events)}")
                talk.put(Item(f"item_{len(events)}", "user", (part,), was_heard=True))
            if then is not None:
                then(talk, event)


@asynccontextmanager
async def group_of_tasks() -> AsyncIterator[asyncio.TaskGroup]:
    """Tasks beside the block; what one of them raises is the engine's."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except ExceptionGroup as faults:
        fault = faults.exceptions[0]
        if isinstance(fault, Broken):
            raise fault from None
        raise Broken(f"live raises {type(fault).__name__}: {fault}") from fault


@contextmanager
def noting(what: str) -> Iterator[None]:
    """Notes in the block never raise."""
    try:
        yield
    except Exception as fault:
        raise Broken(f"{what} raises {type(fault).__name__}: {fault}") from fault


def is_end(event: LiveEvent) -> bool:
    """Whether a reply ends by it."""
    return isinstance(event, Done | Failed) or is_floor(event, "yields")


def is_floor(event: LiveEvent, kind: str) -> bool:
    """Whether it is that decision of the model."""
    return isinstance(event, Floor) and event.kind == kind


def check_replies(events: Sequence[LiveEvent], *, nudged: bool = False) -> str | None:
    """`reply_starts`, what is said, one end; of a model that was `nudged`, that may fail outside.

    Returns why it cannot be judged.
    """
    in_reply = said = False
    for event in events:
        if is_floor(event, "reply_starts"):
            expect(not in_reply, "reply_starts within a reply")
            in_reply = said = True
        elif isinstance(event, Began | Say | Call):
            expect(in_reply, f"{type(event).__name__} outside a reply")
        elif is_end(event):
            may_be_outside = nudged and isinstance(event, Failed)
            expect(in_reply or may_be_outside, "a reply ends that had not begun")
            in_reply = False
    return None if said else NOTHING_SAID
