"""The route beneath a call's DTLS: a restart that is under way is the last to be given up."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aioice import Connection
from aiortc import RTCIceParameters

from duologue.transports.webrtc.route import Route

PEER = RTCIceParameters("abcd", "x" * 22)


class Way(Connection):
    """An ICE connection whose checks end when the test says so."""

    def __init__(self) -> None:
        super().__init__(ice_controlling=False)
        self.checked: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.closed = asyncio.Event()

    async def gather_candidates(self) -> None:
        self._local_candidates_end = True

    async def connect(self) -> None:
        await self.checked

    async def close(self) -> None:
        await super().close()
        self.closed.set()


class Bench:
    """A route, the ways that it was given so far, the first of them in use, and what it says."""

    def __init__(self, grace_s: float) -> None:
        self.ways: list[Way] = []
        self.grace_s = grace_s
        self._told: asyncio.Queue[bool] = asyncio.Queue()
        transport: Any = SimpleNamespace(_connection=self._make(), iceGatherer=SimpleNamespace())
        self.route = Route(transport, self._make, grace_s=grace_s, held=self._told.put_nowait)

    async def lose(self) -> None:
        """The peer's consent has run out, the route has heard of it, and its grace is over."""
        await self.ways[0].close()
        assert await self._told.get() is True
        await asyncio.sleep(self.grace_s)  # a timer behind the route's own, so it fires after it

    async def regained(self) -> None:
        """The restart has reached the peer."""
        assert await self._told.get() is False

    def _make(self) -> Connection:
        self.ways.append(Way())
        return self.ways[-1]


@pytest.mark.parametrize("grace_s", [0.0, 0.001])
async def test_a_way_that_is_lost_while_a_restart_is_under_way_does_not_end_the_call(
    grace_s: float,
) -> None:
    b = Bench(grace_s)
    async with asyncio.timeout(10):
        await b.route.prepare()
        await b.route.switch(PEER, [])
        await b.lose()
        assert not b.route.over
        b.ways[1].checked.set_result(None)
        await b.regained()
        assert b.route.current is b.ways[1] and not b.route.over
        await b.route.close()
    assert b.route.over and b.ways[1].closed.is_set()


async def test_a_restart_that_fails_ends_what_was_lost_meanwhile() -> None:
    b = Bench(0.0)
    async with asyncio.timeout(10):
        await b.route.prepare()
        await b.route.switch(PEER, [])
        await b.lose()
        assert not b.route.over
        b.ways[1].checked.set_exception(ConnectionError("nobody there"))
        await b.route.get_event()
    assert b.route.over


async def test_a_way_that_is_lost_with_no_restart_under_way_is_the_end() -> None:
    b = Bench(0.0)
    async with asyncio.timeout(10):
        await b.lose()
    assert b.route.over
