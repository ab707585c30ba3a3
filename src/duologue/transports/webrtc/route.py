"""The route: the ICE connection beneath one peer's DTLS, which may be made anew.

    DTLS ─ send ─► Route ─► the connection that is current ─► UDP
         ◄─ recv ─ Route ◄─ any connection that is not closed

aiortc cannot restart ICE. It sees a route in the place of its ICE connection instead, and goes
on with the same keys, streams and channel while one connection replaces another beneath them
(RFC 8445, section 9). A connection whose peer no longer consents (RFC 7675) is given up; the
route then lasts `grace_s` longer for a restart to come.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from aioice import Candidate, Connection
from aioice.ice import ConnectionClosed, ConnectionEvent
from aiortc import RTCIceParameters
from aiortc.rtcicetransport import RTCIceTransport

logger = logging.getLogger(__name__)

UNREAD_DATAGRAMS = 4096
"""Datagrams that may wait for DTLS, which takes each as it comes; the rest is lost, as on UDP."""

SWITCH_S = 30.0
"""How long a restart may take to reach the peer."""


def _of_current(name: str) -> Any:
    """A property of the connection that is current, for aiortc to read and to set."""

    def read(route: "Route") -> Any:
        return getattr(route.current, name)

    def write(route: "Route", value: Any) -> None:
        setattr(route.current, name, value)

    return property(read, write)


class Route:
    """Made of a transport whose connection has not gathered yet; `make` gives further ones.

    `held` is called with True when there is no way to the peer, with False when there is again.
    """

    ice_controlling = _of_current("ice_controlling")
    local_candidates = _of_current("local_candidates")
    local_password = _of_current("local_password")
    local_username = _of_current("local_username")
    remote_candidates = _of_current("remote_candidates")
    remote_is_lite = _of_current("remote_is_lite")
    remote_password = _of_current("remote_password")
    remote_username = _of_current("remote_username")

    def __init__(
        self,
        transport: RTCIceTransport,
        make: Callable[[], Connection],
        *,
        grace_s: float = 0.0,
        held: Callable[[bool], None] = lambda is_held: None,
    ) -> None:
        self.current = transport._connection
        self._make = make
        self._grace_s = grace_s
        self._held = held
        self._next: Connection | None = None
        self._switching: asyncio.Task[None] | None = None
        self._watching: dict[Connection, asyncio.Task[None]] = {}
        self._given_up: asyncio.TimerHandle | None = None
        self._is_last_chance = False
        """Whether the way is lost for good, unless the restart under way reaches the peer."""
        self._closing: set[asyncio.Task[None]] = set()
        self._received: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._over = asyncio.Event()
        self._join(self.current)
        transport._connection = transport.iceGatherer._connection = self  # type: ignore[assignment]
        transport._recv, transport._send = self.recv, self.send

    # What aiortc asks of a connection

    async def gather_candidates(self) -> None:
        """Gather those of the first connection."""
        await self.current.gather_candidates()

    async def add_remote_candidate(self, candidate: Candidate | None) -> None:
        """Take one of the peer's candidates, for the first connection."""
        await self.current.add_remote_candidate(candidate)

    async def connect(self) -> None:
        """Connect the first connection; raises `ConnectionError`."""
        await self.current.connect()

    async def recv(self) -> bytes:
        """The next datagram; raises `ConnectionError` once the route is over."""
        data = await self._received.get()
        if data is None:
            self._received.put_nowait(None)
            raise ConnectionError("The route is over.")
        return data

    async def send(self, data: bytes) -> None:
        """Send a datagram; lost, as on any network, while there is no way to the peer."""
        try:
            await self.current.send(data)
        except ConnectionError:
            if self._over.is_set():
                raise

    async def get_event(self) -> ConnectionEvent:
        """The one event that there is: the route is over."""
        await self._over.wait()
        return ConnectionClosed()

    async def close(self) -> None:
        """End the route and let go of all sockets."""
        self._end()
        if self._switching is not None:
            self._switching.cancel()
            await asyncio.gather(self._switching, return_exceptions=True)
        for connection in (*self._watching, self._next):
            if connection is not None:
                self._retire(connection)
        await asyncio.gather(*self._closing, *self._watching.values(), return_exceptions=True)

    # Restarts

    @property
    def over(self) -> bool:
        """Whether it carries nothing more and cannot be restarted."""
        return self._over.is_set()

    async def prepare(self) -> Connection:
        """A further connection, with its candidates, which `switch` would go over to."""
        await self._drop_next()
        self._next = fresh = self._make()
        fresh.ice_controlling = self.current.ice_controlling
        await fresh.gather_candidates()
        return fresh

    async def switch(self, remote: RTCIceParameters, candidates: list[Candidate]) -> None:
        """Go over to the prepared connection as soon as it reaches the peer, if ever."""
        fresh = self._next
        assert fresh is not None, "a switch to a connection that was not prepared"
        fresh.remote_is_lite = remote.iceLite
        fresh.remote_username = remote.usernameFragment
        fresh.remote_password = remote.password
        for candidate in candidates:
            await fresh.add_remote_candidate(candidate)
        # Whether there are more is not told: behind a router the peer may know of none at all.
        self._switching = asyncio.get_running_loop().create_task(self._switch(fresh))

    async def _switch(self, fresh: Connection) -> None:
        self._join(fresh)  # what comes before the checks are over is the peer's too
        try:
            async with asyncio.timeout(SWITCH_S):
                await fresh.connect()
        except (ConnectionError, TimeoutError):
            logger.info("a restart of ICE did not reach the peer")
            self._retire(fresh)
            if self._is_last_chance:
                self._end()
            return
        former, self.current = self.current, fresh
        self._next, self._is_last_chance = None, False
        if self._given_up is not None:
            self._given_up.cancel()
            self._given_up = None
        self._held(False)
        logger.info("ICE was restarted")
        self._retire(former)

    async def _drop_next(self) -> None:
        switching, self._switching = self._switching, None
        fresh, self._next = self._next, None
        if switching is not None and not switching.done():
            switching.cancel()
            await asyncio.gather(switching, return_exceptions=True)
        if fresh is not None and fresh is not self.current:
            self._retire(fresh)
        if self._is_last_chance:
            self._is_last_chance = False
            self._given_up = asyncio.get_running_loop().call_later(SWITCH_S, self._give_up)

    def _retire(self, connection: Connection) -> None:
        """Close a connection in a task that nobody cancels: one that is closed by halves (a relay
        may take its time) could never be closed again."""
        task = asyncio.get_running_loop().create_task(connection.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    # Connections, from their first datagram to their end

    def _join(self, connection: Connection) -> None:
        connection.data_received = self._take  # type: ignore[method-assign]
        self._watching[connection] = asyncio.get_running_loop().create_task(self._watch(connection))

    def _take(self, data: bytes, component: int) -> None:
        # An empty datagram, from anybody at all, would end aiortc's DTLS.
        if data and self._received.qsize() < UNREAD_DATAGRAMS:
            self._received.put_nowait(data)

    async def _watch(self, connection: Connection) -> None:
        await connection.get_event()  # there is but one: it was closed
        del self._watching[connection]
        if connection is not self.current or self._over.is_set():
            return
        self._held(True)
        if not self._grace_s:
            self._give_up()
            return
        logger.info("there is no way to the peer; a restart may come within %g s", self._grace_s)
        loop = asyncio.get_running_loop()
        self._given_up = loop.call_later(self._grace_s, self._give_up)

    def _give_up(self) -> None:
        """Nobody waits for a restart any more, but for one that is under way."""
        self._given_up = None
        if self._switching is not None and not self._switching.done():
            self._is_last_chance = True
        else:
            self._end()

    def _end(self) -> None:
        if self._given_up is not None:
            self._given_up.cancel()
        if not self._over.is_set():
            self._over.set()
            self._received.put_nowait(None)
