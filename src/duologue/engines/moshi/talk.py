"""One conversation with Moshi: satisfies `LiveTalk`.

The user's sound goes to the clock as it comes; what the clock's thread makes of each frame comes
to the event loop as live events. Moshi takes nothing but sound: it has no instructions, no
tools, no text, and no memory of its own that could be edited, so most notes change nothing.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Sequence

from duologue.core.talk import Ask, Item, LiveEvent, ReplyEvent
from duologue.engines.moshi.clock import Clock
from duologue.engines.moshi.floor import FloorEstimate
from duologue.engines.moshi.frames import Spoken
from duologue.engines.moshi.text import Vocabulary
from duologue.errors import EngineFault

log = logging.getLogger(__name__)

UNREAD_EVENTS = 50
"""Events that wait to be read, four seconds of a reply; beyond it the model stands still."""


NOTHING: tuple[ReplyEvent, ...] = ()


class MoshiTalk:
    """Raises `EngineBusy` when there is no place."""

    def __init__(
        self, clock: Clock, vocabulary: Vocabulary, window: int, seed: int | None = None
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._vocabulary, self._window = vocabulary, window
        self._floor = FloorEstimate(vocabulary.stream(), window)
        self._events: deque[LiveEvent] = deque()
        self._arrived = asyncio.Event()
        self._fault: EngineFault | None = None
        self._is_live = self._is_closed = self._begins = False
        self._seat = clock.lease(self, seed)

    # What the core notes

    def configure(self, ask: Ask) -> None:
        asked = {
            "instructions": bool(ask.instructions),
            "tools": bool(ask.tools),
            "speed": ask.speed != 1.0,
        }
        if names := ", ".join(name for name, is_asked in asked.items() if is_asked):
            log.info("engine moshi: it takes nothing but sound; without effect: %s", names)

    async def admit(self, ask: Ask) -> None:
        """It reads neither instructions nor tools."""

    def expect(self, item: Item | None) -> None:
        """No guesses: the model has heard it."""

    def put(self, item: Item, after: str | None = None) -> None:
        """What was spoken the model knows; what was written it cannot read."""

    def drop(self, item_id: str) -> None:
        """It cannot forget."""

    def cut(self, item_id: str, end_ms: int, text: str) -> None:
        """It cannot forget what was not heard (`Traits.rewinds`)."""

    def played(self, item_id: str, samples: int) -> None:
        """It does not ask what was played: its frames and the user's are of the same moment."""

    def nudge(self, ask: Ask) -> None:
        """It cannot be asked to speak."""

    def hush(self) -> None:
        """Nor to be silent: what it says meanwhile is not heard."""

    def hear(self, pcm: bytes) -> None:
        if not self._is_closed:
            self._seat.hear(pcm)

    # What it does

    async def reply(self, ask: Ask) -> AsyncIterator[ReplyEvent]:
        """Always refused: the model speaks when it wants to, and its state cannot fork."""
        for event in NOTHING:
            yield event
        raise EngineFault(
            "The engine moshi speaks of itself, when it wants to: it cannot be asked for a "
            "response, not even out of band."
        )

    async def live(self, ask: Ask) -> AsyncIterator[LiveEvent]:
        """Sound that was heard before this begins is answered, the oldest of it fallen.

        After a failure it begins anew and remembers nothing: it cannot read the history.
        """
        if self._is_live or self._is_closed:
            raise EngineFault("this conversation is live already, or has ended")
        self._fault = None
        if self._seat.start():
            self._floor = FloorEstimate(self._vocabulary.stream(), self._window)
        self._is_live = self._begins = True
        self._events.clear()
        try:
            while not self._is_closed:
                while self._events and not self._is_closed:
                    event = self._events.popleft()
                    if len(self._events) == UNREAD_EVENTS // 2:
                        self._seat.go_on()
                    yield event
                if self._fault is not None:
                    raise EngineFault(self._fault.message, self._fault.code)
                if not self._is_closed:
                    self._arrived.clear()
                    await self._arrived.wait()
        finally:
            self._is_live = False
            self._seat.halt()

    async def aclose(self) -> None:
        """It ends what is live, which is no failure."""
        if not self._is_closed:
            self._is_closed = True
            self._seat.halt()
            self._seat.leave()
            self._arrived.set()

    # What the clock tells: called in its thread

    @property
    def has_room(self) -> bool:
        return len(self._events) < UNREAD_EVENTS

    @property
    def is_replying(self) -> bool:
        return self._floor.is_replying

    def take(self, heard: bytes, spoken: Spoken, at_ms: int) -> None:
        if self._begins:
            self._begins = False
            self._floor.break_off()
        if events := self._floor.frame(heard, spoken, at_ms):
            self._tell(events)

    def fail(self, fault: EngineFault) -> None:
        self._loop.call_soon_threadsafe(self._fail, fault)

    def _tell(self, events: Sequence[LiveEvent]) -> None:
        self._loop.call_soon_threadsafe(self._receive, events)

    # In the event loop again

    def _receive(self, events: Sequence[LiveEvent]) -> None:
        if self._is_live:
            self._events.extend(events)
            self._arrived.set()

    def _fail(self, fault: EngineFault) -> None:
        self._fault = fault
        self._arrived.set()
