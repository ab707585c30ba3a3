"""What the engine `chat` adds to an upstream, beside the bare HTTP client that it is built on.

A stand-in upstream runs in a process of its own. Reported: the milliseconds that the engine
adds to the first sound of a reply (at most 5 are wanted), how long after a reply is closed the
upstream notices (50), and, for streams that come in real time, how late their sound is beside
its own clock and the share of a core that they take (100 streams, none 20 ms late). One JSON
line. `python bench/engines.py --turns 200 --streams 100`
"""

import argparse
import asyncio
import contextlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
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
from duologue.testing.chat_stand_in import Answer, ChatStandIn, standing_in

MODEL = Model("stand-in", ("ethan",))
QUESTION = Item("user", "user", (Part(pcm=tone(5000)),))
CHUNK_MS = 80
QUICK = Answer(sound_ms=400, chunk_ms=CHUNK_MS)
PACED = Answer(sound_ms=8000, chunk_ms=CHUNK_MS, chunk_delay_ms=CHUNK_MS, text="")

STAND_IN = """
import asyncio, sys, msgspec, uvloop
from duologue.testing.chat_stand_in import Answer, ChatStandIn, standing_in

async def main():
    answer = msgspec.json.decode(sys.argv[1], type=Answer)
    async with standing_in(ChatStandIn(answer)) as url:
        print(url, flush=True)
        await asyncio.to_thread(sys.stdin.read)

uvloop.run(main())
"""


@contextlib.contextmanager
def elsewhere(answer: Answer) -> Iterator[str]:
    """A stand-in in another process; gives its URL."""
    command = [sys.executable, "-c", STAND_IN, msgspec.json.encode(answer).decode()]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout and process.stdin
        yield process.stdout.readline().strip()
        process.stdin.close()


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
    with elsewhere(QUICK) as url:
        engine = ChatEngine([url], MODEL)
        talk = await engine.open(Ask())
        talk.put(QUESTION)
        body = render(Ask(), [QUESTION], MODEL)
        async with httpx2.AsyncClient(trust_env=False) as client:
            pairs = [
                (await bare_ms(client, url, body), await engine_ms(talk)) for _ in range(turns)
            ]
        await engine.aclose()
    added = sorted(ours - bare for bare, ours in pairs[1:])
    return {
        "bare_first_sound_ms": round(statistics.median(bare for bare, _ in pairs), 2),
        "added_ms_p50": round(statistics.median(added), 2),
        "added_ms_p95": round(added[int(0.95 * (len(added) - 1))], 2),
    }


async def abort(turns: int) -> dict[str, float]:
    stand_in = ChatStandIn(PACED)
    loop = asyncio.get_running_loop()
    taken = []
    async with standing_in(stand_in) as url:
        engine = ChatEngine([url], MODEL)
        talk = await engine.open(Ask())
        talk.put(QUESTION)
        for turn in range(turns):
            await engine_ms(talk)  # closes the reply at its first sound
            closed = loop.time()
            await stand_in.until(lambda it, turn=turn: len(it.abort_times) > turn)
            taken.append((stand_in.abort_times[-1] - closed) * 1000)
        await engine.aclose()
    return {
        "abort_ms_p50": round(statistics.median(taken), 2),
        "abort_ms_max": round(max(taken), 2),
    }


async def lateness_ms(talk: Talk) -> list[float]:
    """How much later than its own clock each piece of a stream came."""
    loop = asyncio.get_running_loop()
    first, count, late = 0.0, 0, []
    async with aclosing(reply(talk)) as events:
        async for event in events:
            if isinstance(event, Say) and event.pcm:
                first = first or loop.time()
                late.append((loop.time() - first) * 1000 - count * CHUNK_MS)
                count += 1
    return [one - min(late) for one in late[:-1]]  # the last is what was held back


async def many(streams: int) -> dict[str, float]:
    with elsewhere(PACED) as url:
        engine = ChatEngine([url], MODEL)
        talks = [await engine.open(Ask()) for _ in range(streams)]
        for talk in talks:
            talk.put(QUESTION)
        process = psutil.Process()
        started, before = time.perf_counter(), sum(process.cpu_times()[:2])
        gathered = await asyncio.gather(*map(lateness_ms, talks))
        spent = sum(process.cpu_times()[:2]) - before
        taken = time.perf_counter() - started
        await engine.aclose()
    late = sorted(one for stream in gathered for one in stream)
    return {
        "streams": streams,
        "late_ms_p99": round(late[int(0.99 * (len(late) - 1))], 1),
        "late_ms_max": round(late[-1], 1),
        "core_share": round(spent / taken, 2),
    }


async def measure(turns: int, streams: int) -> dict[str, object]:
    return {
        "bench": "engines",
        "engine": "chat",
        "turns": turns,
        **await first_sound(turns),
        **await abort(turns),
        **await many(streams),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=100)
    parser.add_argument("--streams", type=int, default=100)
    options = parser.parse_args()
    print(json.dumps(uvloop.run(measure(options.turns, options.streams))))


if __name__ == "__main__":
    main()
