"""The sending side: a frame every 20 ms for as long as the call lasts.

A recording is put on the line with `say`; before, between and after there is silence, as from
a microphone in a quiet room. A frame leaves when its last sample has been spoken.
"""

import asyncio
import base64
import time
from typing import Protocol

from duologue.talk_client.recording import FRAME_BYTES, RATE_HZ, Recording

FRAME_S = FRAME_BYTES / 2 / RATE_HZ


class Append(Protocol):
    """`connection.input_audio_buffer.append` of the SDK."""

    async def __call__(self, *, audio: str) -> None: ...


class Line:
    """One direction of a call, from us to the server."""

    def __init__(self) -> None:
        self._pcm = b""
        self._starts = 0.0
        """When the first sample of the next frame is spoken, in monotonic seconds."""

    def say(self, recording: Recording) -> float:
        """Begin to speak with the next frame; when the speaking will end (monotonic seconds)."""
        rest = -len(recording.pcm) % FRAME_BYTES
        self._pcm = recording.pcm + bytes(rest)
        return self._starts + recording.speech_end_s

    async def run(self, append: Append) -> None:
        """Send frames at the speed of speech until cancelled."""
        self._starts = time.monotonic()
        while True:
            # What is late is sent at once, so that the line keeps time with the clock.
            await asyncio.sleep(max(0.0, self._starts + FRAME_S - time.monotonic()))
            frame, self._pcm = (
                self._pcm[:FRAME_BYTES] or bytes(FRAME_BYTES),
                self._pcm[FRAME_BYTES:],
            )
            self._starts += FRAME_S
            await append(audio=base64.b64encode(frame).decode())
