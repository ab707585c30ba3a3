"""The inbox: what waits to enter one session, in the order in which it came.

    readers, jobs ─ put ─► line ─ drain ─► the runner, woken once for all that has come
    scored sound ─ enter ─► the same line, the runner woken within the same turn of the loop

Bounded: `put` waits while it is full. A queue whose reader is a task costs a future and a turn
of the loop for every input; a server of many sessions spent a tenth of its time on that. Here
the first input of a batch has `wake` called by the loop, and nothing else is scheduled. What
`enter`s has waited its turn elsewhere, and calls `wake` itself.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from duologue.core.inputs import Input


class Inbox:
    """Made inside a running event loop; `wake` is called soon after the line begins to fill.

    It may find the line empty: something entered, and took all with it.
    """

    def __init__(self, limit: int, wake: Callable[[], None]) -> None:
        self._limit = limit
        self._wake = wake
        self._loop = asyncio.get_running_loop()
        self._line: deque[Input] = deque()
        self._putters: deque[asyncio.Future[None]] = deque()
        self._joiners: deque[tuple[int, asyncio.Future[None]]] = deque()
        """Who waits until so many have been taken in all."""
        self._put_count = 0
        self._taken_count = 0
        self._closed = False

    def __bool__(self) -> bool:
        return bool(self._line)

    @property
    def has_room(self) -> bool:
        """Whether `put` would not wait."""
        return len(self._line) < self._limit or self._closed

    async def put(self, entry: Input) -> None:
        """Add an input; waits while the inbox is full. After `close` it is let fall."""
        while len(self._line) >= self._limit and not self._closed:
            turn = self._loop.create_future()
            self._putters.append(turn)
            await turn
        self.put_nowait(entry)

    def put_nowait(self, entry: Input) -> None:
        """Add an input even to a full inbox."""
        if self._closed:
            return
        if not self._line:
            self._loop.call_soon(self._wake)
        self._line.append(entry)
        self._put_count += 1

    def enter(self, entries: Iterable[Input]) -> None:
        """Add inputs even to a full inbox, and have them taken now; never called by `wake`."""
        if self._closed:
            return
        before = len(self._line)
        self._line.extend(entries)
        self._put_count += len(self._line) - before
        self._wake()

    def drain(self, limit: int) -> Iterator[Input]:
        """Up to so many inputs, as they came; asking for another says that one has entered."""
        line = self._line
        for _ in range(limit):
            if not line:
                return
            entry = line.popleft()
            if self._putters:
                _let_go(self._putters)
            yield entry
            self._taken_count += 1
            while self._joiners and self._joiners[0][0] <= self._taken_count:
                _settle(self._joiners.popleft()[1])

    async def join(self) -> None:
        """Wait until all that was put has entered the session, or never will."""
        if self._taken_count < self._put_count and not self._closed:
            settled = self._loop.create_future()
            self._joiners.append((self._put_count, settled))
            await settled

    def close(self) -> None:
        """Let everything fall, and everybody go who waits."""
        self._closed = True
        self._line.clear()
        while self._putters:
            _settle(self._putters.popleft())
        while self._joiners:
            _settle(self._joiners.popleft()[1])


def _let_go(putters: deque[asyncio.Future[None]]) -> None:
    """The first who still waits may put."""
    while putters:
        turn = putters.popleft()
        if not turn.done():
            turn.set_result(None)
            return


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():  # who was cancelled waits no more
        future.set_result(None)
