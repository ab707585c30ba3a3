"""The engine `moshi` by the rules that every full-duplex engine keeps, with tiny random weights."""

from typing import Any

import pytest

from duologue.testing.engine_conformance import LIVE_RULES, Case, Rule
from random_weights import skip_module_without_torch

skip_module_without_torch()

from duologue.engines.moshi.engine import MoshiEngine  # noqa: E402
from duologue.engines.moshi.model import MoshiFrames  # noqa: E402

pytestmark = pytest.mark.slow

CASE = Case(prompt_s=2, answer_s=4, patience_s=90)


@pytest.mark.parametrize("rule", LIVE_RULES, ids=str)
def test_the_engine_moshi_keeps_the_rule(rule: Rule, weights: Any) -> None:
    async def made() -> MoshiEngine:
        window = weights.moshi.config.sliding_window
        return MoshiEngine(MoshiFrames(weights, 2), weights.vocabulary, window)

    assert rule.check(made, CASE) == UNJUDGED.get(rule.name)


UNJUDGED = {"what it calls is whole and may be answered": "it calls no functions"}
