"""The upstreams of an engine: which is asked next, and which are looked at again.

The least busy of those that are well goes first. One that failed is asked only when there is
no other, and looked at in the background until it answers. One that answers but refuses what
another takes is left alone for a while: a look would find it well. Nothing sticks to an
upstream: all that it must know is in every request.
"""

import asyncio
import logging
from collections.abc import Collection, Sequence

from duologue.engines.chat.upstream import Upstream

log = logging.getLogger(__name__)

FIRST_CHECK_S = 1.0
LONGEST_CHECK_S = 30.0
MISFIT_S = 60.0
"""How long one that refuses is passed over."""


class Upstreams:
    """One or more upstreams with the same model."""

    def __init__(
        self,
        upstreams: Sequence[Upstream],
        *,
        check_s: float = FIRST_CHECK_S,
        misfit_s: float = MISFIT_S,
    ) -> None:
        self._upstreams = tuple(upstreams)
        self._check_s = check_s
        self._misfit_s = misfit_s
        self._checks: dict[Upstream, asyncio.Task[None]] = {}

    def pick(self, tried: Collection[Upstream] = ()) -> Upstream | None:
        """The one to ask, of those not yet tried; None when there is no other."""
        left = [upstream for upstream in self._upstreams if upstream not in tried]
        return min(left, key=lambda one: (one.down, one.in_flight), default=None)

    def failed(self, upstream: Upstream) -> None:
        """Note that one is not well: it is looked at until it is."""
        self._pass_over(upstream, self._check_s)

    def refused(self, upstream: Upstream) -> None:
        """Note that one does not take what another may, whether or not it is well."""
        self._pass_over(upstream, self._misfit_s)

    def _pass_over(self, upstream: Upstream, wait_s: float) -> None:
        upstream.down = True
        if upstream not in self._checks:
            check = self._look_after(upstream, wait_s)
            task = asyncio.create_task(check, name=upstream.name)  # noqa: TID251 - owned here
            self._checks[upstream] = task
            task.add_done_callback(lambda _: self._checks.pop(upstream, None))

    async def _look_after(self, upstream: Upstream, wait_s: float) -> None:
        while upstream.down:
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, LONGEST_CHECK_S)
            if await upstream.is_well():
                upstream.down = False
        log.warning("upstream %s: is asked again", upstream.name)

    async def aclose(self) -> None:
        """Stop looking."""
        while checks := list(self._checks.values()):
            for check in checks:
                check.cancel()
            await asyncio.wait(checks)
