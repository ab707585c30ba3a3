"""The wrapped engine by the rules that every engine keeps: with and without a lookup in it."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from duologue.engines.delegation.engine import DelegatingEngine
from duologue.engines.delegation.heard import hearing
from duologue.engines.scripted import Script, ScriptedEngine, ScriptedReply, ScriptedTranscriber
from duologue.testing.chat_stand_in import ChatStandIn, standing_in
from duologue.testing.engine_conformance import RULES, Broken, Case, Rule
from engines.delegation.delegation_kit import ASKS, EXPERT_SAYS, expert_at, said

PLAIN = Script(replies=(ScriptedReply(text="There are {heard}"),), places=5, word_ms=41)
ASKING = Script(
    replies=(
        ScriptedReply(when="Hello", text="Let me look.", calls=(ASKS,)),
        ScriptedReply(when="bread", text="Let me look.", calls=(ASKS,)),
        ScriptedReply(text="There are {heard}"),
    ),
    places=5,
    word_ms=41,
)
QUICK = Case(patience_s=20, points=6)


@pytest.fixture(scope="module")
def expert() -> Iterator[ChatStandIn]:
    """A stand-in on an event loop of its own, for each rule has one too."""
    stand_in = ChatStandIn(said())
    is_up = threading.Event()
    stop = asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def stand() -> None:
        async with standing_in(stand_in) as url:
            stand_in.url = url  # type: ignore[attr-defined]
            loops.append(asyncio.get_running_loop())
            is_up.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(stand()))
    thread.start()
    assert is_up.wait(10)
    yield stand_in
    loops[0].call_soon_threadsafe(stop.set)
    thread.join()


def wrapped(script: Script, expert: ChatStandIn) -> DelegatingEngine:
    front = ScriptedEngine(script)
    hear = hearing(ScriptedTranscriber(front))
    return DelegatingEngine(front, expert_at(expert.url), hear)  # type: ignore[attr-defined]


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_an_engine_that_needs_no_help_keeps_the_rule(rule: Rule, expert: ChatStandIn) -> None:
    assert rule.check(lambda: wrapped(PLAIN, expert), QUICK) is None


MINDS_NO_LIMIT = "max tokens is a bound"
"""The expert is told the limit, but a stand-in minds none."""


@pytest.mark.parametrize("rule", [r for r in RULES if str(r) != MINDS_NO_LIMIT], ids=str)
def test_an_engine_that_asks_keeps_the_rule(rule: Rule, expert: ChatStandIn) -> None:
    assert rule.check(lambda: wrapped(ASKING, expert), QUICK) is None


def test_the_rules_about_replies_did_ask(expert: ChatStandIn) -> None:
    before = len(expert.requests)
    (rule,) = (rule for rule in RULES if str(rule) == "voiced is true")
    assert rule.check(lambda: wrapped(ASKING, expert), QUICK) is None
    assert len(expert.requests) == before + 2
    (bound,) = (rule for rule in RULES if str(rule) == MINDS_NO_LIMIT)
    with pytest.raises(Broken, match="tokens where"):
        expert.answers[0] = said(EXPERT_SAYS)
        bound.check(lambda: wrapped(ASKING, expert), QUICK)
