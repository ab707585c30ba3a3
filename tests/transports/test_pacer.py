"""The clock of all calls: even, at rest without any, and not stopped by one that breaks."""

import asyncio
import logging

import pytest

from duologue.transports.webrtc.pacer import Pacer


def never() -> None:
    raise AssertionError("this one does not break")


class Call:
    """Ends a wait after so many ticks."""

    def __init__(self, ticks: int) -> None:
        self.at_s: list[float] = []
        self.done = asyncio.Event()
        self._ticks = ticks

    def tick(self) -> None:
        self.at_s.append(asyncio.get_running_loop().time())
        if len(self.at_s) == self._ticks:
            self.done.set()


async def test_ticks_keep_to_the_clock_over_all() -> None:
    pacer, call = Pacer(), Call(26)
    start_s = asyncio.get_running_loop().time()
    pacer.add(call.tick, never)
    async with asyncio.timeout(5):
        await call.done.wait()
    pacer.remove(call.tick)
    # The first is due at once. What is late once is made up for and does not add up, but nothing
    # is ever early.
    assert all(at >= start_s + number * 0.02 - 0.002 for number, at in enumerate(call.at_s))
    assert call.at_s[-1] - start_s < 1.0


async def test_one_that_breaks_is_let_fall_and_the_others_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken() -> None:
        raise RuntimeError("no more sound")

    pacer, call = Pacer(), Call(4)
    told: list[str] = []
    pacer.add(broken, lambda: told.append("broke"))
    pacer.add(call.tick, never)
    async with asyncio.timeout(5):
        await call.done.wait()
    pacer.remove(call.tick)
    assert [one.levelno for one in caplog.records] == [logging.ERROR]
    assert told == ["broke"]


async def test_a_call_can_leave_and_another_come() -> None:
    pacer = Pacer()
    for _ in range(2):
        call = Call(3)
        pacer.add(call.tick, never)
        async with asyncio.timeout(5):
            await call.done.wait()
        pacer.remove(call.tick)
        count = len(call.at_s)
        other = Call(3)
        pacer.add(other.tick, never)
        async with asyncio.timeout(5):
            await other.done.wait()
        pacer.remove(other.tick)
        assert len(call.at_s) == count
