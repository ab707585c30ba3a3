"""What a conversation holds in memory as it grows: megabytes of the server for each session.

Starts a server with the `scripted` engine as a process of its own and holds conversations of many
spoken turns with it: a tone that its turn detection hears begin and end, and a reply in sound. The
sound is sent, and the reply made, faster than it is spoken; the protocol counts in milliseconds of
sound and lets it. Prints one JSON line: after each number of turns the resident megabytes for one
session more than there were before the first, those that the sound which a history keeps takes (its
last 20 minutes of both sides, 58 MB), and what is beside it.

`python bench/memory.py --turns 10,100,300,1000,2000`
"""

import argparse
import asyncio
import base64
import json
import tempfile
from typing import Any

import psutil
from websockets.asyncio.client import ClientConnection, connect

from duologue.core.conversation import AUDIO_KEPT_S
from duologue.engines.scripted import tone
from server_process import server_process

BYTES_PER_S = 48_000
QUESTION = bytes(4_800) + tone(1_500) + bytes(BYTES_PER_S)
"""0.1 s of silence, 1.5 s of voice, and more silence than ends a turn."""
SCRIPT = """
transcripts = ["What else is there to be told of it?"]
word_ms = 250
[[replies]]
text = "There is this and that to be told of it."
"""
KEY = "bench"


async def turn(socket: ClientConnection) -> float:
    """One question and its answer; the seconds of sound that the history keeps of both."""
    for start in range(0, len(QUESTION), 9_600):
        audio = base64.b64encode(QUESTION[start : start + 9_600]).decode()
        await socket.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))
    begin_ms = kept_bytes = 0
    while True:
        event: dict[str, Any] = json.loads(await socket.recv())
        match event["type"]:
            case "input_audio_buffer.speech_started":
                begin_ms = event["audio_start_ms"]
            case "input_audio_buffer.speech_stopped":
                kept_bytes += (event["audio_end_ms"] - begin_ms) * BYTES_PER_S // 1000
            case "response.output_audio.delta":
                kept_bytes += len(base64.b64decode(event["delta"]))
            case "response.done":
                assert event["response"]["status"] == "completed", event
                return kept_bytes / BYTES_PER_S
            case "error":
                raise RuntimeError(event["error"])


async def talk(socket: ClientConnection, turns: int) -> float:
    """So many turns more; the seconds of sound in them."""
    return sum([await turn(socket) for _ in range(turns)])


async def measure(url: str, server: psutil.Process, args: argparse.Namespace) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {KEY}"}
    # The first conversation of a server brings what all of them share.
    async with connect(url, additional_headers=headers, compression=None, max_size=None) as first:
        await talk(first, 3)
    before = server.memory_info().rss
    sockets = [
        await connect(url, additional_headers=headers, compression=None, max_size=None)
        for _ in range(args.sessions)
    ]
    curve: list[dict[str, float]] = []
    sound_s, so_far = 0.0, 0
    for turns in args.turns:
        talks = await asyncio.gather(*(talk(socket, turns - so_far) for socket in sockets))
        so_far = turns
        sound_s += talks[0]
        held = (server.memory_info().rss - before) / 1e6 / args.sessions
        sound = min(sound_s, AUDIO_KEPT_S) * BYTES_PER_S / 1e6
        figures = {"megabytes": held, "of_sound": sound, "beside_it": held - sound}
        curve.append({"turns": turns} | {name: round(mb, 2) for name, mb in figures.items()})
    for socket in sockets:
        await socket.close()
    return {"bench": "memory", "sessions": args.sessions, "per_session": curve}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=4)
    parser.add_argument(
        "--turns",
        type=lambda text: sorted(map(int, text.split(","))),
        default=[10, 100, 300, 1000, 2000],
        help="when to look, in turns",
    )
    args = parser.parse_args()
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as script:
        script.write(SCRIPT)
        script.flush()
        options = ("--engine", "scripted", "--script", script.name)
        places = ("--max-sessions", str(args.sessions + 1))
        with server_process(*options, *places, key=KEY) as (base_url, server):
            url = "ws" + base_url.removeprefix("http") + "/realtime?model=gpt-realtime"
            print(json.dumps(asyncio.run(measure(url, server, args))))


if __name__ == "__main__":
    main()
