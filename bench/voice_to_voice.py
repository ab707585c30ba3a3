"""How long a caller waits: end of speech to the first sound of the reply, over the wire.

Plays recorded utterances in real time (20 ms frames, silence after) as turns of one
conversation with any Realtime server, and measures from the true end of speech (the last
sample above -40 dB of the recording's peak) to the first sample of the reply that is not
near silence, at the moment it can be played. Prints a waterfall of stages where the server
reports them, and one JSON line. `python bench/voice_to_voice.py --profile small --turns 20`

`--barge-in` interrupts stories while they are being told, and measures from the first loud
sample of the interruption to the end of the reply, after which no sound can come. Without
`--url` it starts its own server.
"""

import argparse
import asyncio
import base64
import json
import os
import platform
import statistics
import subprocess
import sys
import time
import wave
from array import array
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from server_process import server_process

AUDIO = Path(__file__).parent.parent / "tests" / "data" / "audio"
FRAME_BYTES = 960
RATE_HZ = 24_000
NEAR_SILENCE = 200
TURN_LIMIT_S = 60.0

STORYTELLER = "You are a storyteller. Tell very long stories of at least ten sentences."
STORY = {
    "type": "message",
    "role": "user",
    "content": [{"type": "input_text", "text": "Tell me a long story about a fox."}],
}
"""What takes the model long enough to be interrupted: most answers are generated at once."""


def utterances() -> list[tuple[str, bytes, float]]:
    """Questions of the manifest: name, sound up to the end of speech, its length in seconds."""
    rows = json.loads((AUDIO / "manifest.json").read_text())
    found = []
    for row in rows:
        if row["kind"] != "tts":
            continue
        with wave.open(str(AUDIO / row["file"])) as sound:
            pcm = sound.readframes(sound.getnframes())
        samples = array("h", pcm)
        peak = max(map(abs, samples))
        end = max(n for n, sample in enumerate(samples) if abs(sample) > peak / 100)
        found.append((row["file"], pcm[: 2 * (end + 1)], (end + 1) / RATE_HZ))
    return found


def first_loud(pcm: bytes) -> int | None:
    """The first sample that is not near silence."""
    loud = (n for n, sample in enumerate(array("h", pcm)) if abs(sample) > NEAR_SILENCE)
    return next(loud, None)


