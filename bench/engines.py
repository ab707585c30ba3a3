"""What the engine `chat` adds to an upstream, beside the bare HTTP client that it is built on.

A stand-in upstream runs in a process of its own, on one core; the engine on another. Reported:
the milliseconds that the engine adds to the first sound of a reply (at most 5 are wanted), how
long after a reply is closed the upstream notices (50), and, for streams that come in real time
with their starts spread over one chunk, how late each piece is beside its stream's own clock,
the gaps between pieces beyond a chunk's length (none of 20 ms among 100 streams) and the share of
a core. The same streams are also read by the bare client in the same run: what is late there is the
stand-in and the machine. `others_share` is how busy other programs kept the machine meanwhile.
One JSON line. `python bench/engines.py --turns 200 --streams 100`
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from functools import partial
from typing import cast

import httpx2
import msgspec
import psutil
import uvloop

from duologue.core.talk import Ask, Item, Part, ReplyEvent, Say
from duologue.engines.chat.engine import ChatEngine
from duologue.engines.chat.request import Model, render
from duologue.engines.scripted import tone
from duologue.runtime.ports import Talk
from duologue.testing.chat_stand_in import Answer

MODEL = Model("stand-in", ("ethan",))
QUESTION = Item("user", "user", (Part(pcm=tone(5000), media_id="question"),))
ALL_CORES = sorted(os.sched_getaffinity(0))
CHUNK_MS = 80
QUICK = Answer(sound_ms=400, chunk_ms=CHUNK_MS)
PACED = Answer(sound_ms=8000, chunk_ms=CHUNK_MS, chunk_delay_ms=CHUNK_MS, text="")

STAND_IN = """
import asyncio, os, sys, msgspec, uvloop
from duologue.testing.chat_stand_in import Answer, ChatStandIn, standing_in

