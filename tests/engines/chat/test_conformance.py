"""The engine `chat` by the rules that every engine keeps, over a socket to a stand-in."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from duologue.engines.chat.engine import ChatEngine
from duologue.engines.chat.request import Model
from duologue.testing.chat_stand_in import Answer, ChatStandIn, standing_in
from duologue.testing.engine_conformance import RULES, Case, Rule

QUICK = Case(patience_s=20, points=6, places=6)
ANSWER = Answer(text="There are sixteen.", sound_ms=1200, chunk_delay_ms=5, minds=True)


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    """A stand-in on an event loop of its own, for each rule has one too."""
    urls: list[str] = []
    is_up = threading.Event()
    stop = asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def stand() -> None:
        async with standing_in(ChatStandIn(ANSWER)) as url:
            urls.append(url)
            loops.append(asyncio.get_running_loop())
            is_up.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(stand()))
    thread.start()
    assert is_up.wait(10)
    yield urls[0]
    loops[0].call_soon_threadsafe(stop.set)
    thread.join()


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_the_chat_engine_keeps_the_rule(rule: Rule, upstream: str) -> None:
    assert rule.check(lambda: ChatEngine((upstream,), Model("m", ("ethan",))), QUICK) is None
