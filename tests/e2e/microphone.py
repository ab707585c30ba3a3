"""A microphone: a recording that is sent as it would be spoken, and one that is there already."""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from typing import Any

BYTES_PER_MS = 48


async def paced(pcm: bytes, send: Callable[[bytes], Awaitable[None]], frame_ms: int = 20) -> None:
    """Frames in real time: this waits for nothing, it is the time that speaking takes."""
    loop = asyncio.get_running_loop()
    due_s = loop.time()
    for start in range(0, len(pcm), frame_ms * BYTES_PER_MS):
        await send(pcm[start : start + frame_ms * BYTES_PER_MS])
        due_s += frame_ms / 1000
        await asyncio.sleep(max(0.0, due_s - loop.time()))


async def speak(connection: Any, pcm: bytes) -> None:
    """Into a stock `openai` connection, in real time."""
    await paced(pcm, lambda frame: append(connection, frame))


async def append(connection: Any, pcm: bytes) -> None:
    """The same at once, in pieces of 20 ms."""
    for start in range(0, len(pcm), 20 * BYTES_PER_MS):
        audio = base64.b64encode(pcm[start : start + 20 * BYTES_PER_MS]).decode()
        await connection.input_audio_buffer.append(audio=audio)
