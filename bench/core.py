"""What the pure part costs: one 20 ms append decoded, windowed, handled and encoded.

Prints one JSON line: microseconds per 20 ms frame of our code for a session that listens,
and for one that streams a reply out, beside `json.loads` of the same frame as a yardstick of
the machine. No sockets, no voice-activity model. `python bench/core.py`
"""

import base64
import json
import time
from collections.abc import Callable

from duologue.audio import pcm as audio
from duologue.core import inputs, outputs
from duologue.core.session import Session
from duologue.core.settings import SessionConfig
from duologue.core.talk import Say
from duologue.events import InputAudioBufferAppend, ResponseCreate
from duologue.events.codec import decode_client_event, encode_server_event

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


def main() -> None:
    frame = json.dumps(
        {
            "type": "input_audio_buffer.append",
            "audio": base64.b64encode(bytes(range(256)) * 3 + bytes(192)).decode(),
        }
    )
    heard = session()
    windows = audio.Windows(768)

    def listen() -> None:
        for _ in range(FRAMES):
            event = decode_client_event(frame)
            assert isinstance(event, InputAudioBufferAppend)
            for window in windows.push(event.audio):
                heard.handle(inputs.AudioReceived(window, 0.0), 0.0)

    spoken = session()
    batch = spoken.handle(inputs.Received(ResponseCreate()), 0.0)
    job = next(o.job for o in batch if isinstance(o, outputs.Respond))
    sound = bytes(960)

    def speak() -> None:
        for _ in range(FRAMES):
            piece = inputs.ReplyEvent(job, Say("", sound, 0))
            for output in spoken.handle(piece, 0.0):
                assert isinstance(output, outputs.Send)
                encode_server_event(output.event)

    def parse() -> None:
        for _ in range(FRAMES):
            json.loads(frame)

    def decode() -> None:
        for _ in range(FRAMES):
            decode_client_event(frame)

    figures = {
        "bench": "core",
        "listen_us_per_frame": best_us(listen, FRAMES),
        "speak_us_per_frame": best_us(speak, FRAMES),
        "decode_us_per_frame": best_us(decode, FRAMES),
        "json_loads_us_per_frame": best_us(parse, FRAMES),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
