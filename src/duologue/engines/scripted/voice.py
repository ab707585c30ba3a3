"""The voice of the scripted engine: a tone for each word, at once or in frames as they are due."""

import array
import asyncio
import math
from collections.abc import Iterable

from duologue.audio import pcm as audio

TONE_HZ = 220
TONE_AMPLITUDE = 8000


def tone(ms: int) -> bytes:
    """A sine of `ms` milliseconds."""
    step = 2 * math.pi * TONE_HZ / audio.RATE_HZ
    wave = (round(TONE_AMPLITUDE * math.sin(step * n)) for n in range(audio.samples_of_ms(ms)))
    return array.array("h", wave).tobytes()


class Pace:
    """Frames of `frame_ms` in real time; 0 is all of it at once."""

    def __init__(self, frame_ms: int) -> None:
        self._frame_ms = frame_ms
        self._loop = asyncio.get_running_loop()
        self._due_s = self._loop.time()

    def frames(self, pcm: bytes) -> Iterable[bytes]:
        return audio.chunks(pcm, self._frame_ms * audio.BYTES_PER_MS) if self._frame_ms else (pcm,)

    async def next(self) -> None:
        """Wait until the next frame is due, on a clock that does not drift.

        Frames that are due already come at once; the inbox, which is bounded, waits for room.
        """
        if not self._frame_ms:
            return
        if self._due_s > self._loop.time():
            # Not `asyncio.sleep`, which asks for the loop: a system call before Python 3.12.
            due = self._loop.create_future()
            timer = self._loop.call_at(self._due_s, _ring, due)
            try:
                await due
            finally:
                timer.cancel()
        self._due_s += self._frame_ms / 1000


def _ring(due: asyncio.Future[None]) -> None:
    if not due.done():
        due.set_result(None)
