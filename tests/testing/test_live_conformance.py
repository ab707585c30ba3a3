"""The kit's rules for full-duplex engines: a right one passes, each wrong one is caught."""

from dataclasses import replace

import pytest

from duologue.engines.scripted import Script, ScriptedEngine, ScriptedLiveEngine
from duologue.testing.engine_conformance import LIVE_RULES, Broken, Case, Rule
from testing.broken_live_engines import BROKEN_LIVE, CallsNothing, SaysNothing, WrongLive

by_name = {str(rule): rule for rule in LIVE_RULES}
each_rule = pytest.mark.parametrize("rule", LIVE_RULES, ids=str)
QUICK = Case(live_pace=50, prompt_s=0.5, answer_s=10)


@each_rule
def test_the_scripted_model_keeps_the_rule(rule: Rule) -> None:
    assert rule.check(lambda: ScriptedLiveEngine(WrongLive.script), QUICK) is None
    assert rule.check(WrongLive, QUICK) is None


@pytest.mark.parametrize("wrong", BROKEN_LIVE, ids=lambda wrong: wrong.__name__)
def test_a_model_that_is_broken_is_caught_by_the_rule_that_it_breaks(
    wrong: type[WrongLive],
) -> None:
    with pytest.raises(Broken):
        by_name[wrong.breaks].check(wrong, replace(QUICK, answer_s=wrong.answer_s))


def test_every_rule_is_broken_by_some_model() -> None:
    assert {wrong.breaks for wrong in BROKEN_LIVE} == set(by_name)


@each_rule
def test_an_engine_that_is_asked_is_not_judged(rule: Rule) -> None:
    assert rule.check(lambda: ScriptedEngine(Script())) == "it is asked for its replies"


def test_of_a_model_that_says_nothing_what_is_said_is_not_judged() -> None:
    results = {
        str(rule): rule.check(SaysNothing, replace(QUICK, answer_s=0.1)) for rule in LIVE_RULES
    }
    silent = {name for name, why in results.items() if why == "it said nothing"}
    assert silent == {
        "what is said is in a reply",
        "a reply that is hushed ends once",
        "what is said can be played",
        "what a reply counts adds up",
    }
    rest = {name: why for name, why in results.items() if why and name not in silent}
    assert rest == {"what it calls is whole and may be answered": "it called nothing"}


def test_of_a_model_that_calls_no_functions_calls_are_not_judged() -> None:
    rule = by_name["what it calls is whole and may be answered"]
    assert rule.check(CallsNothing, QUICK) == "it calls no functions"
