"""How many voice sessions one server process holds: paced sound both ways over WebSocket.

Every session streams speech in 20 ms frames while a reply comes back in 20 ms frames; once a
second it asks something small, in line behind its sound. Reported for each number of sessions: p50
and p99 of that question's round trip (all that the server adds on the way in, voice activity
included) and of how late the reply's frames come, both by the kernel's times of arrival; frames
missing, the share of a core and the memory of the server and its voice-activity process; and what
the load and other programs took. First a bare uvicorn echo of the same frames runs in the same
way, and the ratio of the two costs is given: it tells more than either figure, since load and
server share the machine. One JSON line.

`python bench/sessions.py --sessions 150` (`--no-vad` turns turn detection off)
"""

import argparse
import asyncio
import base64
import json
import secrets
import socket
import struct
import subprocess
import sys
import tempfile
import time
import wave
from pathlib import Path
from typing import Any

import psutil
import uvloop

from server_process import server_process

CLIP = Path(__file__).parent.parent / "tests" / "data" / "audio" / "tts" / "03_bm_george.wav"
FRAME_S = 0.02
FRAME_BYTES = 960
ASK_EVERY = 50
"""Frames between two questions of a session."""
WARM_S = 3.0
SO_TIMESTAMPNS = 35
"""Linux: the kernel's time of arrival rides with what is read. Python has no name for it."""
KEY = "bench"

ECHO = """
import sys, uvicorn
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

async def app(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})

uvicorn.run(app, port=int(sys.argv[1]), lifespan="off", ws=WebSocketsSansIOProtocol, loop="uvloop",
            ws_per_message_deflate=False, access_log=False, log_level="error")
"""


def text_frame(text: str) -> bytes:
    """A whole client frame; the mask is zero, which costs the load generator nothing."""
    payload = text.encode()
    if len(payload) < 126:
        return bytes((0x81, 0x80 | len(payload))) + bytes(4) + payload
    return b"\x81\xfe" + len(payload).to_bytes(2, "big") + bytes(4) + payload


def speech_frames() -> list[bytes]:
    """The clip in 20 ms appends, ready to be written."""
    with wave.open(str(CLIP)) as sound:
        pcm = sound.readframes(sound.getnframes())
    pieces = (pcm[n : n + FRAME_BYTES] for n in range(0, len(pcm) - FRAME_BYTES, FRAME_BYTES))
    return [
        text_frame(
            json.dumps(
                {"type": "input_audio_buffer.append", "audio": base64.b64encode(piece).decode()}
            )
        )
        for piece in pieces
    ]


ASK = text_frame('{"type":"conversation.item.retrieve","item_id":"none","event_id":"ask"}')


class Figures:
    """What all sessions measure together, once `counting`."""

    def __init__(self) -> None:
        self.counting = False
        self.round_trips: list[float] = []
        self.late: list[float] = []
        self.frames = 0
        self.sent = 0


