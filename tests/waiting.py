"""What tests wait for where nobody tells them: that a task has begun, that a line was logged."""

import asyncio
import logging
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


async def started(work: Awaitable[T]) -> asyncio.Future[T]:
    """A task of `work` that has gone as far as it can by itself.

    A task takes its first steps in the next turn of the loop: this is that turn, and no pause.
    """
    task = asyncio.ensure_future(work)
    await asyncio.sleep(0)
    return task


@contextmanager
def logged(words: str) -> Iterator[asyncio.Event]:
    """Set once the server has logged a line with `words` in it, in whichever thread."""
    loop, said = asyncio.get_running_loop(), asyncio.Event()

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if words in record.getMessage():
                loop.call_soon_threadsafe(said.set)

    logger, listener = logging.getLogger("duologue"), Listener()
    logger.addHandler(listener)
    try:
        yield said
    finally:
        logger.removeHandler(listener)
