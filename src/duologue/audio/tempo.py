"""Speech made faster or slower at its own pitch: 24 kHz s16le in pieces of any length in and out.

For voices that cannot change their pace themselves. FFmpeg's `atempo` does it, in a graph of its
own for each stream. It holds back some 60 ms. Takes time: to be called in a worker thread.
"""

from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np
from av.filter import Graph

from duologue.audio import pcm as audio

SLOWEST = 0.5
"""Of one filter; a slower stream goes through two."""


class Tempo:
    """One stream, `speed` times as fast: 0.25 to 4."""

    def __init__(self, speed: float) -> None:
        self._graph = Graph()
        steps = [speed] if speed >= SLOWEST else [SLOWEST, speed / SLOWEST]
        nodes = [
            self._graph.add_abuffer(
                sample_rate=audio.RATE_HZ,
                format="s16",
                layout="mono",
                time_base=Fraction(1, audio.RATE_HZ),
            ),
            *(self._graph.add("atempo", f"{step:.6f}") for step in steps),
            self._graph.add("abuffersink"),
        ]
        self._graph.link_nodes(*nodes)
        self._graph.configure()
        self._taken = 0

    def push(self, pcm: bytes) -> bytes:
        """The sound that `pcm` (whole samples) completes."""
        if not pcm:
            return b""
        frame = av.AudioFrame.from_ndarray(np.frombuffer(pcm, np.int16)[None], "s16", "mono")
        frame.sample_rate = audio.RATE_HZ
        frame.pts = self._taken
        self._taken += frame.samples
        self._graph.push(frame)
        return b"".join(self._ready())

    def flush(self) -> bytes:
        """What was held back; nothing may be pushed after it."""
        self._graph.push(None)
        return b"".join(self._ready())

    def _ready(self) -> Iterator[bytes]:
        while True:
            try:
                frame = self._graph.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            assert isinstance(frame, av.AudioFrame)
            yield frame.to_ndarray().tobytes()
