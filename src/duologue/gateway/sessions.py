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
    """The open sessions of one server: conversations, at most `limit`, and those that listen.

    A session that only listens needs no place in the engine, so those are counted apart.
    """

    def __init__(self, limit: int, listening_limit: int = 0) -> None:
        self.limit = limit
        self.listening_limit = listening_limit
        self.open = 0
        self.listening = 0
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
        """One conversation's place for as long as the block lasts.

        Raises `EngineBusy` when none is free, `KeyBusy` when `key` may have no more.
        """
        if self.open >= self.limit and not self._closing:
            raise EngineBusy(f"All {self.limit} sessions of this server are in use.")
        with self._counted(key):
            self.open += 1
            try:
                yield
            finally:
                self.open -= 1
                self._tell_if_empty()

    @contextmanager
    def listening_place(self, key: Key) -> Iterator[None]:
        """The place of a session that only listens; raises as `place` does."""
        if self.listening >= self.listening_limit and not self._closing:
            raise EngineBusy(
                f"All {self.listening_limit} transcription and translation sessions of this "
                "server are in use."
            )
        with self._counted(key):
            self.listening += 1
            try:
                yield
            finally:
                self.listening -= 1
                self._tell_if_empty()

    def _tell_if_empty(self) -> None:
        if not self.open and not self.listening:
            self._empty.set()

    @contextmanager
    def _counted(self, key: Key) -> Iterator[None]:
        if self._closing:
            raise EngineBusy("The server is shutting down.")
        limit = key.terms.max_sessions
        if limit is not None and key.open_sessions >= limit:
            raise KeyBusy(f"All {limit} sessions of this API key are in use.")
        key.open_sessions += 1
        self._empty.clear()
        try:
            yield
        finally:
            key.open_sessions -= 1

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
            logger.warning(
                "%d sessions did not end in %g s", self.open + self.listening, patience_s
            )