class Caller:
    """One conversation: a microphone that never stops, and what comes back."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.events: asyncio.Queue[tuple[float, dict[str, Any]]] = asyncio.Queue()
        self._queue: asyncio.Queue[bytes] = asyncio.Queue()
        self.spoken_at = 0.0
        self._began = asyncio.Event()

    async def send(self, event: dict[str, Any]) -> None:
        await self.socket.send(json.dumps(event))

    async def listen(self) -> None:
        async for message in self.socket:
            self.events.put_nowait((time.monotonic(), json.loads(message)))

    async def microphone(self) -> None:
        """20 ms frames on time: what is queued, or silence."""
        due = time.monotonic()
        rest = b""
        while True:
            if not rest and not self._queue.empty():
                rest = self._queue.get_nowait()
                self.spoken_at = due
                self._began.set()
            frame, rest = rest[:FRAME_BYTES].ljust(FRAME_BYTES, b"\0"), rest[FRAME_BYTES:]
            audio = base64.b64encode(frame).decode()
            await self.send({"type": "input_audio_buffer.append", "audio": audio})
            due += 0.02
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def until(self, kind: str) -> None:
        """Pass events over up to one of a type."""
        while (await asyncio.wait_for(self.events.get(), TURN_LIMIT_S))[1]["type"] != kind:
            pass

    async def say(self, pcm: bytes) -> float:
        """Speak; returns when the first frame left, in monotonic seconds."""
        self._began.clear()
        self._queue.put_nowait(pcm)
        await self._began.wait()
        return self.spoken_at


async def turn(caller: Caller, pcm: bytes, length_s: float) -> dict[str, Any]:
    """Say one utterance and wait for the whole reply."""
    end = await caller.say(pcm) + length_s
    figures: dict[str, Any] = {"cut": False, "stages_ms": {}, "said": ""}
    playable = None
    while True:
        at, event = await asyncio.wait_for(caller.events.get(), TURN_LIMIT_S)
        match event["type"]:
            case "input_audio_buffer.speech_stopped":
                figures["cut"] = figures["cut"] or at < end
            case "response.output_audio.delta" if "v2v_s" not in figures:
                sound = base64.b64decode(event["delta"])
                start = max(at, playable or at)
                if (loud := first_loud(sound)) is not None:
                    figures["v2v_s"] = start + loud / RATE_HZ - end
                playable = start + len(sound) / 2 / RATE_HZ
            case "response.output_audio_transcript.done":
                figures["said"] = event["transcript"]
            case "response.done":
                stages = event["response"].get("duologue", {}).get("stages_ms", {})
                figures["stages_ms"] = stages
                if event["response"]["status"] == "completed":
                    return figures
            case "error":
                raise SystemExit(f"the server says: {event['error']}")


async def barge(caller: Caller, stop: bytes) -> float | None:
    """Interrupt a story that is being told; seconds from the onset to the end of the reply.

    After `response.done` no sound can come; before it there may be none either, when the next
    clause was still being generated. So this is the most that the last sound can be late. None
    when the whole story was generated before anybody could interrupt it.
    """
    await caller.send({"type": "conversation.item.create", "item": STORY})
    await caller.send({"type": "response.create"})
    await caller.until("response.output_audio.delta")
    onset_sample = first_loud(stop) or 0
    onset = await caller.say(stop) + onset_sample / RATE_HZ
    while True:
        at, event = await asyncio.wait_for(caller.events.get(), TURN_LIMIT_S)
        if event["type"] == "response.done":
            cancelled = event["response"]["status"] == "cancelled"
            break
    await caller.until("response.created")  # the answer to the interruption
    await caller.send({"type": "response.cancel"})
    await caller.until("response.done")
    return at - onset if cancelled else None


def spread(values: list[float]) -> dict[str, float]:
    """p50 and p95, in seconds."""
    ordered = sorted(values)
    p95 = ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))]
    return {"p50": round(statistics.median(ordered), 3), "p95": round(p95, 3)}


def late_to_early(v2v_s: list[float], period: int) -> float | None:
    """How much slower the conversation has become: late turns against the same utterances early.

    Utterances come round every `period` turns and differ in length, so each of the last turns
    is compared with the earliest one after the second that said the same. Median of the ratios.
    """
    last = range(max(2 + period, len(v2v_s) - period), len(v2v_s))
    ratios = [v2v_s[n] / v2v_s[2 + (n - 2) % period] for n in last]
    return round(statistics.median(ratios), 2) if ratios else None


async def measure(base_url: str, key: str, server: Any, args: argparse.Namespace) -> dict[str, Any]:
    url = "ws" + base_url.removeprefix("http") + "/realtime?model=" + args.model
    headers = {"Authorization": f"Bearer {key}"}
    async with connect(url, additional_headers=headers, compression=None, max_size=None) as socket:
        caller = Caller(socket)
        async with asyncio.TaskGroup() as tasks:
            listening = tasks.create_task(caller.listen())
            await asyncio.sleep(args.settle_s)
            speaking = tasks.create_task(caller.microphone())
            figures = await _turns(caller, server, args)
            speaking.cancel()
            listening.cancel()
    return figures


async def _turns(caller: Caller, server: Any, args: argparse.Namespace) -> dict[str, Any]:
    said = utterances()
    if args.barge_in:
        await caller.send(
            {
                "type": "session.update",
                "session": {"type": "realtime", "instructions": STORYTELLER},
            }
        )
        await caller.until("session.updated")
        delays = [await barge(caller, said[5][1]) for _ in range(args.turns)]
        known = [delay for delay in delays if delay is not None]
        return {"barge_in_s": spread(known) if known else None, "interrupted": len(known)}
    cpu_before = sum(server.cpu_times()[:2]) if server else 0.0
    turns = []
    for number in range(args.turns):
        name, pcm, length_s = said[number % len(said)]
        figures = await turn(caller, pcm, length_s)
        turns.append(figures)
        print(
            f"{number + 1:3} {name:24} {figures['v2v_s']:6.2f} s  {figures['stages_ms']}"
            f"  {figures['said']}",
            file=sys.stderr,
        )
    cpu = sum(server.cpu_times()[:2]) - cpu_before if server else None
    counted = turns[2:]
    stages = sorted({stage for figures in counted for stage in figures["stages_ms"]})
    return {
        "v2v_s": spread([figures["v2v_s"] for figures in counted]),
        "stages_p50_ms": {
            stage: round(
                statistics.median(f["stages_ms"][stage] for f in counted if stage in f["stages_ms"])
            )
            for stage in stages
        },
        "first_turn_s": round(turns[0]["v2v_s"], 3),
        "late_to_early": late_to_early([figures["v2v_s"] for figures in turns], len(said)),
        "cut": sum(figures["cut"] for figures in turns),
        "cpu_s_per_turn": round(cpu / len(turns), 2) if cpu is not None else None,
        "rss_mb": round(server.memory_info().rss / 1e6) if server else None,
    }


def machine() -> dict[str, str]:
    """The commit and the machine that a figure belongs to."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    cpu = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return {"commit": commit, "cpu": f"{os.cpu_count()} x {cpu}"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="base URL of a running server, with /v1")
    parser.add_argument("--key", default=os.environ.get("DUOLOGUE_API_KEY", "bench"))
    parser.add_argument("--model", default="gpt-realtime")
    parser.add_argument("--engine", default="light")
    parser.add_argument("--profile", default="default")
    parser.add_argument("--turns", type=int, default=22)
    parser.add_argument("--settle-s", type=float, default=3.0)
    parser.add_argument("--barge-in", action="store_true")
    args = parser.parse_args()
    about = {"bench": "voice_to_voice", "profile": args.profile, "turns": args.turns, **machine()}
    if args.url:
        print(json.dumps(about | asyncio.run(measure(args.url, args.key, None, args))))
        return
    options = ("--engine", args.engine, "--profile", args.profile)
    with server_process(*options, key=args.key) as (base_url, server):
        print(json.dumps(about | asyncio.run(measure(base_url, args.key, server, args))))


if __name__ == "__main__":
    main()
