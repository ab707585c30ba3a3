"""What a session costs that streams silence: CPU and memory, everything included.

Starts its own server, opens sessions that send 20 ms frames in real time, and reads the
server process's CPU time and resident memory. Prints one JSON line: the share of a core and
the megabytes for one session more. `python bench/silence.py --sessions 8 --engine light`

The frames are quiet noise, as a microphone sends (about -60 dBFS), or zeros with `--zeros`.
"""

import argparse
import asyncio
import base64
import json
import random
from array import array

import psutil
from websockets.asyncio.client import ClientConnection, connect

from server_process import server_process

FRAME_SAMPLES = 480
SETTLE_S = 3.0
AT_REST = 0.05
"""CPU seconds a second below which a server does nothing in particular."""


def frames(zeros: bool) -> list[str]:
    """A second of frames, encoded."""
    noise = random.Random(1)
    encoded = []
    for _ in range(50):
        samples = array("h", (0 if zeros else noise.randint(-30, 30) for _ in range(FRAME_SAMPLES)))
        audio = base64.b64encode(samples.tobytes()).decode()
        encoded.append(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))
    return encoded


async def stream(socket: ClientConnection, sound: list[str], until: float) -> None:
    loop = asyncio.get_running_loop()
    due = loop.time()
    count = 0
    while due < until:
        await socket.send(sound[count % len(sound)])
        count += 1
        due += 0.02
        await asyncio.sleep(max(0.0, due - loop.time()))


async def at_rest(server: psutil.Process) -> float:
    """Wait until the server has read ahead; the CPU seconds it then uses in a second."""
    while True:
        before = sum(server.cpu_times()[:2])
        await asyncio.sleep(SETTLE_S)
        share = (sum(server.cpu_times()[:2]) - before) / SETTLE_S
        if share < AT_REST:
            return share


async def measure(url: str, key: str, server: psutil.Process, args: argparse.Namespace) -> dict:
    loop = asyncio.get_running_loop()
    sound = frames(args.zeros)
    headers = {"Authorization": f"Bearer {key}"}
    idle_s = await at_rest(server)
    rss_before = server.memory_info().rss
    sockets = [
        await connect(url, additional_headers=headers, compression=None, max_size=None)
        for _ in range(args.sessions)
    ]
    until = loop.time() + SETTLE_S + args.seconds
    async with asyncio.TaskGroup() as tasks:
        for socket in sockets:
            tasks.create_task(stream(socket, sound, until))
        await asyncio.sleep(SETTLE_S)
        before = server.cpu_times()
        await asyncio.sleep(args.seconds)
        after = server.cpu_times()
        rss_after = server.memory_info().rss
    for socket in sockets:
        await socket.close()
    used = after.user + after.system - before.user - before.system
    share = used / args.seconds - idle_s
    return {
        "bench": "silence",
        "engine": args.engine,
        "sessions": args.sessions,
        "core_percent_per_session": round(100 * share / args.sessions, 2),
        "megabytes_per_session": round((rss_after - rss_before) / 1e6 / args.sessions, 2),
        "zeros": args.zeros,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--engine", default="light")
    parser.add_argument("--profile", default="small")
    parser.add_argument("--zeros", action="store_true")
    args = parser.parse_args()
    key = "bench"
    options = ("--engine", args.engine, "--profile", args.profile)
    places = ("--max-sessions", str(args.sessions))
    with server_process(*options, *places, key=key) as (base_url, server):
        url = "ws" + base_url.removeprefix("http") + "/realtime?model=gpt-realtime"
        print(json.dumps(asyncio.run(measure(url, key, server, args))))


if __name__ == "__main__":
    main()