async def main():
    os.sched_setaffinity(0, {int(sys.argv[2])})
    stand_in = ChatStandIn(msgspec.json.decode(sys.argv[1], type=Answer))
    async with standing_in(stand_in) as url:
        print(url, flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        print(msgspec.json.encode(stand_in.abort_times).decode(), flush=True)

uvloop.run(main())
"""


class Elsewhere:
    """A stand-in in another process, on the last core; this one keeps to the first."""

    def __init__(self, answer: Answer) -> None:
        os.sched_setaffinity(0, {ALL_CORES[0]})
        body = msgspec.json.encode(answer).decode()
        command = [sys.executable, "-c", STAND_IN, body, str(ALL_CORES[-1])]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.url = self._line()

    def end(self) -> list[float]:
        """Stop it; when clients hung up on it, by the clock that all processes share."""
        assert self._process.stdin
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        aborts: list[float] = json.loads(self._line())
        self._process.communicate()
        return aborts

    def _line(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline().strip()


def reply(talk: Talk) -> AsyncGenerator[ReplyEvent, None]:
    return cast(AsyncGenerator[ReplyEvent, None], talk.reply(Ask()))


async def bare_ms(client: httpx2.AsyncClient, url: str, body: bytes) -> float:
    """From the request to the last byte of the first chunk of sound."""
    start = time.perf_counter()
    async with client.stream("POST", f"{url}/chat/completions", content=body) as response:
        seen = b""
        async for piece in response.aiter_raw():
            seen += piece
            if b'"modality": "audio"' in seen and seen.endswith(b"\n\n"):
                break
    return (time.perf_counter() - start) * 1000


async def engine_ms(talk: Talk) -> float:
    """From the ask to the first sound."""
    start = time.perf_counter()
    async with aclosing(reply(talk)) as events:
        async for event in events:
            if isinstance(event, Say) and event.pcm:
                return (time.perf_counter() - start) * 1000
    raise AssertionError("no sound")


async def first_sound(turns: int) -> dict[str, float]:
    elsewhere = Elsewhere(QUICK)
    engine = ChatEngine([elsewhere.url], MODEL)
    talk = await engine.open(Ask())
    talk.put(QUESTION)
    body = render(Ask(), [QUESTION], MODEL)
    async with httpx2.AsyncClient(trust_env=False) as client:
        pairs = [
            (await bare_ms(client, elsewhere.url, body), await engine_ms(talk))
            for _ in range(turns)
        ]
    await engine.aclose()
    elsewhere.end()
    added = sorted(ours - bare for bare, ours in pairs[1:])
    return {
        "bare_first_sound_ms": round(statistics.median(bare for bare, _ in pairs), 2),
        "added_ms_p50": round(statistics.median(added), 2),
        "added_ms_p95": round(at(added, 0.95), 2),
    }


async def abort(turns: int) -> dict[str, float]:
    """From the closing of a reply, in the middle of its sound, to the upstream's notice."""
    elsewhere = Elsewhere(PACED)
    engine = ChatEngine([elsewhere.url], MODEL)
    talk = await engine.open(Ask())
    talk.put(QUESTION)
    closed = []
    for _ in range(turns):
        async with aclosing(reply(talk)) as events:
            async for event in events:
                if isinstance(event, Say) and event.pcm:
                    break
            closed.append(time.monotonic())
    await engine.aclose()
    await asyncio.sleep(0.2)
    taken = sorted((o - c) * 1000 for c, o in zip(closed, elsewhere.end(), strict=True))
    return {
        "abort_ms_p50": round(statistics.median(taken), 2),
        "abort_ms_max": round(taken[-1], 2),
    }


def at(ordered: list[float], share: float) -> float:
    return ordered[int(share * (len(ordered) - 1))]


Times = list[float]


async def engine_times(talk: Talk) -> Times:
    """When each piece of a stream came through the engine."""
    async with aclosing(reply(talk)) as events:
        times = [time.monotonic() async for event in events if isinstance(event, Say) and event.pcm]
    return times[:-1]  # the last is what was held back


async def bare_times(client: httpx2.AsyncClient, url: str, body: bytes) -> Times:
    """When each piece of a stream came to the bare client, which does not look into it."""
    times = []
    last = b""
    async with client.stream("POST", f"{url}/chat/completions", content=body) as response:
        async for piece in response.aiter_raw():
            if b'"modality": "audio"' in piece and last.endswith(b"\n\n"):
                times.append(time.monotonic())
            last = piece[-2:].rjust(2, last[-1:] or b"\n")
    return times


async def spread(reads: list[Callable[[], Awaitable[Times]]]) -> tuple[list[Times], float]:
    """All of them at once, begun evenly over one chunk; and the share of a core it took."""
    process = psutil.Process()

    async def one(number: int, read: Callable[[], Awaitable[Times]]) -> Times:
        await asyncio.sleep(number * CHUNK_MS / 1000 / len(reads))
        return await read()

    started, before = time.perf_counter(), sum(process.cpu_times()[:2])
    gathered = await asyncio.gather(*(one(n, read) for n, read in enumerate(reads)))
    spent = sum(process.cpu_times()[:2]) - before
    return list(gathered), spent / (time.perf_counter() - started)


def judged(name: str, streams: list[Times], share: float) -> dict[str, float]:
    late, gaps = [], []
    for times in streams:
        beside = [moment * 1000 - count * CHUNK_MS for count, moment in enumerate(times)]
        late += [one - min(beside) for one in beside]
        pairs = zip(times, times[1:], strict=False)
        gaps += [(later - sooner) * 1000 - CHUNK_MS for sooner, later in pairs]
    late.sort()
    gaps.sort()
    return {
        f"{name}_late_ms_p50": round(at(late, 0.5), 2),
        f"{name}_late_ms_p99": round(at(late, 0.99), 2),
        f"{name}_late_ms_max": round(late[-1], 2),
        f"{name}_gap_ms_p99": round(at(gaps, 0.99), 2),
        f"{name}_gap_ms_max": round(gaps[-1], 2),
        f"{name}_gaps_over_20_ms": sum(gap > 20 for gap in gaps),
        f"{name}_core_share": round(share, 3),
    }


async def many(streams: int) -> dict[str, float]:
    elsewhere = Elsewhere(PACED)
    engine = ChatEngine([elsewhere.url], MODEL)
    talks = [await engine.open(Ask()) for _ in range(streams)]
    for talk in talks:
        talk.put(QUESTION)
    body = render(Ask(), [QUESTION], MODEL)
    limits = httpx2.Limits(max_connections=None)
    found: dict[str, float] = {"streams": streams}
    async with httpx2.AsyncClient(trust_env=False, limits=limits, timeout=30) as client:
        for turn in range(2):  # the first warms both up
            bare = await spread([partial(bare_times, client, elsewhere.url, body)] * streams)
            ours = await spread([partial(engine_times, talk) for talk in talks])
            if turn:
                found |= judged("bare", *bare) | judged("engine", *ours)
                found["core_share_ratio"] = round(ours[1] / bare[1], 2)
                found["pieces"] = sum(map(len, ours[0]))
    await engine.aclose()
    elsewhere.end()
    return found


async def measure(turns: int, streams: int) -> dict[str, object]:
    own = psutil.Process()
    before, cpu, started = psutil.cpu_times(), own.cpu_times(), time.perf_counter()
    found = {**await first_sound(turns), **await abort(turns), **await many(streams)}
    after, spent, taken = psutil.cpu_times(), own.cpu_times(), time.perf_counter() - started
    busy = sum(after[:3]) - sum(before[:3]) - (sum(spent[:4]) - sum(cpu[:4]))
    return {
        "bench": "engines",
        "engine": "chat",
        "turns": turns,
        "others_share": round(busy / taken / len(ALL_CORES), 2),
        **found,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=100)
    parser.add_argument("--streams", type=int, default=100)
    options = parser.parse_args()
    print(json.dumps(uvloop.run(measure(options.turns, options.streams))))


if __name__ == "__main__":
    main()
