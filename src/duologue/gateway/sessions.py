"""Admission: how many sessions are open, whose they are, and how they are ended from here.

Every transport takes a place before it makes a session and gives it back after. All end at
shutdown, those of one key when it is revoked. Nothing here knows what a session does.
"""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from duologue.core.inputs import Dismissed
from duologue.errors import EngineBusy
from duologue.gateway.keys import Key
from duologue.runtime.runner import Runner

logger = logging.getLogger(__name__)

GOING_AWAY = 1001

REVOKED = Dismissed("invalid_api_key", "The API key of this session was revoked.", 3000)


class KeyBusy(EngineBusy):
    """The key has as many sessions open as it may."""


class Sessions:
    """The open sessions of one server, at most `limit`."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.open = 0
        self._runners: dict[Runner, Key] = {}
        self._closing = False
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def closing(self) -> bool:
        """True from the moment the server is being stopped."""
        return self._closing

    @contextmanager
    def place(self, key: Key) -> Iterator[None]:
        """One place for as long as the block lasts.

        Raises `EngineBusy` when none is free, `KeyBusy` when `key` may have no more.
        """
        if self._closing:
            raise EngineBusy("The server is shutting down.")
        if self.open >= self.limit:
            raise EngineBusy(f"All {self.limit} sessions of this server are in use.")
        limit = key.terms.max_sessions
        if limit is not None and key.open_sessions >= limit:
            raise KeyBusy(f"All {limit} sessions of this API key are in use.")
        self.open += 1
        key.open_sessions += 1
        self._empty.clear()
        try:
            yield
        finally:
            self.open -= 1
            key.open_sessions -= 1
            if not self.open:
                self._empty.set()

    @contextmanager
    def running(self, runner: Runner, key: Key) -> Iterator[None]:
        """Note a session that `close` or `dismiss` shall end."""
        if self._closing:  # it was being opened when the server was told to stop
            runner.end(GOING_AWAY, "The server is shutting down.")
        if key.revoked:  # likewise, while it was being opened
            runner.dismiss(REVOKED)
        self._runners[runner] = key
        try:
            yield
        finally:
            del self._runners[runner]

    def dismiss(self, key: Key) -> int:
        """End the sessions of a revoked key, each told why; returns how many."""
        ended = [runner for runner, owner in self._runners.items() if owner is key]
        for runner in ended:
            runner.dismiss(REVOKED)
        return len(ended)

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
