"""The conformance kit: engines that are right pass; each that is wrong is caught by its rule."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import pytest

from duologue.config import ServerConfig
from duologue.core.talk import Ask, Began, Done, ReplyEvent, Say
from duologue.engines.composed.engine import ComposedEngine
from duologue.engines.composed.reply import AHEAD
from duologue.engines.light.prompt_mind import PromptMind
from duologue.engines.scripted import Script, ScriptedEngine, ScriptedReply
from duologue.gateway.compose import compose
from duologue.testing.engine_conformance import RULES, Broken, Case, Rule
from engines.composed.parts_kit import (
    ScriptedEar,
    ScriptedEye,
    ScriptedMind,
    ScriptedMouth,
    sound,
)
from testing.broken_engines import BROKEN, Wrong
from weights import STORE, weights

by_name = {str(rule): rule for rule in RULES}
each_rule = pytest.mark.parametrize("rule", RULES, ids=str)
SHORT = Script(replies=(ScriptedReply(text="There are {heard}"),), places=5, word_ms=41)
QUICK = Case(prompt_s=0.2, patience_s=10, places=6, points=6, ahead_ms=5000)


@each_rule
def test_the_scripted_engine_keeps_the_rule(rule: Rule) -> None:
    assert rule.check(lambda: ScriptedEngine(SHORT)) is None


@pytest.mark.parametrize("wrong", BROKEN, ids=lambda wrong: wrong.__name__)
def test_an_engine_that_is_broken_is_caught_by_the_rule_that_it_breaks(wrong: type[Wrong]) -> None:
    with pytest.raises(Broken):
        by_name[wrong.breaks].check(wrong, QUICK)


@each_rule
def test_an_engine_that_is_only_wrapped_keeps_the_rule(rule: Rule) -> None:
    assert rule.check(Wrong) is None


class CountsLate(Wrong):
    """Like a remote model that tells its usage at the end."""

    class Talk(Wrong.Talk):
        async def events(self, ask: Ask) -> AsyncIterator[ReplyEvent]:
            counted: ReplyEvent = Began()
            async for event in super().events(ask):
                if isinstance(event, Began):
                    counted = event
                    yield Began()
                elif isinstance(event, Done):
                    yield counted
                    yield event
                else:
                    yield event


@each_rule
def test_an_engine_that_counts_at_the_end_keeps_the_rule(rule: Rule) -> None:
    assert rule.check(CountsLate, Case(counts_late=True)) is None


class TakesItsTimeToTidyUp(Wrong):
    """Like one that closes a connection when it is closed, and had tasks to open it."""

    class Talk(Wrong.Talk):
        async def events(self, ask: Ask) -> AsyncIterator[ReplyEvent]:
            await asyncio.create_task(asyncio.sleep(0))
            async for event in super().events(ask):
                yield event
                if isinstance(event, Say):
                    break
            try:
                await asyncio.Event().wait()
            finally:
                for _ in range(3):
                    await asyncio.sleep(0)


def test_an_engine_that_takes_its_time_to_tidy_up_keeps_the_rule_about_work() -> None:
    rule = by_name["a reader that stops stops the engine"]
    assert rule.check(TakesItsTimeToTidyUp, QUICK) is None


def test_every_rule_is_broken_by_some_engine() -> None:
    assert {wrong.breaks for wrong in BROKEN} == set(by_name)


HEARD = Case(pcm=sound("How many ounces are in a pound?", silence=4), ahead_ms=3000)


def composed(ahead: int = AHEAD) -> ComposedEngine:
    """The composed engine of scripted parts."""

    def answer(prompt: str) -> str:
        count = 500 if "very long story" in prompt else 2
        return " ".join(f"Then came number {n}." for n in range(count))

    return ComposedEngine(
        ScriptedEar(),
        PromptMind(ScriptedMind(answer)),
        ScriptedMouth(),
        ScriptedEye(),
        ahead=ahead,
    )


@each_rule
def test_the_light_engine_keeps_the_rule_whatever_its_parts(rule: Rule) -> None:
    if rule.name == "calls are whole":
        pytest.skip("scripted minds know no grammar; those with weights are judged below")
    assert rule.check(composed, HEARD) is None


def test_the_light_engine_is_caught_where_its_queues_have_no_bound() -> None:
    with pytest.raises(Broken, match="waited for a reader that paused"):
        by_name["a reader that stops stops the engine"].check(partial(composed, 1000), HEARD)


@pytest.mark.slow
@pytest.mark.weights
@pytest.mark.timeout(900)
async def test_the_light_engine_keeps_every_rule_with_real_weights() -> None:
    weights("smollm2-135m-instruct-q4_1")
    config = ServerConfig(profile="small", models_dir=str(STORE), max_sessions=3)
    case = Case(points=5, places=4, patience_s=240, prompt_s=6)
    parts = await compose(config)
    try:
        broken = []
        for rule in RULES:
            try:
                await rule.acheck(parts.engine, case)
            except Broken as fault:
                broken.append(f"{rule}: {fault}")
        assert broken == []
    finally:
        await parts.aclose()
