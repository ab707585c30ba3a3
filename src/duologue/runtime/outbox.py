"""The outbox: server events on their way to one client, bounded by the bytes they hold.

The runner puts, the transport's writer takes; what it takes is in the client's sound formats.
A client that does not read fills it; then
the session is closed rather than memory filled. Sound of an interrupted response can be
dropped while it is still here (C-157).
"""

import asyncio
from collections import deque

from duologue.events import ResponseOutputAudioDelta, ServerEvent
from duologue.runtime.formats import Outgoing

EVENT_OVERHEAD_BYTES = 512
"""What any event is counted as, besides the sound in it."""


class Outbox:
    """A queue of server events with one reader; `end` closes it after what it holds."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._held_bytes = 0
        self._events: deque[ServerEvent] = deque()
        self._ready = asyncio.Event()
        self._ended = False
        self._outgoing = Outgoing()

    def put(self, event: ServerEvent) -> bool:
        """Add an event; False when it does not fit, or the outbox has ended."""
        size = _size(event)
        if self._ended or self._held_bytes + size > self._limit_bytes:
            return False
        self._held_bytes += size
        self._events.append(event)
        self._ready.set()
        return True

    def drop_audio(self, response_id: str) -> None:
        """Remove the sound of a response that has not been taken yet."""
        kept: deque[ServerEvent] = deque()
        for event in self._events:
            if isinstance(event, ResponseOutputAudioDelta) and event.response_id == response_id:
                self._held_bytes -= _size(event)
            else:
                kept.append(event)
        self._events = kept

    def end(self, *, discard: bool = False) -> None:
        """Take no more events; the reader gets None after those held (none, if `discard`)."""
        self._ended = True
        if discard:
            self._events.clear()
            self._held_bytes = 0
        self._ready.set()

    async def get(self) -> ServerEvent | None:
        """The next event as it is to be sent, or None once the outbox has ended and is empty."""
        while not self._events:
            if self._ended:
                return None
            self._ready.clear()
            await self._ready.wait()
        event = self._events.popleft()
        self._held_bytes -= _size(event)
        return await self._outgoing.convert(event)


def _size(event: ServerEvent) -> int:
    sound = len(event.delta) if isinstance(event, ResponseOutputAudioDelta) else 0
    return EVENT_OVERHEAD_BYTES + sound
