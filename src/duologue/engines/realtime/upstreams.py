"""Which upstream a session begins at: the least busy of those that are well and have room.

One that fails is marked, and looked at beside the sessions until it answers, so that no caller has
to find out. One that is full is asked last for a while, or until a session of ours ends there.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence

from duologue.engines.realtime.ear import UpstreamEar
from duologue.engines.realtime.link import Link, Lost, Take
from duologue.engines.realtime.upstream import Upstream
from duologue.errors import EngineFault

logger = logging.getLogger(__name__)

FULL = ("session_limit_reached", "rate_limit_exceeded")
"""Codes of an upstream that has no room for one more."""

FULL_S = 10.0
FIRST_CHECK_S = 1.0
LONGEST_CHECK_S = 30.0

HASTE_S = 3.0
"""How long one may take to begin a session while another could be asked."""


class Upstreams:
    """See the module. Those that are `away` are looked at from the start: inside a running loop.

    `back` is awaited when one is there again, before sessions begin there.
    """

    def __init__(
        self,
        upstreams: Sequence[Upstream],
        away: Collection[Upstream] = (),
        *,
        back: Callable[[], Awaitable[None]] | None = None,
        check_s: float = FIRST_CHECK_S,
    ) -> None:
        self._back = back
        self._open = dict.fromkeys(upstreams, 0)
        self._check_s = check_s
        self._wait_s = dict.fromkeys(upstreams, check_s)
        """How long after its next failure one is looked at: longer each time, until it is well."""
        self._down: set[Upstream] = set()
        self._full_until: dict[Upstream, float] = {}
        self._checks: dict[Upstream, asyncio.Task[None]] = {}
        for upstream in away:
            self._mark(upstream)

    def pick(self, tried: Collection[Upstream] = ()) -> Upstream | None:
        """The one to ask, of those not yet tried; None when there is no other."""
        left = [one for one in self._open if one not in tried]
        return min(left, key=self._rank, default=None)

    def begin(self, upstream: Upstream) -> None:
        """A session of ours begins there."""
        self._open[upstream] += 1

    def answered(self, upstream: Upstream) -> None:
        """A session there has begun: it is well."""
        self._wait_s[upstream] = self._check_s
        self._down.discard(upstream)
        self._full_until.pop(upstream, None)

    def end(self, upstream: Upstream, fault: EngineFault | None, *, is_well: bool = False) -> None:
        """One is over, and why, unless we ended it; `is_well` where that is no fault of it."""
        self._open[upstream] -= 1
        self._full_until.pop(upstream, None)
        if fault is None:
            return
        if fault.code in FULL:
            self._full_until[upstream] = asyncio.get_running_loop().time() + FULL_S
        elif not is_well:
            self._mark(upstream)

    def _rank(self, upstream: Upstream) -> tuple[bool, bool, int]:
        now = asyncio.get_running_loop().time()
        is_full = now < self._full_until.get(upstream, now)
        return upstream in self._down, is_full, self._open[upstream]

    def _mark(self, upstream: Upstream) -> None:
        if len(self._open) == 1:
            return  # it is asked anyway
        self._down.add(upstream)
        if upstream not in self._checks:
            check = self._look_after(upstream)
            task = asyncio.create_task(check, name=upstream.name)  # noqa: TID251 - owned here
            self._checks[upstream] = task
            task.add_done_callback(lambda _: self._checks.pop(upstream, None))

    async def _look_after(self, upstream: Upstream) -> None:
        while upstream in self._down:
            await asyncio.sleep(self._wait_s[upstream])
            self._wait_s[upstream] = min(2 * self._wait_s[upstream], LONGEST_CHECK_S)
            if await upstream.is_well():
                if self._back is not None:
                    await self._back()
                self._down.discard(upstream)
        logger.warning("upstream %s is well again", upstream.name)

    async def aclose(self) -> None:
        """Stop looking."""
        while checks := list(self._checks.values()):
            for check in checks:
                check.cancel()
            await asyncio.wait(checks)


class Reach:
    """The upstream sessions of one talk, one after the other: which upstreams it has tried."""

    def __init__(self, upstreams: Upstreams, *, connect_s: float, settle_s: float) -> None:
        self._upstreams = upstreams
        self._connect_s = connect_s
        self._settle_s = settle_s
        self._tried: set[Upstream] = set()
        self._full: EngineFault | None = None

    @property
    def has_other(self) -> bool:
        """Whether there is an upstream that did not fail since `forget`."""
        return self._upstreams.pick(self._tried) is not None

    def why(self, fault: EngineFault) -> EngineFault:
        """Why there is no session, where the last that was tried had `fault`: one may be full."""
        return self._full or fault

    def forget(self) -> None:
        """What failed may be tried again."""
        self._tried.clear()
        self._full = None

    def open(self, ear: UpstreamEar, take: Take, lost: Lost, is_idle: Callable[[], bool]) -> Link:
        """Begin a session, at another upstream than those that failed, if there is one.

        `ear` knows how sound is sent there. `is_idle`: no reply is owed, so that the upstream may
        end the session.
        """
        upstream = self._upstreams.pick(self._tried) or self._upstreams.pick()
        assert upstream is not None, "no upstreams"
        self._upstreams.begin(upstream)
        is_last = self._upstreams.pick({*self._tried, upstream}) is None

        def ended(fault: EngineFault | None) -> None:
            self._upstreams.end(upstream, fault, is_well=link.is_well and is_idle())
            if fault is not None:
                self._tried.add(upstream)
                if fault.code in FULL:
                    self._full = fault

        link = Link(
            upstream,
            ear,
            take,
            lost,
            began=lambda: self._upstreams.answered(upstream),
            ended=ended,
            connect_s=self._connect_s if is_last else min(self._connect_s, HASTE_S),
            answer_s=self._connect_s,
            settle_s=self._settle_s,
        )
        return link
