"""The composed engine by the rules that every engine keeps, with a mind on another server."""

from collections.abc import Iterator

import pytest

from beside import beside
from duologue.engines.composed.engine import ComposedEngine
from duologue.engines.remote.chat_mind import ChatMind
from duologue.remote.server import RemoteServer
from duologue.testing.chat_stand_in import Answer, ChatStandIn, standing_in
from duologue.testing.engine_conformance import RULES, Case, Rule
from engines.composed.parts_kit import ScriptedEar, ScriptedEye, ScriptedMouth, sound

CASE = Case(
    pcm=sound("How many ounces are in a pound?", silence=4),
    patience_s=20,
    points=6,
    places=6,
    ahead_ms=3000,
    counts_late=True,
)
ANSWER = Answer(text="There were two. Then came number three, and four.", sound_ms=0, minds=True)


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    """A stand-in on an event loop of its own, for each rule has one too."""
    with beside(standing_in(ChatStandIn(ANSWER))) as url:
        yield url


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_an_engine_with_a_remote_mind_keeps_the_rule(rule: Rule, upstream: str) -> None:
    def made() -> ComposedEngine:
        server = RemoteServer(f"{upstream}#m", "llm", "the language model's server")
        mind = ChatMind(server, context_tokens=4096)
        return ComposedEngine(ScriptedEar(), mind, ScriptedMouth(), ScriptedEye())

    assert rule.check(made, CASE) is None
