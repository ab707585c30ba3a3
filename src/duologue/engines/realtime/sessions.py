"""The upstream session that a talk has, and how it comes to the next one.

    talk ─ open, send, leave ─► Sessions ─► link ─► the upstream
    talk ◄── None: go on at another; or why there is none ◄── lost ◄─┘

A session ends once and for all; the next is begun by the talk's next ask, or at once at another
upstream where something is owed. One that hangs is left, and closed beside the talk.
"""

import asyncio
import logging
from collections.abc import Callable

from duologue.engines.realtime.ear import UpstreamEar
from duologue.engines.realtime.link import Link, Lost, Order, Take
from duologue.engines.realtime.updates import Updates
from duologue.engines.realtime.upstreams import FULL, Reach
from duologue.errors import EngineFault

logger = logging.getLogger(__name__)


class Sessions:
    """See the module. `reach` begins them; one that says nothing for `silence_s` hangs."""

    def __init__(self, reach: Reach, *, silence_s: float) -> None:
        self._reach = reach
        self._silence_s = silence_s
        self.link: Link | None = None
        """The session there is."""
        self.updates = Updates()
        """What it has been told and not answered."""
        self._has_said = asyncio.Event()
        """Whether the talk has had a session, or none could be begun."""
        self._fault: EngineFault | None = None
        self._left: set[asyncio.Task[None]] = set()
        """Sessions that hung, until they are closed."""
        self._answered_at = 0.0
        """When the upstream last said something of a reply."""
        self.closed = False

    async def begun(self, patience_s: float) -> EngineFault | None:
        """Wait until a session has begun, or why none did, but not for long."""
        try:
            async with asyncio.timeout(patience_s):
                await self._has_said.wait()
        except TimeoutError:
            return None
        return self._fault

    def open(self, ear: UpstreamEar, take: Take, lost: Lost, is_idle: Callable[[], bool]) -> None:
        """Begin one, see `Reach.open`. Raises `EngineFault` where the talk is over."""
        if self.closed:
            raise EngineFault("The conversation is over.")
        self.link = self._reach.open(ear, take, lost, is_idle)
        self.updates = Updates()

    def forget_failures(self) -> None:
        """What failed may be tried again."""
        self._reach.forget()

    def send(self, order: Order) -> None:
        """Have it sent, if there is a session."""
        if self.link is not None:
            self.link.send(order)
            self.updates.sent(order.event)

    def note_begun(self) -> None:
        """The upstream has begun it."""
        self._has_said.set()

    def note_answer(self) -> None:
        """The upstream says something of a reply."""
        self._answered_at = asyncio.get_running_loop().time()

    @property
    def hangs(self) -> bool:
        """Whether it has said nothing of any reply for so long that it is to be left."""
        silent_s = asyncio.get_running_loop().time() - self._answered_at
        return self.link is not None and silent_s >= self._silence_s

    def is_full(self, fault: EngineFault) -> bool:
        """Whether a fault says that there is no place: before anything else, and of no reply."""
        return self.link is not None and not self.link.has_begun and fault.code in FULL

    def leave(self, fault: EngineFault) -> bool:
        """Give it up; False where there is none. It is lost then, which the talk sees to."""
        if self.link is None:
            return False
        closing = self.link.leave(fault)
        self._left.add(closing)
        closing.add_done_callback(self._left.discard)
        return True

    def lost(self, fault: EngineFault, *, owes: bool) -> EngineFault | None:
        """It is over. Why there is none; None where the talk is to go on at another upstream.

        `owes`: there are replies of which nothing was said yet.
        """
        logger.warning("an upstream session ended: %s", fault)
        has_begun = self.link is not None and self.link.has_begun
        self.link = None
        if self._reach.has_other and not self.closed and (owes or not has_begun):
            return None
        self._fault = self._reach.why(fault)
        self._reach.forget()
        self._has_said.set()
        return self._fault

    async def aclose(self) -> None:
        """End it, and wait for those that were left."""
        if self.link is not None:
            await self.link.aclose()
        if self._left:
            await asyncio.wait(self._left)
