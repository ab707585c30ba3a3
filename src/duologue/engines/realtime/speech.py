"""What a full-duplex upstream says unasked: its responses as live events, and what became of them.

`response.*` events of the one under way come in, live events go out. It remembers what was said,
so that items that the core puts find it again, under the names that it has there.
"""

from collections import deque
from collections.abc import Callable

from msgspec import structs

from duologue.core.talk import Ask, Call, Counts, Done, Failed, Floor, Item, LiveEvent
from duologue.engines.pace import Pace
from duologue.engines.realtime.reply import Made, Reply
from duologue.engines.realtime.wire import UpstreamEvent, UpstreamItem
from duologue.errors import EngineFault

UNNAMED = 64
"""Messages of the upstream that the core may yet put."""


class Speech:
    """What is said in one upstream session.

    `cancel` has a response stopped there, `decline` answers a call that nobody takes, `told` takes
    keys out of what it says, `believes` is as in `Reply`. Where a call `ends` its response, as with
    another duologue, it is passed on with the usage behind it.
    """

    def __init__(
        self,
        pace: Pace | None,
        *,
        ends: bool,
        cancel: Callable[[str], None],
        decline: Callable[[str], None],
        told: Callable[[str], str],
        believes: Callable[[int, int], bool],
    ) -> None:
        self._pace = pace
        self._ends = ends
        self._cancel = cancel
        self._decline = decline
        self._told = told
        self._believes = believes
        self._reply: Reply | None = None
        self.response_id = ""
        """Of the response under way, or the last one."""
        self._hushed = ""
        """The response of which the core takes no more."""
        self._stopped = ""
        """The response that was cancelled last."""
        self._held: Call | None = None
        """The end of a call, while nothing has come behind it."""
        self._said: deque[tuple[Made, str]] = deque(maxlen=UNNAMED)
        """With the response's id; the newest stay although they are named."""
        self._claimed: set[int] = set()
        self._open: dict[str, str] = {}
        """Calls of the response under way that were passed on: `call_id`s by the item's name."""

    @property
    def is_under_way(self) -> bool:
        """Whether the model is in a response."""
        return self._reply is not None

    @property
    def last(self) -> tuple[Made, str] | None:
        """What was said last, and in which response."""
        return self._said[-1] if self._said else None

    def begin(self, response_id: str, reads: Counts, ask: Ask) -> None:
        """A response begins; `reads` is the estimate of what it reads, `ask` judges its calls."""
        self._reply = Reply(self._pace, reads, self._believes, ask)
        self.response_id, self._held = response_id, None
        self._open = {}

    def is_of(self, response_id: str) -> bool:
        """Whether that is the response under way."""
        return self._reply is not None and response_id == self.response_id

    def stop(self) -> None:
        """The upstream session is over."""
        self._reply = None

    def hush(self) -> None:
        """Have the response under way stopped, of which the core takes no more; once is enough."""
        if self._reply is not None and self._hushed != self.response_id:
            self._hushed = self.response_id
            self._stop_there()
            for item_id, call_id in self._open.items():
                self._answer(item_id, call_id)

    def cut_short(self) -> None:
        """The core has put the beginning of the last message: the rest need not be said.

        Unless what ended it there is a call behind it, which the core takes next.
        """
        if self._reply is not None and not self._reply.calls:
            self._stop_there()

    def fail(self, fault: EngineFault) -> Failed:
        """The response has failed; what the upstream says of it yet is passed over."""
        if self._reply is not None and not self._reply.over:
            self._stop_there()
        self._reply = None
        return Failed(fault.code, self._told(fault.message))

    def take(self, event: UpstreamEvent, at_ms: int) -> list[LiveEvent]:
        """An event of the response under way, at a place of all sound."""
        reply, said = self._reply, list[LiveEvent]()
        assert reply is not None
        if (done := event.response) and (event.type, done.status) == ("response.done", "cancelled"):
            self._reply = None
            return self._behind([*reply.read(done), Floor("yields", at_ms)])
        before = len(reply.made)
        try:
            for piece in reply.take(event):
                said.append(piece)
        except EngineFault as fault:
            said.append(self.fail(fault))
        self._said.extend((made, self.response_id) for made in reply.made[before:])
        if reply.over:
            self._reply = None
        return self._behind(said)

    def note_call(self, response_id: str, call: UpstreamItem, *, is_heard: bool) -> None:
        """The upstream has made a call, which `take` has seen; `is_heard`: and the core, too.

        The model waits for its result. One that the core will not put is answered here.
        """
        reply = self._reply if response_id == self.response_id else None
        is_passed_on = is_heard and reply is not None and call.id not in reply.passed_over
        if is_passed_on and response_id != self._hushed:
            self._open[call.id] = call.call_id or ""
        else:
            self._answer(call.id, call.call_id or "")

    def _answer(self, item_id: str, call_id: str) -> None:
        """Have a call answered, unless the core has put it: then its result comes from there."""
        taken = (made.ids[0] for made, _ in self._said if id(made) in self._claimed)
        if item_id not in taken:
            self._decline(call_id)

    def _stop_there(self) -> None:
        if self._stopped != self.response_id:
            self._stopped = self.response_id
            self._cancel(self.response_id)

    def _behind(self, said: list[LiveEvent]) -> list[LiveEvent]:
        """The end of a call waits for what comes behind it: at the end of its response, usage."""
        if (call := self._held) and said:
            self._held = None
            last = said[-1]
            if isinstance(last, Done):
                call = structs.replace(call, tokens=call.tokens + last.tokens)
                said[-1] = structs.replace(last, tokens=0)
            said.insert(0 if self.is_under_way else len(said) - 1, call)
        end = said[-1] if said else None
        if self._ends and self.is_under_way and isinstance(end, Call) and end.final:
            self._held = end
            said.pop()
        return said

    def claim(self, item: Item) -> tuple[Made, str] | None:
        """What was said that the item is of, and in which response."""
        # Of what was silenced before a word the core puts nothing: the newest is meant first.
        last = [one for one in self._said if one[1] == self.response_id]
        before = [one for one in reversed(self._said) if one[1] != self.response_id]
        free = (one for one in (*last, *before) if id(one[0]) not in self._claimed)
        found = next((one for one in free if one[0].is_of(item)), None)
        if found is not None:
            self._claimed = {id(one) for one, _ in self._said if id(one) in self._claimed}
            self._claimed.add(id(found[0]))
        return found
