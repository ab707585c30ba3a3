"""The rules of the engine protocol, to be run against any engine.

    from duologue.testing.engine_conformance import RULES

    @pytest.mark.parametrize("rule", RULES, ids=str)
    def test_my_engine(rule):
        rule.check(MyEngine)

`check` makes an engine, judges it and closes it; it raises `Broken`, which says what was
expected and what came. `Case` says what the engine is asked, for those that need longer, or
other words. A rule about something that the engine's traits deny is not judged: `check` then
returns why. `LIVE_RULES` are those of an engine that listens while it speaks (`Traits.duplex`).
"""

from duologue.testing.engine_conformance import (
    history,
    interruption,
    leases,
    live,
    live_notes,
    order,
    work,
)
from duologue.testing.engine_conformance.bench import Bench, Broken, Case
from duologue.testing.engine_conformance.rule import Make, Rule

__all__ = ["LIVE_RULES", "RULES", "Bench", "Broken", "Case", "Make", "Rule"]

RULES: tuple[Rule, ...] = (
    *order.RULES,
    *interruption.RULES,
    *history.RULES,
    *leases.RULES,
    *work.RULES,
)
"""Every rule about replies that are asked for. `str(rule)` is its name."""

LIVE_RULES: tuple[Rule, ...] = (*live.RULES, *live_notes.RULES)
"""Every rule about a model that owns the floor."""
