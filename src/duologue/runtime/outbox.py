"""The outbox: server events on their way to one client, bounded by the bytes they hold.

    runner ─ put ─► waiting ─ get ─► the transport's writer
                       ▲                  │
                       └── rewind ── log ◄┘   of what was sent, where a client may come back

The runner puts and, after a batch, flushes; one connection at a time takes, by waiting or, where
it listens, as soon as it is told. Each begins with `session.created`. What is
taken is in the client's sound formats, and so is the log: nothing is converted twice. A client
that does not read fills it; then the session is closed rather than memory filled. One event fits
however large it is, since who is sent that need not be slow. Sound of an interrupted response, or
of an item beyond its cut, can be dropped while it is still here (C-157).
"""

import asyncio
from collections import deque
from collections.abc import Callable

from duologue.events import ResponseOutputAudioDelta, SessionCreated
from duologue.events.translation import AnyServerEvent, TranslationCreated
from duologue.events.weight import EVENT_BYTES, weight_of
from duologue.runtime.formats import Outgoing

_Held = tuple[AnyServerEvent, int]
"""An event and its weight in bytes, found once."""


class Outbox:
    """A queue of server events with one reader; `end` closes it after what it holds.

    `log_bytes` of what was sent are kept, to be sent again over another connection.
    """

    def __init__(self, limit_bytes: int, *, log_bytes: int = 0) -> None:
        self._limit_bytes = limit_bytes
        self._held_bytes = 0
        self._events: deque[_Held] = deque()
        self._again: deque[_Held] = deque()
        """What goes before those, converted already."""
        self._outgoing = Outgoing()
        self._taking = asyncio.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._readers: list[asyncio.Future[None]] = []
        """Who waits for an event; two at most, when one connection takes the place of another."""
        self._told: Callable[[], None] | None = None
        """Who takes what it can when a batch is there, before a reader that waits."""
        self._unflushed = False
        self._ended = False
        self._begun = False
        self._connection = 0
        self._log_bytes = log_bytes
        self._logged_bytes = 0
        self._log: deque[tuple[str, AnyServerEvent | None, int]] = deque()
        """Ids of what was sent, what it was, unless it shall not be sent again, and its weight."""
        self._leaving: AnyServerEvent | None = None
        """What the reader has taken and perhaps not yet sent."""
        self._in_doubt = False
        """Whether the last of the log may never have left."""

    def begin(self, event: SessionCreated | TranslationCreated) -> None:
        """The first event of a connection, before all that waits; until it there are none."""
        self._begun = True
        if not self._ended:
            # What waits may be older than the formats that this one shows to a client come back.
            size = weight_of(event)
            (self._again if self._connection else self._events).appendleft((event, size))
            self._held_bytes += size
        self._wake()

    def put(self, event: AnyServerEvent) -> bool:
        """Add an event; False when it does not fit, or the outbox has ended."""
        size = weight_of(event)
        if self._ended or (self._held_bytes and self._held_bytes + size > self._limit_bytes):
            return False
        self._held_bytes += size
        self._events.append((event, size))
        if self._told is None:
            self._wake()
        else:
            self._unflushed = True
        return True

    def listen(self, told: Callable[[], None]) -> None:
        """Have `told` called at each `flush`, until the connection hangs up."""
        self._told = told

    def flush(self) -> None:
        """A batch of events has been put: they may leave, together."""
        if self._unflushed:
            self._unflushed = False
            if self._told is not None:
                self._told()
            if self._events:
                self._wake()

    def drop_audio(self, response_id: str) -> None:
        """Remove the sound of a response that has not been taken yet, nor send it again."""
        self._drop(lambda sound: sound.response_id == response_id)

    def drop_item_audio(self, item_id: str) -> None:
        """Remove the sound of one item likewise."""
        self._drop(lambda sound: sound.item_id == item_id)

    def end(self, *, discard: bool = False) -> None:
        """Take no more events; the reader gets None after those held (none, if `discard`)."""
        self._ended = True
        if discard:
            self._events.clear()
            self._again.clear()
            self._held_bytes = 0
        self._wake()

    def hang_up(self) -> None:
        """The connection is gone: its reader gets None, and what comes waits for the next one."""
        self._connection += 1
        self._told = None
        self._begun = False
        self._in_doubt = self._leaving is not None
        self._note_sent()
        self._wake()

    def reaches(self, after: str | None) -> bool:
        """Whether all that was sent after the event of that id is still known."""
        if after is None or (self._leaving is not None and self._leaving.event_id == after):
            return True
        return any(event_id == after for event_id, _, _ in self._log)

    def rewind(self, after: str | None) -> None:
        """Have sent again what was sent after event `after`, which must be known.

        None: what the connection that is gone may have been unable to send.
        """
        while self._log:
            event_id, event, size = self._log[-1]
            if event_id == after or (after is None and not self._in_doubt):
                break
            self._in_doubt = False
            self._log.pop()
            self._logged_bytes -= size
            if event is not None and not isinstance(event, SessionCreated):
                self._again.appendleft((event, size))
                self._held_bytes += size
        self._in_doubt = False

    async def get(self) -> AnyServerEvent | None:
        """The next event as it is to be sent.

        None once the outbox has ended and is empty, or after `hang_up`.
        """
        connection = self._connection
        self._note_sent()
        while (event := self._next_inline()) is None:
            if self._begun and (self._again or self._events):
                async with self._taking:  # the reader of a connection that is gone may be at it
                    event = await self._take()
                if event is not None and connection != self._connection:
                    size = weight_of(event)
                    self._again.append((event, size))  # behind what is sent again, before the rest
                    self._held_bytes += size
                    return None
                if event is not None:
                    break
            elif self._ended:
                return None
            else:
                await self._more()
            if connection != self._connection:
                return None
        self._note_sent()  # what was taken at once while this waited
        if self._log_bytes:
            self._leaving = event
        return event

    def take_now(self, limit_bytes: int) -> AnyServerEvent | None:
        """What `get` would give, if it need not wait and the event weighs no more than that."""
        if not self._events or self._events[0][1] > limit_bytes:
            return None
        self._note_sent()
        event = self._next_inline()
        if self._log_bytes:
            self._leaving = event
        return event

    async def _more(self) -> None:
        """Wait for `_wake`. A bare future: an `asyncio.Event` costs a system call for each wait."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        waits = self._loop.create_future()
        self._readers.append(waits)
        await waits

    def _wake(self) -> None:
        if self._readers:
            readers, self._readers = self._readers, []
            for waits in readers:
                if not waits.done():  # who was cancelled waits no more
                    waits.set_result(None)

    def _next_inline(self) -> AnyServerEvent | None:
        """The next event where it is there and quickly converted, as most are."""
        if not self._begun or self._again or not self._events or self._taking.locked():
            return None
        event, size = self._events[0]
        changes = self._outgoing.changes(event)  # most are sound in the format that it has already
        if changes and self._outgoing.is_long(event):
            return None
        self._events.popleft()
        self._held_bytes -= size
        return self._outgoing.convert(event) if changes else event

    async def _take(self) -> AnyServerEvent | None:
        waiting = self._again or self._events
        if not waiting:
            return None
        event, size = waiting.popleft()
        self._held_bytes -= size
        if waiting is self._again:
            return event
        if self._outgoing.is_long(event):
            return await asyncio.to_thread(self._outgoing.convert, event)
        return self._outgoing.convert(event)

    def _drop(self, falls: Callable[[ResponseOutputAudioDelta], bool]) -> None:
        self._events = self._without_sound(self._events, falls)
        self._again = self._without_sound(self._again, falls)
        for index, (event_id, sent, size) in enumerate(self._log):
            if isinstance(sent, ResponseOutputAudioDelta) and falls(sent):
                self._logged_bytes -= size - EVENT_BYTES
                self._log[index] = (event_id, None, EVENT_BYTES)

    def _without_sound(
        self, held: deque[_Held], falls: Callable[[ResponseOutputAudioDelta], bool]
    ) -> deque[_Held]:
        kept: deque[_Held] = deque()
        for one in held:
            if isinstance(one[0], ResponseOutputAudioDelta) and falls(one[0]):
                self._held_bytes -= one[1]
            else:
                kept.append(one)
        return kept

    def _note_sent(self) -> None:
        if self._leaving is None:
            return
        size = weight_of(self._leaving)
        self._log.append((self._leaving.event_id, self._leaving, size))
        self._logged_bytes += size
        self._leaving = None
        while self._logged_bytes > self._log_bytes and len(self._log) > 1:
            self._logged_bytes -= self._log.popleft()[2]
