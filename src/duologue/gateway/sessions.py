"""Admission: how many sessions are open, and the end of all of them at shutdown.

Every transport takes a place before it makes a session and gives it back after. Nothing
here knows what a session does.
"""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from duologue.errors import EngineBusy
from duologue.runtime.runner import Runner

logger = logging.getLogger(__name__)

GOING_AWAY = 1001


class Sessions:
    """The open sessions of one server, at most `limit`."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.open = 0
        self._runners: set[Runner] = set()
        self._closing = False
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def closing(self) -> bool:
        """True from the moment the server is being stopped."""
        return self._closing

    @contextmanager
    def place(self) -> Iterator[None]:
        """One place for as long as the block lasts; raises `EngineBusy` when none is free."""
        if self._closing:
            raise EngineBusy("The server is shutting down.")
        if self.open >= self.limit:
            raise EngineBusy(f"All {self.limit} sessions of this server are in use.")
        self.open += 1
        self._empty.clear()
        try:
            yield
        finally:
            self.open -= 1
            if not self.open:
                self._empty.set()

    @contextmanager
    def running(self, runner: Runner) -> Iterator[None]:
        """Note a session that `close` shall end."""
        if self._closing:  # it was being opened when the server was told to stop
            runner.end(GOING_AWAY, "The server is shutting down.")
        self._runners.add(runner)
        try:
            yield
        finally:
            self._runners.discard(runner)

    async def close(self, patience_s: float) -> None:
        """Let no more in, end those that are open, and wait until they are gone."""
        self._closing = True
        for runner in tuple(self._runners):
            runner.end(GOING_AWAY, "The server is shutting down.")
        try:
            async with asyncio.timeout(patience_s):
                await self._empty.wait()
        except TimeoutError:
            logger.warning("%d sessions did not end in %g s", self.open, patience_s)
