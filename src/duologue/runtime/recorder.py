"""Tapes: every input of a session with its time, one JSON line each, to be replayed as a test.

The first line is a `TapeHeader`, the others are `[now, input]`. Outputs are not stored: the
same inputs give the same outputs. A tape holds the user's voice, so recording is off unless
the owner sets a directory.
"""

import logging
import queue
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec

from duologue.core.inputs import Input
from duologue.core.settings import SessionConfig

logger = logging.getLogger(__name__)


class TapeHeader(msgspec.Struct, frozen=True):
    """What a session was made with; the seed is text because JSON numbers are too short."""

    config: SessionConfig
    seed: str
    now: float


QUEUE_LINES = 4096
"""Lines that may wait for the disk; a tape that falls behind further ends there."""


class Recorder:
    """Writes one tape in a thread of its own, so that the disk never holds up the session."""

    def __init__(self, path: Path, header: TapeHeader) -> None:
        self._path = path
        self._encoder = msgspec.json.Encoder()
        self._lines: queue.Queue[tuple[float, Input] | None] = queue.Queue(QUEUE_LINES)
        self._broken = False
        self._header = header
        self._thread = threading.Thread(target=self._write, name="recorder", daemon=True)
        self._thread.start()

    def record(self, now: float, entry: Input) -> None:
        """Add an input; never waits."""
        if self._broken:
            return
        try:
            self._lines.put_nowait((now, entry))
        except queue.Full:
            self._broken = True
            logger.warning("tape %s ends early: the disk is too slow", self._path.name)

    def close(self) -> None:
        """Write what is left and end the tape."""
        self._broken = True
        self._lines.put(None)
        self._thread.join()

    def _write(self) -> None:
        try:
            with self._path.open("xb") as tape:
                tape.write(self._encoder.encode(self._header) + b"\n")
                while (line := self._lines.get()) is not None:
                    tape.write(self._encoder.encode(line) + b"\n")
        except OSError as fault:
            self._broken = True
            logger.warning("tape %s ends: %s", self._path.name, fault.strerror)
            while self._lines.get() is not None:
                pass


def read_tape(path: Path) -> tuple[TapeHeader, Iterator[tuple[float, Input]]]:
    """The header of a tape and its inputs in order. Raises `msgspec.DecodeError`."""
    lines = path.read_bytes().splitlines()
    decoder = msgspec.json.Decoder(tuple[float, Input])
    header = msgspec.json.decode(lines[0], type=TapeHeader)
    return header, (decoder.decode(line) for line in lines[1:])
