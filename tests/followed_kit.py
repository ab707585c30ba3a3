"""What a server says of files that it follows."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def logged(words: str) -> Iterator[asyncio.Event]:
    """Set once a line with `words` in it was logged about a followed file."""
    loop, said = asyncio.get_running_loop(), asyncio.Event()

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if words in record.getMessage():
                loop.call_soon_threadsafe(said.set)

    logger, listener = logging.getLogger("duologue.gateway.followed"), Listener()
    logger.addHandler(listener)
    try:
        yield said
    finally:
        logger.removeHandler(listener)
