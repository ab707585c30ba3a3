"""The engine: one upstream, or several alike, and the talks that are open with them.

A session begins where `upstreams` says. A talk stays there until its session ends, or that there.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any

from duologue.core.talk import Ask
from duologue.engines.counted import Counted
from duologue.engines.pace import Pace
from duologue.engines.realtime.capabilities import UNKNOWN, Capabilities, borne_out
from duologue.engines.realtime.live import RealtimeLiveTalk
from duologue.engines.realtime.talk import RealtimeTalk
from duologue.engines.realtime.traits import Common
from duologue.engines.realtime.transcripts import Transcripts
from duologue.engines.realtime.upstream import OPEN_TRAITS, Upstream
from duologue.engines.realtime.upstreams import FIRST_CHECK_S, FULL, Reach, Upstreams
from duologue.errors import ConfigFault, EngineBusy
from duologue.runtime.ports import Talk, Traits

logger = logging.getLogger(__name__)

CONNECT_S = 10.0
SILENCE_S = 30.0
SETTLE_S = 2.0
DOOR_S = 1.0
"""How long somebody at our door waits for the upstream to open its own."""

LOOK_S = 2.0
"""How long a session waits for upstreams that were away to say what they are."""

LATE_S = 1.5
"""How long each of them may take: less, so that one that hangs does not hide the others."""


class RealtimeEngine:
    """Satisfies `Engine`. `aligned`: the upstream sends the words of each sound before it, and
    knows every voice that a session may ask for; any other is asked for those of its traits only.

    Without `transcripts` the upstream need not transcribe. `connect_s` is how long it may take
    to begin a session, `silence_s` how long a reply may stand still, `settle_s` how long a
    cancelled one may hold up the next. `ask_again` is how upstreams are asked once more what they
    are, each within less than `look_s`; unless given, it is known. `own`: what each duologue among
    them is by itself. Those that are `away` are asked last, and looked at every `check_s` and
    longer. `opening` are further fields of each session there, told once, when it is
    opened. A full-duplex model of another kind of server shows in its sessions what it is, and
    `traits` then claim what it bears out.
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
        own: Mapping[Upstream, Traits] | None = None,
        away: Collection[Upstream] = (),
        check_s: float = FIRST_CHECK_S,
        opening: Mapping[str, Any] | None = None,
    ) -> None:
        self.traits = self._told_traits = traits
        self._aligned = aligned
        self._transcripts = transcripts
        self._connect_s = connect_s
        self._silence_s = silence_s
        self._settle_s = settle_s
        self._opening = opening or {}
        self._upstreams = Upstreams(upstreams, away, back=self._back, check_s=check_s)
        self._stated: dict[Upstream, Capabilities] = dict.fromkeys(upstreams, UNKNOWN)
        """By their last session."""
        self._shown = dict(own or {})
        """The same of those that are duologues; before it, what they told when they were asked."""
        self._count = len(upstreams)
        self._told = upstreams[0].told
        self._counted = Counted("The upstream")
        self._talks: set[RealtimeTalk] = set()
        self._ask_again = ask_again
        self._is_known = len(away) < len(upstreams)
        """Whether upstreams have said what they are, and none was found to be another."""
        self._news = 0
        """How often one was."""
        self._look_s = look_s
        self._looking = asyncio.Lock()
        self._look_at = 0.0

    async def look(self) -> Traits:
        """What the upstreams are; asked again where all were away, or one shows a change.

        Raises `EngineBusy` where they turn out not to fit together.
        """
        async with self._looking:
            clock = asyncio.get_running_loop().time
            if self._ask_again is None or self._is_known or clock() < self._look_at:
                return self.traits
            asked_at = clock()
            try:
                async with asyncio.timeout(self._look_s):
                    await self._learn(self._ask_again)
            except TimeoutError:
                pass
            except ConfigFault as fault:
                logger.error("no session can begin: %s", fault)
                message = "The upstreams of this server do not fit together; its log says why."
                raise EngineBusy(message) from None
            if clock() - asked_at > self._look_s / 2 and not self._is_known:
                self._look_at = clock() + self._look_s  # those who wait behind need not, too
        return self.traits

    async def _learn(self, ask: Callable[[], Awaitable[Common]]) -> None:
        """Ask them; what one shows meanwhile may be newer than its answer. Raises `ConfigFault`."""
        news = self._news
        common = await ask()
        self._told_traits, self._aligned = common.traits, common.aligned
        self._is_known = len(common.away) < self._count and self._news == news
        self._shown = dict(common.own)
        self._claim()

    def _state(self, upstream: Upstream, stated: Capabilities) -> None:
        """A session there has shown what its model is."""
        self._stated[upstream] = stated
        self._claim()

    def _show(self, upstream: Upstream, traits: Traits) -> None:
        """Another duologue has shown what it is. Where that is news, all are asked once more.

        Each is compared with itself; one that was away was taken for one like the others.
        """
        if traits != self._shown.get(upstream, self._told_traits):
            self._mistaken()
        self._shown[upstream] = traits

    def _claim(self) -> None:
        """Claim what was told, and what the models bear out that could not tell."""
        traits = self._told_traits
        if traits.duplex and not self._aligned:
            traits = borne_out(traits, list(self._stated.values()))
        self.traits = traits

    async def _back(self) -> None:
        """One that was away is there again, and may be another than was thought."""
        if self._ask_again is None:
            return
        try:
            await self._learn(self._ask_again)
        except ConfigFault:
            self._mistaken()  # whoever comes next is told

    def _mistaken(self) -> None:
        """One is another than was thought."""
        self._is_known = False
        self._news += 1

    async def open(self, ask: Ask) -> Talk:
        """See `Engine.open`. An upstream that is away fails the reply, not the talk."""
        options: dict[str, Any] = {
            "told": self._told,
            "gone": lambda: self._talks.discard(talk),
            "mistaken": self._mistaken,
            "shows": self._show,
            "voices": None if self._aligned else self.traits.voices,
            "pace": None if self._aligned else Pace(),
            "transcripts": self._transcripts,
            "silence_s": self._silence_s,
            "opening": self._opening,
            "counted": self._counted,
            "context_tokens": self.traits.context_tokens,
        }
        reach = Reach(self._upstreams, connect_s=self._connect_s, settle_s=self._settle_s)
        talk: RealtimeTalk
        if self.traits.duplex:
            omni = not self._aligned
            talk = RealtimeLiveTalk(ask, reach, omni=omni, states=self._state, **options)
        else:
            talk = RealtimeTalk(ask, reach, **options)
        self._talks.add(talk)
        try:
            fault = await talk.begun(DOOR_S)
        except BaseException:  # whoever came is gone, and nobody has the talk
            await talk.aclose()
            raise
        if fault is not None and fault.code in FULL:
            await talk.aclose()
            raise EngineBusy(fault.message)
        return talk

    async def aclose(self) -> None:
        """End every session at the upstreams."""
        await asyncio.gather(*(talk.aclose() for talk in list(self._talks)))
        await self._upstreams.aclose()
