"""One reply under way: what the upstream sends of it, queued for whoever iterates it.

The link's reader puts, the iterator takes; the queue is bounded, so that a reader who is slow
holds the upstream up. A run is settled once the upstream has said its last word on it.
"""

import asyncio
from collections.abc import Callable

from duologue.core.talk import Ask, Began, ReplyEvent
from duologue.engines.realtime.reply import Reply
from duologue.engines.realtime.wire import UpstreamEvent
from duologue.errors import EngineFault

WAITING_EVENTS = 256


class Run:
    """See the module. `name` is the `event_id` of the `response.create` that began it;
    `told` takes keys out of what the upstream says.
    """

    def __init__(self, name: str, ask: Ask, reply: Reply, told: Callable[[str], str]) -> None:
        self.name = name
        self.ask = ask
        self.reply = reply
        self.response_id = ""
        self.closed = False
        self.cancelled = False
        self.has_said = False
        """Whether anything was passed on but what it reads."""
        self.settled = asyncio.Event()
        self.unclaimed = reply.made
        """What the core has not put yet."""
        self._events: asyncio.Queue[ReplyEvent | EngineFault] = asyncio.Queue(WAITING_EVENTS)
        self._fault: EngineFault | None = None
        self._told = told

    async def take(self, event: UpstreamEvent) -> None:
        """An event of the upstream."""
        if self._fault is not None:  # what comes after that is not passed on
            self.reply.over = self.reply.over or event.type == "response.done"
            if self.reply.over:
                self.settled.set()
            return
        try:
            for said in self.reply.take(event):
                self.has_said = self.has_said or not isinstance(said, Began)
                if not self.closed:
                    await self._events.put(said)
        except EngineFault as fault:
            self._break(EngineFault(self._told(fault.message), fault.code))
        if self.reply.over:
            self.settled.set()

    def ask_again(self, reply: Reply) -> None:
        """Nothing was said, and it is asked for in another upstream session."""
        self.reply = reply
        self.response_id = ""
        self.unclaimed = reply.made

    def fail(self, fault: EngineFault) -> None:
        """There will be no more; what came is still said."""
        self.settled.set()
        self._break(fault)

    def _break(self, fault: EngineFault) -> None:
        self._fault = self._fault or fault
        if self._events.empty():  # else it is looked at once they are taken
            self._events.put_nowait(self._fault)

    async def next(self, silence_s: float) -> ReplyEvent:
        """The next event. Raises `EngineFault`, and `TimeoutError` when none comes for so long."""
        if self._fault is not None and self._events.empty():
            raise self._fault
        async with asyncio.timeout(silence_s):
            event = await self._events.get()
        if isinstance(event, EngineFault):
            raise event
        return event

    def close(self) -> None:
        """Nobody reads any more: lets a writer go that waits for a place."""
        self.closed = True
        while not self._events.empty():
            self._events.get_nowait()
