"""One talk's place in the mind: completions one at a time, prefilling in between.

A completion goes in through `taken`, which holds the lease until the stream is closed. What
may be needed next goes in through `warm`, and gives way to any completion.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from duologue.engines.composed.tasks import Tasks
from duologue.engines.light.text_model import Lease

log = logging.getLogger(__name__)


class Place:
    """A lease that is used by one request at a time."""

    def __init__(self, lease: Lease, tasks: Tasks) -> None:
        self._lease = lease
        self._tasks = tasks
        self._lock = asyncio.Lock()
        self._wanted: Callable[[], Awaitable[str]] | None = None
        self._warming: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[Lease]:
        """The lease for one completion.

        Prefilling under way is stopped: what it has read stays in the cache, and it might be
        waiting for a completion of another talk, which this one need not.
        """
        self._wanted = None
        await self._cool()
        async with self._lock:
            yield self._lease

    def warm(self, prompt: Callable[[], Awaitable[str]], *, instead: bool = False) -> None:
        """Prefill what `prompt` gives, once the lease is free; the latest call counts.

        `instead` stops prefilling under way, which is no beginning of the new prompt.
        """
        self._wanted = prompt
        if self._warming is None:
            self._warming = self._tasks.start(self._warm(), "prefill")
            self._warming.add_done_callback(self._cooled)
        elif instead:
            self._warming.cancel()

    async def aclose(self) -> None:
        """Stop, and give the lease back."""
        self._wanted = None
        await self._cool()
        async with self._lock:
            self._lease.release()

    async def _warm(self) -> None:
        try:
            while (wanted := self._take_wish()) is not None:
                prompt = await wanted()
                async with self._lock:
                    await self._lease.prefill(prompt)
        except Exception as error:  # the reply that needs this prompt will meet the fault itself
            log.warning("prefilling failed: %s", error)

    def _cooled(self, task: asyncio.Task[None]) -> None:
        self._warming = None
        if self._wanted is not None:
            self.warm(self._wanted)

    def _take_wish(self) -> Callable[[], Awaitable[str]] | None:
        wanted, self._wanted = self._wanted, None
        return wanted

    async def _cool(self) -> None:
        if (task := self._warming) is not None:
            task.cancel()
            await asyncio.wait([task])
