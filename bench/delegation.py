"""What the wrapper of `delegate` adds to a reply, with nothing looked up and with something.

The scripted engine stands in front and a stand-in of a chat-completions server, in this same
process, behind. Reported, in milliseconds: what is added to the first sound and to a whole reply
of 60 words where nobody is asked (less than 1 is wanted); the bare HTTP answer beside a whole
looked-up reply; how long after a reply is closed the server notices (50). One JSON line.
`python bench/delegation.py --turns 200`
"""

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import cast

import httpx2
import uvloop

from duologue.core.talk import Ask, Item, Part, ReplyEvent, Say
from duologue.engines.delegation.engine import DelegatingEngine
from duologue.engines.delegation.heard import hearing
from duologue.engines.remote.chat_mind import ChatMind
from duologue.engines.scripted import (
    Script,
    ScriptedCall,
    ScriptedEngine,
    ScriptedReply,
    ScriptedTranscriber,
)
from duologue.remote.server import RemoteServer
from duologue.runtime.ports import Talk
from duologue.testing.chat_stand_in import Answer, ChatStandIn, standing_in

SCRIPT = Script(
    replies=(
        ScriptedReply(when="hard", calls=(ScriptedCall("ask_expert", '{"question": "why?"}'),)),
        ScriptedReply(text=" ".join(["word"] * 60)),
    ),
    word_ms=240,
)
EASY = Item("easy", "user", (Part("Say something."),))
HARD = Item("hard", "user", (Part("A hard one."),))
ANSWER = Answer(text="So it is.", sound_ms=0)
SLOW = Answer(text="Late.", sound_ms=0, first_delay_ms=60_000)


async def taken_ms(talk: Talk) -> tuple[float, float]:
    """From the ask to the first sound, and to the end."""
    start, first = time.perf_counter(), 0.0
    async with aclosing(cast(AsyncGenerator[ReplyEvent, None], talk.reply(Ask()))) as events:
        async for event in events:
            if not first and isinstance(event, Say):
                first = time.perf_counter() - start
    return first * 1000, (time.perf_counter() - start) * 1000


async def added(talk: Talk, bare: Talk, turns: int) -> dict[str, float]:
    pairs = [(await taken_ms(bare), await taken_ms(talk)) for _ in range(turns)][1:]
    first = sorted(ours[0] - theirs[0] for theirs, ours in pairs)
    whole = sorted(ours[1] - theirs[1] for theirs, ours in pairs)
    return {
        "added_first_ms_p50": round(statistics.median(first), 3),
        "added_first_ms_p95": round(first[int(0.95 * (len(first) - 1))], 3),
        "added_whole_ms_p50": round(statistics.median(whole), 3),
        "added_whole_ms_p95": round(whole[int(0.95 * (len(whole) - 1))], 3),
    }


async def looked_up(talk: Talk, stand_in: ChatStandIn, url: str, turns: int) -> dict[str, float]:
    replies, bare = [], []
    async with httpx2.AsyncClient(trust_env=False) as client:
        for turn in range(turns):
            item = Item(f"hard {turn}", "user", HARD.parts)
            talk.put(item)
            replies.append((await taken_ms(talk))[0])
            talk.drop(item.id)
            start = time.perf_counter()
            body = stand_in.requests[-1]
            await client.post(f"{url}/chat/completions", json=body)
            bare.append((time.perf_counter() - start) * 1000)
    return {
        "bare_answer_ms": round(statistics.median(bare[1:]), 2),
        "looked_up_first_ms_p50": round(statistics.median(replies[1:]), 2),
    }


async def abort(talk: Talk, stand_in: ChatStandIn, turns: int) -> dict[str, float]:
    taken = []
    stand_in.answers[:] = [SLOW]
    talk.put(HARD)
    for turn in range(turns):
        asked = len(stand_in.requests)
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(taken_ms(talk))
            await stand_in.until(lambda it, asked=asked: len(it.requests) > asked)
            reading.cancel()
            closed = asyncio.get_running_loop().time()
        await stand_in.until(lambda it, turn=turn: len(it.abort_times) > turn)
        taken.append((stand_in.abort_times[-1] - closed) * 1000)
    return {
        "abort_ms_p50": round(statistics.median(taken), 2),
        "abort_ms_max": round(max(taken), 2),
    }


async def measure(turns: int) -> dict[str, object]:
    stand_in = ChatStandIn(ANSWER)
    async with standing_in(stand_in) as url:
        front = ScriptedEngine(SCRIPT)
        server = RemoteServer(f"{url}#big", "delegate", "the expert's server")
        mind = ChatMind(server, context_tokens=4096)
        engine = DelegatingEngine(front, mind, hearing(ScriptedTranscriber(front)))
        talk, bare = await engine.open(Ask()), await front.open(Ask())
        for one in (talk, bare):
            one.put(EASY)
        report = {
            "bench": "delegation",
            "turns": turns,
            **await added(talk, bare, turns),
            **await looked_up(talk, stand_in, url, turns),
            **await abort(talk, stand_in, turns),
        }
        await talk.aclose()
        await bare.aclose()
        await engine.aclose()
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=100)
    print(json.dumps(uvloop.run(measure(parser.parse_args().turns))))


if __name__ == "__main__":
    main()
