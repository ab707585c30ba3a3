"""The meter of one session: between the core, which is pure, and the limits its key shares.

The core asks nobody. Before each input the runner gives it the allowance, if that has
changed; a response that begins takes from the limits, one that ends settles, and then the
core is told what is left. All of it happens within one turn of the loop, so no other session
can come between; and since it enters as inputs, it is on the tape.

    Respond ─► reserve        Spent ─► settle ─► LimitsUpdated

A session that ends says of every response in progress what it has used. Of one that broke nobody
can tell any more: what it had reserved stays taken.
"""

from duologue.core import inputs
from duologue.core.rate_limits import UNLIMITED, RateLimiter
from duologue.core.talk import Ask

RESERVED_TOKENS = 1000
"""What a response without a limit of its own reserves: a spoken minute and its prompt."""


class Meter:
    """Reservations by job, and what the core was last told."""

    def __init__(self, limiter: RateLimiter) -> None:
        self._limiter = limiter
        self._reserved: dict[str, int] = {}
        self._told = UNLIMITED
        self._settled = False

    def news(self) -> inputs.AllowanceChanged | None:
        """The allowance, if it is another than the core knows."""
        allowance = self._limiter.allowance
        if allowance == self._told:
            return None
        self._told = allowance
        return inputs.AllowanceChanged(allowance)

    def begin(self, job: str, ask: Ask, now: float) -> None:
        """A response began."""
        self._reserved[job] = self._limiter.reserve(ask.max_tokens or RESERVED_TOKENS, now)

    def end(self, job: str, tokens: int, now: float) -> None:
        """A response ended and has used so many tokens; one that never began costs nothing."""
        self._settled = True
        if job in self._reserved:
            self._limiter.settle(self._reserved.pop(job), tokens, now)

    def report(self, now: float) -> inputs.LimitsUpdated | None:
        """What is left, once after responses have ended; None where there are no limits."""
        if not self._settled:
            return None
        self._settled = False
        shown = self._limiter.shown(now)
        return inputs.LimitsUpdated(shown) if shown else None
