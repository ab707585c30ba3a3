"""The engine `realtime` by the rules that every engine keeps, in front of another duologue."""

from collections.abc import Iterator

import pytest

from beside import beside
from duologue.engines.realtime.engine import RealtimeEngine
from duologue.engines.realtime.traits import common_traits
from duologue.engines.realtime.upstream import Upstream
from duologue.testing.engine_conformance import RULES, Case, Rule
from live_server import UPSTREAM_KEY, scripted, serving, ws_url

CASE = Case(prompt_s=1, patience_s=20, places=6, points=6, ahead_ms=5000, counts_late=True)
SCRIPT = 'places=6\nword_ms=41\n[[replies]]\ntext="There are {heard}"'


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    """A server on an event loop of its own, for each rule has one too."""
    config = scripted(api_key=UPSTREAM_KEY, max_sessions=20, script=SCRIPT)
    with beside(serving(config)) as base_url:
        yield ws_url(base_url, "")


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_the_realtime_engine_keeps_the_rule(rule: Rule, upstream: str) -> None:
    async def made() -> RealtimeEngine:
        upstreams = [Upstream(upstream, UPSTREAM_KEY)]
        common = await common_traits(upstreams)
        return RealtimeEngine(upstreams, common.traits, aligned=common.aligned)

    why = rule.check(made, CASE)
    assert why == UNJUDGED.get(rule.name)


UNJUDGED = {"what leaves no room is not admitted": "it tells when it replies"}
