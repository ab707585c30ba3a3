"""A microphone for stock `openai` connections: a recording, appended as it would be spoken."""

import asyncio
import base64
from typing import Any


async def speak(connection: Any, pcm: bytes) -> None:
    """In real time, as a microphone does."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    for start in range(0, len(pcm), 960):
        audio = base64.b64encode(pcm[start : start + 960]).decode()
        await connection.input_audio_buffer.append(audio=audio)
        due += 0.02
        await asyncio.sleep(max(0.0, due - loop.time()))
