"""The inbox: order, the bound, and who waits is let go."""

import asyncio

import pytest

from duologue.core.inputs import BadEvent, Input
from duologue.runtime.inbox import Inbox
from waiting import started


def numbered(number: int) -> BadEvent:
    return BadEvent(str(number), "")


class Session:
    """Takes what has come each time it is woken, or only so much of it."""

    def __init__(self, limit: int, takes: int = 1000) -> None:
        self.inbox = Inbox(limit, self._wake)
        self.takes = takes
        self.entered: list[Input] = []
        self.woken = 0

    def _wake(self) -> None:
        self.woken += 1
        self.entered.extend(self.inbox.drain(self.takes))


async def test_what_enters_is_taken_at_once_behind_what_waits() -> None:
    session = Session(limit=1)
    session.inbox.put_nowait(numbered(0))
    session.inbox.enter(map(numbered, (1, 2)))
    assert session.entered == [numbered(0), numbered(1), numbered(2)]
    await session.inbox.join()
    session.inbox.close()
    session.inbox.enter([numbered(3)])
    assert len(session.entered) == 3


async def test_all_that_comes_in_one_turn_of_the_loop_wakes_once_and_enters_in_order() -> None:
    session = Session(limit=100)
    for number in range(10):
        await session.inbox.put(numbered(number))
    assert not session.entered
    await session.inbox.join()
    assert session.woken == 1
    assert session.entered == [numbered(number) for number in range(10)]


async def test_it_wakes_again_for_what_comes_later() -> None:
    session = Session(limit=100)
    for number in range(3):
        await session.inbox.put(numbered(number))
        await session.inbox.join()
    assert session.woken == 3
    assert session.entered == [numbered(number) for number in range(3)]


async def test_who_puts_into_a_full_one_waits_and_nothing_is_lost() -> None:
    session = Session(limit=4)

    async def reader(first: int) -> None:
        for number in range(first, first + 50):
            await session.inbox.put(numbered(number))
            assert len(session.inbox._line) <= 4 + 1

    async with asyncio.TaskGroup() as readers:
        readers.create_task(reader(0))
        readers.create_task(reader(100))
    await session.inbox.join()
    entered = [int(entry.code) for entry in session.entered if isinstance(entry, BadEvent)]
    assert [number for number in entered if number < 100] == list(range(50))
    assert [number for number in entered if number >= 100] == list(range(100, 150))


async def test_one_who_gives_up_waiting_is_passed_over() -> None:
    session = Session(limit=1, takes=0)
    await session.inbox.put(numbered(1))
    gives_up = await started(session.inbox.put(numbered(2)))
    waits = await started(session.inbox.put(numbered(3)))
    assert not gives_up.done() and not waits.done()
    gives_up.cancel()
    assert next(session.inbox.drain(1)) == numbered(1)
    await waits
    assert next(session.inbox.drain(1)) == numbered(3)


async def test_a_full_one_still_takes_what_must_not_wait() -> None:
    session = Session(limit=1)
    await session.inbox.put(numbered(1))
    session.inbox.put_nowait(numbered(2))
    await session.inbox.join()
    assert session.entered == [numbered(1), numbered(2)]


async def test_closed_it_lets_everybody_go_and_takes_nothing_more() -> None:
    session = Session(limit=1, takes=0)
    await session.inbox.put(numbered(1))
    put = await started(session.inbox.put(numbered(2)))
    joined = await started(session.inbox.join())
    session.inbox.close()
    async with asyncio.timeout(10):
        await put
        await joined
    assert not session.inbox
    await session.inbox.put(numbered(3))
    assert not session.inbox
    await session.inbox.join()


@pytest.mark.parametrize("behind", [0, 1, 7])
async def test_to_join_is_to_wait_for_what_was_there_and_no_longer(behind: int) -> None:
    session = Session(limit=100, takes=1)
    await session.inbox.put(numbered(0))
    joined = await started(session.inbox.join())
    for number in range(behind):
        await session.inbox.put(numbered(1 + number))
    await joined
    assert numbered(0) in session.entered
