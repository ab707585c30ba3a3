"""The engine: one upstream, or several alike, and the talks that are open with them.

A new talk goes to the upstream with the fewest; it stays there until that session ends.
"""

import asyncio
from collections.abc import Sequence

from duologue.core.talk import Ask
from duologue.engines.realtime.link import Link, Lost, Take
from duologue.engines.realtime.pace import Pace
from duologue.engines.realtime.talk import RealtimeTalk
from duologue.engines.realtime.transcripts import Transcripts
from duologue.engines.realtime.upstream import OPEN_TRAITS, Upstream
from duologue.runtime.ports import Talk, Traits

CONNECT_S = 10.0
SILENCE_S = 30.0
SETTLE_S = 2.0


class RealtimeEngine:
    """Satisfies `Engine`. `aligned`: the upstream sends the words of each sound before it.

    Without `transcripts` the upstream need not transcribe. `connect_s` is how long it may take
    to begin a session, `silence_s` how long a reply may stand still, `settle_s` how long a
    cancelled one may hold up the next.
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
    ) -> None:
        self.traits = traits
        self._aligned = aligned
        self._transcripts = transcripts
        self._connect_s = connect_s
        self._silence_s = silence_s
        self._settle_s = settle_s
        self._open = dict.fromkeys(upstreams, 0)
        self._talks: set[RealtimeTalk] = set()

    async def open(self, ask: Ask) -> Talk:
        """See `Engine.open`. An upstream that is full or away fails the reply, not the talk."""
        upstream = min(self._open, key=lambda one: self._open[one])
        self._open[upstream] += 1

        def open_link(take: Take, lost: Lost) -> Link:
            return Link(upstream, take, lost, connect_s=self._connect_s, settle_s=self._settle_s)

        def gone() -> None:
            self._open[upstream] -= 1
            self._talks.discard(talk)

        talk = RealtimeTalk(
            ask,
            open_link,
            told=upstream.told,
            gone=gone,
            pace=Pace(aligned=self._aligned),
            transcripts=self._transcripts,
            silence_s=self._silence_s,
        )
        self._talks.add(talk)
        return talk

    async def aclose(self) -> None:
        """End every session at the upstreams."""
        await asyncio.gather(*(talk.aclose() for talk in list(self._talks)))