class Line:
    """One session's socket: counts frames and answers, parses no more than it must."""

    def __init__(self, figures: Figures, opening: list[bytes], echo: bool) -> None:
        self._figures = figures
        self._opening = opening
        self._echo = echo
        self._buffer = b""
        self._upgraded = False
        self._socket = socket.socket()
        self.asked: list[float] = []
        self.first_at: float | None = None
        self.count = 0
        self.ready = asyncio.get_running_loop().create_future()
        self.fault: str | None = None

    async def connect(self, port: int, request: bytes) -> None:
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(self._socket, ("127.0.0.1", port))
        loop.add_reader(self._socket, self._read)
        self.write(request)
        await asyncio.wait_for(self.ready, 10)

    def write(self, data: bytes) -> None:
        if self.fault is None:
            try:
                sent = self._socket.send(data)
            except BlockingIOError:
                sent = 0
            if sent < len(data):
                self._end("the server reads no more")

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def _end(self, fault: str) -> None:
        self.fault = self.fault or fault
        asyncio.get_running_loop().remove_reader(self._socket)

    def _read(self) -> None:
        try:
            data, extra, _, _ = self._socket.recvmsg(1 << 16, 64)
        except OSError as fault:
            self._end(str(fault))
            return
        if not data:
            self._end("the server hung up")
            return
        # When the kernel got it, of several segments the last: load generator and server are as
        # busy as each other, and how late this line is read is no delay of the server's.
        seconds, nanoseconds = struct.unpack("qq", extra[0][2][:16])
        self._take(data, seconds + nanoseconds / 1e9)

    def _take(self, data: bytes, now: float) -> None:
        self._buffer += data
        if not self._upgraded:
            head, end, rest = self._buffer.partition(b"\r\n\r\n")
            if not end:
                return
            if b" 101 " not in head.split(b"\r\n")[0]:
                self._end(head.decode())
                return
            self._upgraded, self._buffer = True, rest
            for frame in self._opening:
                self.write(frame)
            self.ready.set_result(None)
        start, buffer = 0, self._buffer
        while len(buffer) - start >= 2:
            size, at = buffer[start + 1] & 0x7F, start + 2
            if size == 126:
                size, at = int.from_bytes(buffer[start + 2 : start + 4], "big"), start + 4
            elif size == 127:
                size, at = int.from_bytes(buffer[start + 2 : start + 10], "big"), start + 10
            if len(buffer) < at + size:
                break
            self._frame(buffer[start] & 0x0F, buffer[at : at + size], now)
            start = at + size
        self._buffer = buffer[start:]

    def _frame(self, opcode: int, payload: bytes, now: float) -> None:
        if opcode == 9:  # ping
            self.write(bytes((0x8A, 0x80 | len(payload))) + bytes(4) + payload)
        elif opcode == 8:
            self._end(payload.decode("utf-8", "replace"))
        elif self._echo or payload.startswith(b'{"type":"error"'):
            self._answered(now)
        elif payload.startswith(b'{"type":"response.output_audio.delta"'):
            self._heard(now)

    def _answered(self, now: float) -> None:
        if self.asked and (asked := self.asked.pop(0)) and self._figures.counting:
            self._figures.round_trips.append(now - asked)

    def _heard(self, now: float) -> None:
        if self.first_at is None:
            self.first_at = now
        due = self.first_at + self.count * FRAME_S
        self.first_at -= max(0.0, due - now)  # the first frame itself was late
        self.count += 1
        if self._figures.counting:
            self._figures.frames += 1
            self._figures.late.append(max(0.0, now - due))


async def stream(lines: list[Line], frames: list[bytes], figures: Figures, echo: bool, s: float):
    """20 ms frames on every line, the lines evenly out of step, for `s` seconds."""
    began = time.monotonic()
    turn = [FRAME_S * n / len(lines) for n in range(len(lines))]
    count = 0
    while True:
        for n, line in enumerate(lines):
            due = began + count * FRAME_S + turn[n]
            if (wait := due - time.monotonic()) > 0.0005:
                await asyncio.sleep(wait)
            if echo:
                line.asked.append(time.time())
            line.write(frames[(count + 7 * n) % len(frames)])
            if not echo and (count + n) % ASK_EVERY == 0:
                line.asked.append(time.time())
                line.write(ASK)
            figures.sent += figures.counting
        count += 1
        await asyncio.sleep(0)
        if time.monotonic() - began > s:
            return


