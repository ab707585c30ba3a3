"""The engine `chat` by the rules that every engine keeps, over a socket to a stand-in."""

from collections.abc import Iterator

import pytest

from beside import beside
from duologue.engines.chat.engine import ChatEngine
from duologue.engines.chat.request import Model
from duologue.testing.chat_stand_in import Answer, ChatStandIn, standing_in
from duologue.testing.engine_conformance import RULES, Case, Rule

QUICK = Case(patience_s=20, points=6, places=6)
ANSWER = Answer(text="There are sixteen.", sound_ms=1200, chunk_delay_ms=5, minds=True)


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    """A stand-in on an event loop of its own, for each rule has one too."""
    with beside(standing_in(ChatStandIn(ANSWER))) as url:
        yield url


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_the_chat_engine_keeps_the_rule(rule: Rule, upstream: str) -> None:
    assert rule.check(lambda: ChatEngine((upstream,), Model("m", ("ethan",))), QUICK) is None
