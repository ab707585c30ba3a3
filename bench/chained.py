"""What a server in front of another adds: first audio of the same question, alone and chained.

Two scripted servers in this process, asked in text one after the other, first the one behind
itself, then the one in front of it. The median difference is what the chain costs; it should be
at most 15 ms. One JSON line. `python bench/chained.py --turns 200`
"""

import argparse
import asyncio
import json
import statistics
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from live_server import UPSTREAM_KEY, Caller, call, front, scripted, serving, ws_url

SCRIPT = '[[replies]]\ntext = "It is sunny in Paris today."'
CONTENT = [{"type": "input_text", "text": "What is the weather in Paris?"}]
ITEM = {"type": "message", "role": "user", "content": CONTENT}


async def first_audio_ms(client: Caller) -> float:
    """From `response.create` to the first sound."""
    await client.send("conversation.item.create", item=ITEM)
    await client.next("conversation.item.done")
    start = time.perf_counter()
    await client.send("response.create")
    await client.next("response.output_audio.delta")
    taken = (time.perf_counter() - start) * 1000
    await client.next("response.done")
    return taken


async def measure(turns: int) -> dict[str, float | int]:
    async with AsyncExitStack() as stack:
        behind = scripted(script=SCRIPT, api_key=UPSTREAM_KEY)
        upstream = await stack.enter_async_context(serving(behind))
        base_url = await stack.enter_async_context(serving(front(ws_url(upstream, ""))))
        alone = await stack.enter_async_context(call(upstream, key=UPSTREAM_KEY))
        chained = await stack.enter_async_context(call(base_url))
        pairs = [(await first_audio_ms(alone), await first_audio_ms(chained)) for _ in range(turns)]
    added = sorted(chained - alone for alone, chained in pairs)
    return {
        "turns": turns,
        "alone_ms_p50": round(statistics.median(alone for alone, _ in pairs), 2),
        "chained_ms_p50": round(statistics.median(chained for _, chained in pairs), 2),
        "added_ms_p50": round(statistics.median(added), 2),
        "added_ms_p95": round(added[int(0.95 * (len(added) - 1))], 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=100)
    print(json.dumps(asyncio.run(measure(parser.parse_args().turns))))


if __name__ == "__main__":
    main()
