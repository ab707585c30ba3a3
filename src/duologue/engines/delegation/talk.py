"""One conversation of the engine in front, which may ask the expert: notes and asks in.

Notes go through the memory, asks get the tool; a reply that has it is a `DelegatedReply`, any
other is the front's own.
"""

from collections.abc import AsyncIterator

from duologue.core.talk import Ask, Item, ReplyEvent
from duologue.engines.composed.tasks import Tasks
from duologue.engines.delegation.expert import Expert
from duologue.engines.delegation.heard import Hear, Heard
from duologue.engines.delegation.memory import Memory
from duologue.engines.delegation.reply import AGAIN_S, DelegatedReply
from duologue.engines.delegation.tool import offered
from duologue.runtime.ports import Talk


class DelegatingTalk:
    """See `runtime.ports.Talk`; made by `DelegatingEngine.open`."""

    def __init__(
        self, front: Talk, expert: Expert, hear: Hear, *, again_s: float = AGAIN_S
    ) -> None:
        self._front = front
        self._expert = expert
        self._tasks = Tasks()
        self._again_s = again_s
        self._memory = Memory(front, Heard(hear, self._tasks))

    def configure(self, ask: Ask) -> None:
        """See `Talk.configure`: the tool is read ahead with those of the client."""
        self._front.configure(offered(ask))

    async def admit(self, ask: Ask) -> None:
        """See `Talk.admit`: the tool takes room, too."""
        await self._front.admit(offered(ask))

    def expect(self, item: Item | None) -> None:
        """See `Talk.expect`."""
        self._front.expect(item)

    def put(self, item: Item, after: str | None = None) -> None:
        """See `Talk.put`."""
        self._memory.put(item, after)

    def drop(self, item_id: str) -> None:
        """See `Talk.drop`."""
        self._memory.drop(item_id)

    def cut(self, item_id: str, end_ms: int, text: str) -> None:
        """See `Talk.cut`."""
        self._memory.cut(item_id, end_ms, text)

    def reply(self, ask: Ask) -> AsyncIterator[ReplyEvent]:
        """See `Talk.reply`."""
        if offered(ask) is ask:
            return self._front.reply(ask)
        return DelegatedReply(self._memory, self._expert, ask, self._tasks, again_s=self._again_s)

    async def aclose(self) -> None:
        """Ask the expert nothing more and give the front's lease back."""
        await self._tasks.aclose()
        await self._front.aclose()
