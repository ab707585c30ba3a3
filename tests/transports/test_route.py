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


def route(grace_s: float) -> tuple[Route, list[Way]]:
    """A route and the ways that it was given so far, the first of them in use."""
    ways: list[Way] = []

    def make() -> Connection:
        ways.append(Way())
        return ways[-1]

    transport: Any = SimpleNamespace(_connection=make(), iceGatherer=SimpleNamespace())
    return Route(transport, make, grace_s=grace_s), ways


async def lose(way: Way) -> None:
    """The peer's consent has run out, and the route has heard of it."""
    await way.close()
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.mark.parametrize("grace_s", [0.0, 0.001])
async def test_a_way_that_is_lost_while_a_restart_is_under_way_does_not_end_the_call(
    grace_s: float,
) -> None:
    subject, ways = route(grace_s)
    await subject.prepare()
    await subject.switch(PEER, [])
    await lose(ways[0])
    await asyncio.sleep(grace_s * 20)
    assert not subject.over
    ways[1].checked.set_result(None)
    await ways[0].closed.wait()
    await asyncio.sleep(0)
    assert subject.current is ways[1] and not subject.over
    await subject.close()
    assert subject.over and ways[1].closed.is_set()


async def test_a_restart_that_fails_ends_what_was_lost_meanwhile() -> None:
    subject, ways = route(0.0)
    await subject.prepare()
    await subject.switch(PEER, [])
    await lose(ways[0])
    assert not subject.over
    ways[1].checked.set_exception(ConnectionError("nobody there"))
    async with asyncio.timeout(10):
        await subject.get_event()
    assert subject.over


async def test_a_way_that_is_lost_with_no_restart_under_way_is_the_end() -> None:
    subject, ways = route(0.0)
    await lose(ways[0])
    assert subject.over
