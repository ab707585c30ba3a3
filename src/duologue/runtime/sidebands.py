"""Sidebands: further connections of a call's session, which see what its channel sees.

    runner ─► outbox ─► the call ─ put ─► Sideband ─ next_event ─► WebSocket
    runner ◄─ receive ─────────────────────────────────────────────┘

Each begins with `session.created`, which shows the session as it is. One that does not read is
cut off; the call goes on. Losing one never ends the session.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from duologue.core.inputs import BadEvent
from duologue.events import SessionCreated, SessionUpdated
from duologue.events.translation import AnyClientEvent, AnyServerEvent
from duologue.events.weight import weight_of
from duologue.runtime.ids import IdSource, new_seed
from duologue.runtime.line import Line

WAITING_BYTES = 16 * 1024 * 1024
"""Of events that may wait for one that does not read; a single one may be larger."""


class _Waiting:
    """The events of one sideband, for one reader."""

    def __init__(self) -> None:
        self.ended = False
        self._events: deque[tuple[AnyServerEvent, int]] = deque()
        self._held_bytes = 0
        self._ready = asyncio.Event()
        self._told: Callable[[], None] | None = None

    def put(self, event: AnyServerEvent) -> bool:
        """Add an event; False when it does not fit."""
        size = weight_of(event)
        if self._held_bytes and self._held_bytes + size > WAITING_BYTES:
            return False
        self._held_bytes += size
        self._events.append((event, size))
        if self._told is not None:
            self._told()
        if self._events:
            self._ready.set()
        return True

    def end(self) -> None:
        """Give the reader what waits, and then None."""
        self.ended = True
        self._ready.set()

    async def get(self) -> AnyServerEvent | None:
        """The next event; None when there will be no more."""
        while not self._events:
            if self.ended:
                return None
            self._ready.clear()
            await self._ready.wait()
        return self._taken()

    def take_now(self, limit_bytes: int) -> AnyServerEvent | None:
        """The next event, if it is there and weighs no more than that."""
        if not self._events or self._events[0][1] > limit_bytes:
            return None
        return self._taken()

    def listen(self, told: Callable[[], None]) -> None:
        """Have `told` called when an event has come, before a reader that waits."""
        self._told = told

    def _taken(self) -> AnyServerEvent:
        event, size = self._events.popleft()
        self._held_bytes -= size
        return event


class Sidebands:
    """The sidebands of one call. `receive` is the session's way in."""

    def __init__(self, receive: Callable[[AnyClientEvent | BadEvent], Awaitable[None]]) -> None:
        self._receive = receive
        self._waiting: dict[_Waiting, Line] = {}
        self._created: SessionCreated | None = None
        self._new_id = IdSource(new_seed())
        self._ended = False

    def put(self, event: AnyServerEvent) -> None:
        """Show an event of the session to all."""
        match event:
            case SessionCreated():
                self._created = event
            case SessionUpdated(session=session):
                self._created = SessionCreated(event_id=event.event_id, session=session)
            case _:
                pass
        for waiting, line in tuple(self._waiting.items()):
            if not waiting.put(event):
                line.lost(clean=False)
                waiting.end()

    def attach(self) -> Line | None:
        """One more; None where the session has not begun, or is over."""
        if self._created is None or self._ended:
            return None
        waiting = _Waiting()
        first = SessionCreated(event_id=self._new_id("event"), session=self._created.session)
        waiting.put(first)

        def lost(clean: bool) -> None:
            self._waiting.pop(waiting, None)
            waiting.end()

        line = self._waiting[waiting] = Line(waiting, self._receive, lost)
        return line

    def end(self) -> None:
        """The session is over."""
        self._ended = True
        for waiting in self._waiting:
            waiting.end()
