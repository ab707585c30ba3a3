"""What a WebRTC call costs: CPU and memory of the server per call, and how even its sound leaves.

    python bench/webrtc.py 16 --seconds 10

A server with the scripted engine, in a process of its own and on the loop that `duologue serve`
uses; here that many aiortc callers, to each of whom it speaks all the time. First the same callers
are echoed by bare aiortc, in such a process too: the ratio of the two costs tells more than either,
since callers and server share the machine. One JSON line: share of a core and memory per call,
p50 and p99 of how late packets leave against their own clock of 20 ms (by the kernel's times, see
`tap`), and the ratio. Quiet machine only. What a bad network adds: `webrtc_delay.py`.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from duologue.gateway.server import new_event_loop
from tap import Tap

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

ECHO_PORT, SERVER_PORT = 8871, 8872
KEY = "sk-bench"
SCRIPT = 'replies = [{{text = "{words}", word_delay_ms = 230}}]'
"""A word of the tone voice lasts 240 ms: sound comes as fast as it is played, and none piles up."""


async def echo() -> None:
    """Bare aiortc: what comes in goes out again."""
    import aioice.ice
    from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

    aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]
    connections: list[RTCPeerConnection] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        offer = json.loads(await reader.readline())["sdp"]
        connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        connections.append(connection)
        connection.on("track", connection.addTrack)
        await connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        await connection.setLocalDescription(await connection.createAnswer())
        answer = {"sdp": connection.localDescription.sdp}
        writer.write(json.dumps(answer).encode() + b"\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", ECHO_PORT, limit=1 << 20)
    print("ready", flush=True)
    await server.serve_forever()


async def serve() -> None:
    """A duologue that talks without end."""
    from duologue.config import ServerConfig
    from duologue.gateway.server import serving

    config = ServerConfig(
        engine="scripted",
        script=SCRIPT.format(words="word " * 1000),
        port=SERVER_PORT,
        api_key=KEY,
        max_sessions=100,
        webrtc_hosts="127.0.0.1",
    )
    async with serving(config):
        print("ready", flush=True)
        await asyncio.Event().wait()


async def measure(kind: str, calls: int, seconds: float) -> dict[str, float]:
    """CPU of the other process per call, and the lateness of frames at the callers."""
    from aiortc import RTCSessionDescription

    from live_server import http_post
    from peer_client import SDP, PeerCaller

    process = subprocess.Popen(  # noqa: ASYNC220 - once, before anything is measured
        [sys.executable, __file__, "--as", kind], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout and process.stdout.readline() == "ready\n"
    other = psutil.Process(process.pid)
    first_bytes = 0
    callers = [PeerCaller() for _ in range(calls)]
    tap = Tap()
    tap.start()
    try:
        for number, caller in enumerate(callers):
            offer = tap.offer(number, await caller.offer())
            if kind == "echo":
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1", ECHO_PORT, limit=1 << 20
                )
                writer.write(json.dumps({"sdp": offer}).encode() + b"\n")
                answer = json.loads(await reader.readline())["sdp"]
                writer.close()
                await caller.connection.setRemoteDescription(
                    RTCSessionDescription(tap.answer(number, answer), "answer")
                )
            else:
                url = f"http://127.0.0.1:{SERVER_PORT}/v1/realtime/calls"
                status, headers, answer = await http_post(url, offer.encode(), KEY, headers=SDP)
                await caller.take(status, headers, tap.answer(number, answer))
                await caller.next("session.created")
                await caller.send("response.create")
            # The first call loads what every call needs.
            first_bytes = first_bytes or other.memory_info().rss
        await asyncio.sleep(3)
        before, start_s = sum(other.cpu_times()[:2]), time.perf_counter()
        counts = [len(tap.sent[number]) for number in range(calls)]
        await asyncio.sleep(seconds)
        cpu_s = sum(other.cpu_times()[:2]) - before
        took_s = time.perf_counter() - start_s
        late_ms: list[float] = []
        frames = 0
        for number, count in enumerate(counts):
            packets = tap.sent[number][count:]
            frames += len(packets)
            first = packets[0][1]
            clock = [at - (turn - first) % 65536 * 0.02 for at, turn in packets]
            late_ms += [(at - min(clock)) * 1000 for at in clock]
        cuts = statistics.quantiles(late_ms, n=100)
        rss_bytes = other.memory_info().rss
        return {
            "core_per_call": round(cpu_s / took_s / calls, 4),
            "packets_per_s": round(frames / took_s / calls, 1),
            "late_p50_ms": round(cuts[49], 1),
            "late_p99_ms": round(cuts[98], 1),
            "rss_mb": round(rss_bytes / 1e6),
            "rss_per_call_mb": round((rss_bytes - first_bytes) / 1e6 / max(1, calls - 1), 2),
        }
    finally:
        for caller in callers:
            await caller.close()
        tap.close()
        process.terminate()
        process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("calls", type=int, nargs="?", default=4)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--as", dest="role", choices=["echo", "server"])
    given = parser.parse_args()
    if given.role:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(echo() if given.role == "echo" else serve())
        return
    result: dict[str, Any] = {"calls": given.calls}
    for kind in ("echo", "server"):
        result[kind] = asyncio.run(measure(kind, given.calls, given.seconds))
    result["ratio"] = round(result["server"]["core_per_call"] / result["echo"]["core_per_call"], 2)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
