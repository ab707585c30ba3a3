"""What the server and its voice-activity process say to each other over two pipes.

    server ─ ask: stream, kind, windows ─► process ─ answer: stream, probability ─► server

Numbers are little-endian. An ask is a head and so many windows of 24 kHz s16le; an answer is
of a fixed length, one for each window, those of one stream in its order. A stream exists from
its first ask to `CLOSE`. Before all answers the process says in one line that it is `READY`,
or why it is not.
"""

import struct
from collections.abc import Iterator

from duologue.runtime.ports import WINDOW_SAMPLES

WINDOW_BYTES = WINDOW_SAMPLES * 2

READY = b"ready\n"

ASK = struct.Struct("<IHH")
"""Stream, kind, number of windows that follow."""

SCORE, CLOSE = 0, 1

ANSWER = struct.Struct("<If")
"""Stream, speech probability 0..1."""


class Answers:
    """Answers out of pieces of any length."""

    def __init__(self) -> None:
        self._rest = b""

    def read(self, data: bytes) -> Iterator[tuple[int, float]]:
        """The whole answers up to the end of `data`: stream, probability."""
        data = self._rest + data
        whole = len(data) - len(data) % ANSWER.size
        self._rest = data[whole:]
        return ANSWER.iter_unpack(data[:whole])


class Asks:
    """Asks out of pieces of any length."""

    def __init__(self) -> None:
        self._rest = b""

    def read(self, data: bytes) -> Iterator[tuple[int, int, list[bytes]]]:
        """The whole asks up to the end of `data`: stream, kind, windows."""
        data = self._rest + data
        at = 0
        while at + ASK.size <= len(data):
            stream, kind, count = ASK.unpack_from(data, at)
            start = at + ASK.size
            end = start + count * WINDOW_BYTES
            if end > len(data):
                break
            yield (
                stream,
                kind,
                [data[n : n + WINDOW_BYTES] for n in range(start, end, WINDOW_BYTES)],
            )
            at = end
        self._rest = data[at:]
