"""The engine `realtime` by the rules that every engine keeps, in front of another duologue."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import pytest

from beside import beside
from duologue.engines.realtime.engine import RealtimeEngine
from duologue.engines.realtime.traits import common_traits
from duologue.engines.realtime.upstream import Upstream
from duologue.testing.engine_conformance import LIVE_RULES, RULES, Case, Rule
from live_server import UPSTREAM_KEY, scripted, serving, ws_url

CASE = Case(prompt_s=1, patience_s=20, places=6, points=6, ahead_ms=5000, counts_late=True)
SCRIPT = 'places=6\nword_ms=41\n[[replies]]\ntext="There are {heard}"'
LIVE_CASE = Case(prompt_s=1, patience_s=30, live_pace=3, answer_s=4)


@contextmanager
def serving_script(script: str) -> Iterator[str]:
    """A server on an event loop of its own, for each rule has one too."""
    config = scripted(api_key=UPSTREAM_KEY, max_sessions=20, script=script)
    with beside(serving(config)) as base_url:
        yield ws_url(base_url, "")


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    with serving_script(SCRIPT) as url:
        yield url


@pytest.fixture(scope="module")
def duplex_upstream() -> Iterator[str]:
    with serving_script(f"duplex=true\n{SCRIPT}") as url:
        yield url


def made_for(url: str) -> Callable[[], Awaitable[RealtimeEngine]]:
    async def made() -> RealtimeEngine:
        upstreams = [Upstream(url, UPSTREAM_KEY)]
        common = await common_traits(upstreams)
        return RealtimeEngine(upstreams, common.traits, aligned=common.aligned)

    return made


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_the_realtime_engine_keeps_the_rule(rule: Rule, upstream: str) -> None:
    why = rule.check(made_for(upstream), CASE)
    assert why == UNJUDGED.get(rule.name)


@pytest.mark.slow
@pytest.mark.parametrize("rule", LIVE_RULES, ids=str)
def test_in_front_of_a_model_that_owns_the_floor_too(rule: Rule, duplex_upstream: str) -> None:
    assert rule.check(made_for(duplex_upstream), LIVE_CASE) is None


UNJUDGED = {"what leaves no room is not admitted": "it tells when it replies"}
