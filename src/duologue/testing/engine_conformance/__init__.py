"""The rules of the engine protocol, to be run against any engine.

    from duologue.testing.engine_conformance import RULES

    @pytest.mark.parametrize("rule", RULES, ids=str)
    def test_my_engine(rule):
        rule.check(MyEngine)

`check` makes an engine, judges it and closes it; it raises `Broken`, which says what was
expected and what came. `Case` says what the engine is asked, for those that need longer, or
other words. A rule about something that the engine's traits deny is not judged: `check` then
returns why.
"""

from duologue.testing.engine_conformance import history, interruption, leases, order, work
from duologue.testing.engine_conformance.bench import Bench, Broken, Case
from duologue.testing.engine_conformance.rule import Make, Rule

__all__ = ["RULES", "Bench", "Broken", "Case", "Make", "Rule"]

RULES: tuple[Rule, ...] = (
    *order.RULES,
    *interruption.RULES,
    *history.RULES,
    *leases.RULES,
    *work.RULES,
)
"""Every rule. `str(rule)` is its name."""
