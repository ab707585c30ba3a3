"""A line: one connection of a session's client, which a later one may replace.

    transport ─ receive, append_now ─► runner     outbox ─ next_event, take_now ─► transport
                                       runner ◄─ lost ─ transport

A line that was lost or replaced is stale: it gets no more events, and what still comes over
it is let fall, so that two connections can never speak for one client at a time.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

from duologue.core.inputs import BadEvent
from duologue.events.translation import AnyClientEvent, AnyServerEvent


class Waiting(Protocol):
    """What waits for a connection: the outbox, or a sideband's share of it."""

    async def get(self) -> AnyServerEvent | None:
        """The next event; None when there will be no more."""

    def take_now(self, limit_bytes: int) -> AnyServerEvent | None:
        """The next event where it is there, light, and to be had without waiting."""

    def listen(self, told: Callable[[], None]) -> None:
        """Have `told` called when events have come; what it leaves is for `get`."""


class Line:
    """Made by the runner; `stale` once it is not the client's connection any more.

    `hear` takes sound that comes beside the events; without it the line has no such way. Nor has
    it a short way for appended sound without `append_now`.
    """

    def __init__(
        self,
        waiting: Waiting,
        receive: Callable[[AnyClientEvent | BadEvent], Awaitable[None]],
        lost: Callable[[bool], None],
        hear: Callable[[bytes], Awaitable[None]] | None = None,
        append_now: Callable[[bytes], bool] | None = None,
    ) -> None:
        self.stale = False
        self._waiting = waiting
        self._hear = hear
        self._append_now = append_now
        self._receive = receive
        self._lost = lost

    async def receive(self, event: AnyClientEvent | BadEvent) -> None:
        """Take a client event, in arrival order; waits while the session is busy."""
        if not self.stale:
            await self._receive(event)

    def append_now(self, sound: bytes) -> bool:
        """Take appended sound if that needs no waiting; False: it has to go by `receive`."""
        return self.stale or (self._append_now is not None and self._append_now(sound))

    async def hear(self, pcm: bytes) -> None:
        """Take 24 kHz mono s16le that the transport brings as sound, not as an event."""
        if not self.stale and self._hear is not None:
            await self._hear(pcm)

    async def next_event(self) -> AnyServerEvent | None:
        """The next event for this connection; None when there will be no more."""
        return None if self.stale else await self._waiting.get()

    def take_now(self, limit_bytes: int) -> AnyServerEvent | None:
        """The next event, unless it has to be waited for or weighs more."""
        return None if self.stale else self._waiting.take_now(limit_bytes)

    def listen(self, told: Callable[[], None]) -> None:
        """Have `told` called when there are events, which may `take_now` while none is awaited."""
        self._waiting.listen(told)

    def lost(self, *, clean: bool) -> None:
        """The connection is gone; `clean` when the client said that it is done."""
        if not self.stale:
            self.stale = True
            self._lost(clean)
