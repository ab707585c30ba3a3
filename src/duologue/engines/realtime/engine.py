"""The engine: one upstream, or several alike, and the talks that are open with them.

A session begins at the upstream that has the fewest; one that could not be reached is asked last
for a while. A talk stays there until its session ends.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from duologue.core.talk import Ask
from duologue.engines.pace import Pace
from duologue.engines.realtime.link import Link, Lost, Take
from duologue.engines.realtime.live import RealtimeLiveTalk
from duologue.engines.realtime.talk import RealtimeTalk
from duologue.engines.realtime.traits import Common
from duologue.engines.realtime.transcripts import Transcripts
from duologue.engines.realtime.upstream import OPEN_TRAITS, Upstream
from duologue.errors import ConfigFault, EngineBusy
from duologue.runtime.ports import Talk, Traits

logger = logging.getLogger(__name__)

CONNECT_S = 10.0
SILENCE_S = 30.0
SETTLE_S = 2.0
DOOR_S = 1.0
"""How long somebody at our door waits for the upstream to open its own."""

FULL = ("session_limit_reached", "rate_limit_exceeded")
"""Codes of an upstream that has no room for one more."""

LOOK_S = 2.0
"""How long a session waits for upstreams that were away to say what they are."""

DOWN_S = 10.0
"""How long an upstream that could not be reached is asked last."""


class RealtimeEngine:
    """Satisfies `Engine`. `aligned`: the upstream sends the words of each sound before it, and
    knows every voice that a session may ask for; any other is asked for those of its traits only.

    Without `transcripts` the upstream need not transcribe. `connect_s` is how long it may take
    to begin a session, `silence_s` how long a reply may stand still, `settle_s` how long a
    cancelled one may hold up the next. `ask_again` is how upstreams are asked once more what they
    are; unless given, it is known. `opening` are further fields of each session there, told once,
    when it is opened.
    """

    def __init__(
        self,
        upstreams: Sequence[Upstream],
        traits: Traits = OPEN_TRAITS,
        *,
        aligned: bool = False,
        transcripts: Transcripts | None = None,
        connect_s: float = CONNECT_S,
        silence_s: float = SILENCE_S,
        settle_s: float = SETTLE_S,
        look_s: float = LOOK_S,
        ask_again: Callable[[], Awaitable[Common]] | None = None,
        is_whole: bool = True,
        opening: Mapping[str, Any] | None = None,
    ) -> None:
        self.traits = traits
        self._aligned = aligned
        self._transcripts = transcripts
        self._connect_s = connect_s
        self._silence_s = silence_s
        self._settle_s = settle_s
        self._opening = opening or {}
        self._open = dict.fromkeys(upstreams, 0)
        self._down_until = dict.fromkeys(upstreams, 0.0)
        self._told = upstreams[0].told
        self._talks: set[RealtimeTalk] = set()
        self._ask_again = ask_again
        self._is_whole = is_whole
        """Whether all upstreams have said what they are, as far as they do."""
        self._look_s = look_s
        self._looking = asyncio.Lock()
        self._look_at = 0.0

    async def look(self) -> Traits:
        """What the upstreams are; those that were away, or have changed, are asked again.

        Raises `EngineBusy` where they turn out not to fit together.
        """
        async with self._looking:
            clock = asyncio.get_running_loop().time
            if self._ask_again is None or self._is_whole or clock() < self._look_at:
                return self.traits
            try:
                async with asyncio.timeout(self._look_s):
                    common = await self._ask_again()
            except TimeoutError:
                self._look_at = clock() + self._look_s  # those who wait behind need not, too
                return self.traits
            except ConfigFault as fault:
                logger.error("no session can begin: %s", fault)
                message = "The upstreams of this server do not fit together; its log says why."
                raise EngineBusy(message) from None
            self.traits, self._aligned = common.traits, common.aligned
            self._is_whole = common.is_whole
        return self.traits

    def _mistaken(self) -> None:
        self._is_whole = False

    async def open(self, ask: Ask) -> Talk:
        """See `Engine.open`. An upstream that is away fails the reply, not the talk."""
        options: dict[str, Any] = {
            "told": self._told,
            "gone": lambda: self._talks.discard(talk),
            "mistaken": self._mistaken,
            "voices": None if self._aligned else self.traits.voices,
            "pace": None if self._aligned else Pace(),
            "transcripts": self._transcripts,
            "silence_s": self._silence_s,
            "opening": self._opening,
        }
        talk: RealtimeTalk
        if self.traits.duplex:
            omni = not self._aligned
            talk = RealtimeLiveTalk(ask, self._open_link, omni=omni, **options)
        else:
            talk = RealtimeTalk(ask, self._open_link, **options)
        self._talks.add(talk)
        fault = await talk.begun(DOOR_S)
        if fault is not None and fault.code in FULL:
            await talk.aclose()
            raise EngineBusy(fault.message)
        return talk

    def _open_link(self, take: Take, lost: Lost) -> Link:
        clock = asyncio.get_running_loop().time
        upstream = min(self._open, key=lambda one: self._rank(one, clock()))
        self._open[upstream] += 1

        def ended(was_connected: bool) -> None:
            self._open[upstream] -= 1
            if not was_connected:
                self._down_until[upstream] = clock() + DOWN_S

        return Link(
            upstream,
            take,
            lost,
            ended=ended,
            connect_s=self._connect_s,
            settle_s=self._settle_s,
        )

    def _rank(self, upstream: Upstream, now: float) -> tuple[bool, int]:
        return now < self._down_until[upstream], self._open[upstream]

    async def aclose(self) -> None:
        """End every session at the upstreams."""
        await asyncio.gather(*(talk.aclose() for talk in list(self._talks)))