def spread(values: list[float]) -> dict[str, float] | None:
    """p50 and p99 in milliseconds."""
    if not values:
        return None
    ordered = sorted(values)
    return {
        "p50_ms": round(ordered[len(ordered) // 2] * 1000, 2),
        "p99_ms": round(ordered[int(len(ordered) * 0.99)] * 1000, 2),
    }


def spent(server: psutil.Process) -> float:
    """Seconds of a core that a server and the processes it has started have used."""
    times = [one.cpu_times() for one in (server, *server.children(recursive=True))]
    return sum(one.user + one.system for one in times)


def occupied() -> float:
    """Seconds of all cores that were not idle, whoever used them."""
    times = psutil.cpu_times()
    return sum(times[:4]) - times.idle + times.irq + times.softirq + times.steal


def resident(server: psutil.Process) -> int:
    """Bytes of memory of all of them."""
    return sum(one.memory_info().rss for one in (server, *server.children(recursive=True)))


async def load(port: int, pid: int, args: argparse.Namespace, count: int, echo: bool) -> dict:
    loop = asyncio.get_running_loop()
    server = psutil.Process(pid)
    figures = Figures()
    frames = speech_frames()
    turn_detection = None if args.no_vad else {
        "type": "server_vad", "create_response": False, "interrupt_response": False
    }  # fmt: skip
    session = {"type": "realtime", "audio": {"input": {"turn_detection": turn_detection}}}
    update = json.dumps({"type": "session.update", "session": session})
    opening = [] if echo else [text_frame(update), text_frame('{"type":"response.create"}')]
    request = (
        "GET /v1/realtime?model=gpt-realtime HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: {base64.b64encode(secrets.token_bytes(16)).decode()}\r\n"
        f"Authorization: Bearer {KEY}\r\n\r\n"
    ).encode()
    lines: list[Line] = []
    rss_before = resident(server)
    for _ in range(count):
        line = Line(figures, opening, echo)
        await line.connect(port, request)
        lines.append(line)
    streaming = loop.create_task(stream(lines, frames, figures, echo, WARM_S + args.seconds + 0.5))
    await asyncio.sleep(WARM_S)
    figures.counting = True
    cpu, mine, busy, began = spent(server), time.process_time(), occupied(), time.monotonic()
    await asyncio.sleep(args.seconds)
    figures.counting = False
    took = time.monotonic() - began
    share = (spent(server) - cpu) / took
    mine = (time.process_time() - mine) / took
    others = (occupied() - busy) / took - share - mine
    rss = resident(server)
    await streaming
    for line in lines:
        line.close()
    faults = [line.fault for line in lines if line.fault]
    expected = figures.sent if echo else count * took / FRAME_S
    arrived = len(figures.round_trips) if echo else figures.frames
    return {
        "sessions": count,
        "round_trip": spread(figures.round_trips),
        "late": spread(figures.late),
        "frames_missing_percent": round(100 * max(0.0, 1 - arrived / expected), 2),
        "sent_percent": round(100 * figures.sent / (count * took / FRAME_S), 1),
        "core_percent": round(100 * share),
        "load_percent": round(100 * mine),
        "others_percent": round(100 * max(0.0, others)),
        "mb_per_session": round((rss - rss_before) / 1e6 / count, 2),
        **({"faults": faults[:3]} if faults else {}),
    }


def script(seconds: float) -> str:
    """A reply that lasts longer than the run, in frames of 20 ms, a word a quarter of a second."""
    words = "word " * int((WARM_S + seconds + 30) * 4)
    return f'word_ms = 240\n[[replies]]\ntext = "{words}"\nframe_ms = 20\n'


def run(args: argparse.Namespace, count: int, path: Path) -> dict[str, Any]:
    port = 18_431
    with subprocess.Popen([sys.executable, "-c", ECHO, str(port)]) as bare:
        try:
            time.sleep(2)
            echo = uvloop.run(load(port, bare.pid, args, count, echo=True))
        finally:
            bare.terminate()
    options = ("--engine", "scripted", "--script", str(path), "--max-sessions", "1000")
    vad = () if args.no_vad else ("--vad", "silero-vad")
    with server_process(*options, *vad, key=KEY) as (base_url, server):
        port = int(base_url.removesuffix("/v1").rsplit(":", 1)[1])
        ours = uvloop.run(load(port, server.pid, args, count, echo=False))
    ratio = round(ours["core_percent"] / max(1, echo["core_percent"]), 2)
    return {"ours": ours, "bare_echo": echo, "cost_ratio": ratio}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, nargs="+", default=[150])
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--no-vad", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "script.toml"
        path.write_text(script(args.seconds))
        rows = [run(args, count, path) for count in args.sessions]
    about = {"bench": "sessions", "vad": not args.no_vad, "seconds": args.seconds}
    print(json.dumps(about | {"rows": rows}))


if __name__ == "__main__":
    main()
