"""The background tasks of one talk: every one has this owner, and ends with it at the latest."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Tasks:
    """Starts tasks for the notes of a talk, which cannot wait; holds them until they end."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        task = asyncio.create_task(work, name=name)  # noqa: TID251 - owned here
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def aclose(self) -> None:
        """Cancel what runs; returns when nothing does."""
        while running := list(self._running):
            for task in running:
                task.cancel()
            await asyncio.wait(running)
