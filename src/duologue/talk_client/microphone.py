"""A sound device in place of recordings: the microphone on the line, answers on the speaker.

Barge-in is truthful: when the server notices speech while an answer plays, the speaker falls
silent and `conversation.item.truncate` tells how many milliseconds of it were really heard.
"""

import asyncio
import base64
import threading
import time
from typing import Any

from openai.resources.realtime.realtime import AsyncRealtimeConnection

from duologue.talk_client.display import Transcripts, waterfall
from duologue.talk_client.faults import RecordingFault, TalkFault
from duologue.talk_client.recording import FRAME_BYTES, RATE_HZ
from duologue.talk_client.turn import Turn

QUEUE_FRAMES = 250
"""Frames kept for a slow connection, 5 s; then the oldest go."""


def sound_device() -> Any:
    """The `sounddevice` module. Raises `RecordingFault` where it cannot be had."""
    try:
        import sounddevice
    except (ImportError, OSError) as fault:  # the package, or the PortAudio library below it
        raise RecordingFault(
            "--mic needs the sounddevice package and PortAudio: pip install 'duologue[mic]', "
            "and on Debian and Ubuntu apt install libportaudio2"
        ) from fault
    return sounddevice


class Speaker:
    """What is still to be played; filled by the network, emptied by the sound device's thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pcm = bytearray()
        self._item_id: str | None = None
        self._played_bytes = 0

    def add(self, item_id: str, pcm: bytes) -> None:
        """Queue sound of an answer's item."""
        with self._lock:
            if item_id != self._item_id:
                self._item_id, self._played_bytes = item_id, -len(self._pcm)
            self._pcm += pcm

    def take(self, size: int) -> bytes:
        """The next `size` bytes for the device, silence where there are none."""
        with self._lock:
            pcm = bytes(self._pcm[:size])
            del self._pcm[:size]
            self._played_bytes += len(pcm)
        return pcm.ljust(size, b"\0")

    def stop(self, latency_s: float) -> tuple[str, int] | None:
        """Fall silent; the item that was playing and its milliseconds heard, if one was.

        `latency_s` is what the device has taken but not yet made audible.
        """
        with self._lock:
            if not self._pcm or self._item_id is None:
                return None
            self._pcm.clear()
            heard_s = self._played_bytes / 2 / RATE_HZ - latency_s
            return self._item_id, max(0, round(heard_s * 1000))


async def converse(connection: AsyncRealtimeConnection, sound: Any) -> None:
    """Talk until interrupted, by the `sounddevice` module.

    Raises `RecordingFault` when there is no sound device.
    """
    loop = asyncio.get_running_loop()
    frames: asyncio.Queue[bytes] = asyncio.Queue(QUEUE_FRAMES)
    speaker = Speaker()

    def hear(pcm: bytes) -> None:
        if frames.full():
            frames.get_nowait()
        frames.put_nowait(pcm)

    def captured(data: Any, _frames: int, _times: Any, _status: Any) -> None:
        loop.call_soon_threadsafe(hear, bytes(data))

    def wanted(data: Any, _frames: int, _times: Any, _status: Any) -> None:
        data[:] = speaker.take(len(data))

    form = {
        "samplerate": RATE_HZ,
        "channels": 1,
        "dtype": "int16",
        "blocksize": FRAME_BYTES // 2,
        "latency": "low",
    }
    try:
        microphone = sound.RawInputStream(callback=captured, **form)
        loudspeaker = sound.RawOutputStream(callback=wanted, **form)
    except sound.PortAudioError as fault:
        raise RecordingFault(f"no usable sound device: {fault}") from fault
    print("Speak; Ctrl-C ends. With a loudspeaker in the room, use headphones: it hears itself.")
    try:
        with microphone, loudspeaker:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_send(connection, frames))
                tasks.create_task(_receive(connection, speaker, loudspeaker))
    except ExceptionGroup as group:
        raise group.exceptions[0] from None


async def _send(connection: AsyncRealtimeConnection, frames: asyncio.Queue[bytes]) -> None:
    while True:
        pcm = await frames.get()
        await connection.input_audio_buffer.append(audio=base64.b64encode(pcm).decode())


async def _receive(connection: AsyncRealtimeConnection, speaker: Speaker, loudspeaker: Any) -> None:
    transcripts = Transcripts()
    turn = Turn()
    async for event in connection:
        turn.receive(event, time.monotonic())
        transcripts.receive(event)
        if event.type == "response.output_audio.delta":
            speaker.add(event.item_id, base64.b64decode(event.delta))
        elif event.type == "input_audio_buffer.speech_started":
            turn = Turn()
            if heard := speaker.stop(loudspeaker.latency):
                item_id, audio_end_ms = heard
                await connection.conversation.item.truncate(
                    item_id=item_id, content_index=0, audio_end_ms=audio_end_ms
                )
        elif event.type == "response.done" and turn.server_ms:
            print(waterfall({}, turn.server_ms))
        elif event.type == "error":
            transcripts.finish()
            print(f" error  {event.error.message}")
    raise TalkFault("the server ended the conversation")
