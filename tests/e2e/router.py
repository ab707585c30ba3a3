"""A router between a browser and a server: UDP through a relay that can lose the network.

    async with routed() as (router, settings):
        async with serving(scripted(**settings)) as base_url: ...
        router.cut(); router.mend()
        router.move()       # a new address on the side of the server, as after a change of network

The server stands behind it as one behind a real router does: it listens on a range of ports of
one address and tells its peers another one, which the router passes on.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

INSIDE, OUTSIDE = "127.0.0.1", "127.0.0.2"
PORTS = 8

Address = tuple[str, int]


class Router:
    """Passes datagrams on, both ways, unless it was `cut`; `passed` counts them."""

    def __init__(self) -> None:
        self.passed = 0
        self._is_cut = False
        self._outside: list[asyncio.DatagramTransport] = []
        self._inside: dict[tuple[int, Address], asyncio.DatagramTransport] = {}
        self._opening: set[asyncio.Task[None]] = set()

    def cut(self) -> None:
        """Lose every datagram from now on."""
        self._is_cut = True

    def mend(self) -> None:
        """Pass them on again."""
        self._is_cut = False

    def move(self) -> None:
        """Forget who is who: the browser speaks from another address, and answers to the old
        one are lost."""
        for transport in self._inside.values():
            transport.close()
        self._inside.clear()

    async def open(self, first_port: int) -> None:
        """Listen outside; raises `OSError` where a port is taken."""
        for port in range(first_port, first_port + PORTS):
            await self._listen(port)

    def close(self) -> None:
        """Let go of all sockets."""
        self.move()
        for transport in self._outside:
            transport.close()
        self._outside.clear()

    async def _listen(self, port: int) -> None:
        loop = asyncio.get_running_loop()
        side = _Side(lambda data, client: self._inward(port, data, client))
        transport, _ = await loop.create_datagram_endpoint(lambda: side, local_addr=(OUTSIDE, port))
        self._outside.append(transport)
        side.transport = transport

    def _inward(self, port: int, data: bytes, client: Address) -> None:
        if self._is_cut:
            return
        if (port, client) in self._inside:
            self.passed += 1
            self._inside[port, client].sendto(data)
            return
        task = asyncio.get_running_loop().create_task(self._follow(port, client))
        self._opening.add(task)  # what comes until it is done is lost; ICE tries again
        task.add_done_callback(self._opening.discard)

    async def _follow(self, port: int, client: Address) -> None:
        outside = next(one for one in self._outside if one.get_extra_info("sockname")[1] == port)

        def outward(data: bytes, server: Address) -> None:
            if not self._is_cut and not outside.is_closing():
                self.passed += 1
                outside.sendto(data, client)

        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _Side(outward), local_addr=(INSIDE, 0), remote_addr=(INSIDE, port)
        )
        if (port, client) in self._inside:
            transport.close()
        else:
            self._inside[port, client] = transport


class _Side(asyncio.DatagramProtocol):
    def __init__(self, take: Callable[[bytes, Address], None]) -> None:
        self._take = take
        self.transport: asyncio.DatagramTransport | None = None

    def datagram_received(self, data: bytes, address: Any) -> None:
        self._take(data, address)


@asynccontextmanager
async def routed() -> AsyncIterator[tuple[Router, dict[str, str]]]:
    """A router, and the settings of a server that stands behind it."""
    for _ in range(20):
        first = _free_port()
        router = Router()
        try:
            await router.open(first)
        except OSError:
            router.close()
            continue
        settings = {
            "webrtc_hosts": INSIDE,
            "webrtc_address": OUTSIDE,
            "webrtc_ports": f"{first}-{first + PORTS - 1}",
        }
        try:
            yield router, settings
        finally:
            router.close()
        return
    raise OSError("There is no range of free ports.")


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((OUTSIDE, 0))
        port: int = probe.getsockname()[1]
        return min(port, 65000)
