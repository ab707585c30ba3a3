"""A server beside a test that has event loops of its own: it runs on one in another thread."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import TypeVar

T = TypeVar("T")


@contextmanager
def beside(server: AbstractAsyncContextManager[T]) -> Iterator[T]:
    """What `server` gives, while it runs on the loop of another thread."""
    given: list[T] = []
    loops: list[asyncio.AbstractEventLoop] = []
    is_up = threading.Event()
    stop = asyncio.Event()

    async def run() -> None:
        async with server as what:
            given.append(what)
            loops.append(asyncio.get_running_loop())
            is_up.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    try:
        assert is_up.wait(10), "the server did not start"
        yield given[0]
    finally:
        if loops:
            loops[0].call_soon_threadsafe(stop.set)
        thread.join()
