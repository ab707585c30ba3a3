"""Files of the owner that are followed while the server runs: keys, stored prompts.

They are looked at once a second, in a thread, and read when they have been left alone for a
second, so that no half-written one counts. What cannot be used changes nothing and is said
aloud, once for each state of it.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Hashable
from typing import Generic, TypeVar

from duologue.errors import ConfigFault

logger = logging.getLogger(__name__)

CHECK_S = 1.0

T = TypeVar("T")


class Followed(Generic[T]):
    """What a setting names and what of it is in force.

    `state` tells one content from another (modification times and sizes, say); `read` gives what
    is there, or raises `ConfigFault`; `told` says in a few words what is in force.
    """

    def __init__(
        self,
        setting: str,
        state: Callable[[], Hashable],
        read: Callable[[], T],
        told: Callable[[T], str],
    ) -> None:
        self._setting = setting
        self._state = state
        self._read = read
        self._told = told
        self._loaded: Hashable = None
        self._seen: Hashable = None

    def load(self) -> T:
        """What is there now, read at once; raises `ConfigFault`."""
        self._loaded = self._seen = self._state()
        return self._read()

    @contextlib.asynccontextmanager
    async def following(self, take: Callable[[T], None]) -> AsyncIterator[None]:
        """Inside the block, give `take` what is there each time it has changed."""
        watch = self._watch(take)
        task = asyncio.create_task(watch)  # noqa: TID251 - owned here: ended below, come what may
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _watch(self, take: Callable[[T], None]) -> None:
        while True:
            await asyncio.sleep(CHECK_S)
            try:
                found = await asyncio.to_thread(self._reload)
                if found is not None:
                    take(found)
                    logger.info("%s: %s in force", self._setting, self._told(found))
            except ConfigFault as fault:
                logger.error("%s; what was in force stays", fault)
            except Exception:
                logger.exception("%s: could not be followed; it is tried again", self._setting)

    def _reload(self) -> T | None:
        """What is there, if it is another than the one in force and has come to rest."""
        state = self._state()
        rests = state == self._seen
        self._seen = state
        if not rests or state == self._loaded:
            return None
        self._loaded = state
        return self._read()
