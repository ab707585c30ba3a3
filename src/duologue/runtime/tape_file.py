"""A file that is written beside a session: entries go in and nobody waits for the disk.

    event loop ─ put ─► queue ─► thread ─ encode ─► file

The queue is bounded: a tape that falls behind ends early, and says so.
"""

import logging
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

logger = logging.getLogger(__name__)

Entry = TypeVar("Entry")

QUEUE_ENTRIES = 4096
"""Entries that may wait for the disk."""

CLOSE_S = 10.0
"""How long the end of a tape is waited for; a disk that hangs must not hold a session."""


class TapeFile(Generic[Entry]):
    """Writes one new file in a thread of its own; `head` and `encode` are called there."""

    def __init__(
        self, path: Path, head: Callable[[], bytes], encode: Callable[[Entry], bytes]
    ) -> None:
        self._path, self._head, self._encode = path, head, encode
        self._entries: queue.Queue[Entry | None] = queue.Queue(QUEUE_ENTRIES)
        self._is_over = False
        self._thread = threading.Thread(target=self._write, name="tape", daemon=True)
        self._thread.start()

    def put(self, entry: Entry) -> None:
        """Add an entry; never waits."""
        if self._is_over:
            return
        try:
            self._entries.put_nowait(entry)
        except queue.Full:
            self._is_over = True
            logger.warning("tape %s ends early: the disk is too slow", self._path.name)

    def close(self) -> None:
        """Write what is left and end the tape; to be called in a thread, and once."""
        self._is_over = True
        try:
            self._entries.put(None, timeout=CLOSE_S)
        except queue.Full:
            pass
        else:
            self._thread.join(CLOSE_S)
        if self._thread.is_alive():
            logger.warning("tape %s was given up: the disk hangs", self._path.name)

    def _write(self) -> None:
        is_told = False
        try:
            with self._path.open("xb") as tape:
                tape.write(self._head())
                while (entry := self._entries.get()) is not None:
                    tape.write(self._encode(entry))
                is_told = True  # what closing the file still writes may fail, too
        except OSError as fault:
            self._is_over = True
            logger.warning("tape %s ends: %s", self._path.name, fault.strerror)
        except Exception:
            self._is_over = True
            logger.exception("tape %s broke", self._path.name)
        while not is_told:
            is_told = self._entries.get() is None
