import asyncio
import base64
import time

import pytest

from duologue.talk_client.line import FRAME_S, Line
from duologue.talk_client.recording import FRAME_BYTES, Recording
from talk_client.signals import tone
from waiting import started


class Listener:
    """Takes frames until it has as many as it wants."""

    def __init__(self, frames: int) -> None:
        self.frames: list[tuple[float, bytes]] = []
        self.full = asyncio.Event()
        self._wanted = frames

    async def append(self, *, audio: str) -> None:
        self.frames.append((time.monotonic(), base64.b64decode(audio)))
        if len(self.frames) == self._wanted:
            self.full.set()


async def test_a_recording_leaves_at_the_speed_of_speech_with_silence_around_it() -> None:
    line, listener = Line(), Listener(12)
    running = await started(line.run(listener.append))
    said = Recording("x", tone(50))
    ends = line.say(said)
    await listener.full.wait()
    running.cancel()
    times = [at for at, _ in listener.frames]
    sound = b"".join(pcm for _, pcm in listener.frames)
    assert sound[: len(said.pcm)] == said.pcm
    assert sound[len(said.pcm) :] == bytes(12 * FRAME_BYTES - len(said.pcm))
    assert times[-1] - times[0] >= 10 * FRAME_S
    assert ends == pytest.approx(times[0] - FRAME_S + 0.05, abs=0.5)
