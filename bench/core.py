"""What the pure part costs: one 20 ms append decoded, windowed, handled and encoded.

Prints one JSON line: microseconds per 20 ms frame of our code for a session that listens,
and for one that streams a reply out, in PCM and in mu-law (8 kHz, resampled), beside
`json.loads` of the same frame as a yardstick of the machine. No sockets, no voice-activity
model. `python bench/core.py`
"""

import asyncio
import base64
import json
import time
from collections.abc import Callable

from duologue.audio import g711
from duologue.audio import pcm as audio
from duologue.core import inputs, outputs
from duologue.core.session import Session
from duologue.core.settings import SessionConfig
from duologue.core.talk import Say
from duologue.events import (
    AudioFormat,
    AudioOutputUpdate,
    AudioPcm,
    AudioPcmu,
    InputAudioBufferAppend,
    ResponseAudioUpdate,
    ResponseCreate,
    ResponseCreateParams,
)
from duologue.events.codec import decode_client_event, encode_server_event
from duologue.runtime.formats import Outgoing

FRAMES = 5000


def best_us(act: Callable[[], None], per: int) -> float:
    """The fastest of five runs of `act`, in microseconds for each of its `per` parts."""
    times = []
    for _ in range(5):
        start = time.perf_counter()
        act()
        times.append(time.perf_counter() - start)
    return round(min(times) / per * 1e6, 2)


def session() -> Session:
    count = iter(range(10**9))
    config = SessionConfig(id="sess_bench", model="scripted")
    made = Session(config, new_id=lambda prefix: f"{prefix}_{next(count)}", now=0.0)
    made.open(0.0)
    return made


def append(sound: bytes) -> str:
    audio = base64.b64encode(sound).decode()
    return json.dumps({"type": "input_audio_buffer.append", "audio": audio})


def speaker(chosen: AudioFormat) -> Callable[[], None]:
    """A session that streams a reply in a format, from the engine's piece to the text frame."""
    spoken, outgoing, sound = session(), Outgoing(), bytes(960)
    own = ResponseAudioUpdate(output=AudioOutputUpdate(format=chosen))
    request = ResponseCreate(response=ResponseCreateParams(audio=own))

    async def carry(batch: list[outputs.Output]) -> None:
        for output in batch:
            if isinstance(output, outputs.Send):
                encode_server_event(outgoing.convert(output.event))

    batch = spoken.handle(inputs.Received(request), 0.0)
    asyncio.run(carry(batch))
    job = next(o.job for o in batch if isinstance(o, outputs.Respond))

    async def speak() -> None:
        for _ in range(FRAMES):
            piece = inputs.ReplyEvent(job, Say("", sound, 0))
            await carry(spoken.handle(piece, 0.0))

    return lambda: asyncio.run(speak())


def main() -> None:
    frame = append(bytes(range(256)) * 3 + bytes(192))
    line_frame = append(bytes(range(160)))
    heard = session()
    windows = audio.Windows(768)

    def listen() -> None:
        for _ in range(FRAMES):
            event = decode_client_event(frame)
            assert isinstance(event, InputAudioBufferAppend)
            for window in windows.push(event.audio):
                heard.handle(inputs.AudioReceived(window, 0.0), 0.0)

    line = g711.Decoder("pcmu")

    def listen_to_the_line() -> None:
        for _ in range(FRAMES):
            event = decode_client_event(line_frame)
            assert isinstance(event, InputAudioBufferAppend)
            for window in windows.push(line.push(event.audio)):
                heard.handle(inputs.AudioReceived(window, 0.0), 0.0)

    def parse() -> None:
        for _ in range(FRAMES):
            json.loads(frame)

    def decode() -> None:
        for _ in range(FRAMES):
            decode_client_event(frame)

    figures = {
        "bench": "core",
        "listen_us_per_frame": best_us(listen, FRAMES),
        "speak_us_per_frame": best_us(speaker(AudioPcm()), FRAMES),
        "listen_pcmu_us_per_frame": best_us(listen_to_the_line, FRAMES),
        "speak_pcmu_us_per_frame": best_us(speaker(AudioPcmu()), FRAMES),
        "decode_us_per_frame": best_us(decode, FRAMES),
        "json_loads_us_per_frame": best_us(parse, FRAMES),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
