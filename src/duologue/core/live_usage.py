"""Usage of a full-duplex model's replies, where one reply is several responses.

A call ends its response, and the model may tell only afterwards what the reply has cost. What no
response has shown yet is shown by the next one, so that the sum over the session is true.

    Began, Done of the reply ─► `count` ─► of the response that is open
                               `miss`  ─► owed to the next one
"""

from msgspec import structs

from duologue.core.talk import Began, Counts, Done, ReplyEvent


class LiveUsage:
    """See the module. Of what was read the model tells totals of a reply, of tokens steps."""

    def __init__(self) -> None:
        self._owed = Began()
        self._owed_tokens = 0
        self._base = Began()
        """What the open response shows of replies before."""
        self._read = Began()
        """All that this reply has read, as last told."""
        self._shown = Began()
        """What responses of this reply that are done have shown of it."""

    def open(self) -> Began | None:
        """A response begins; returns what it has to show at once."""
        self._base, self._owed = self._owed, Began()
        return self._base if self._base.input else None

    def count(self, event: ReplyEvent) -> ReplyEvent:
        """An event of the reply, with what the open response is to show of it."""
        match event:
            case Began():
                self._read = event
                return _sum(event, self._base, self._shown)
            case Done():
                owed, self._owed_tokens = self._owed_tokens, 0
                return structs.replace(event, tokens=event.tokens + owed)
        return event

    def miss(self, event: Began | Done) -> None:
        """An event for which no response is open."""
        if isinstance(event, Began):
            self._read = event
        else:
            self._owed_tokens += event.tokens

    def split(self) -> None:
        """The open response is done, and the reply may go on."""
        self._shown, self._base = self._read, Began()

    def end(self, *, is_open: bool) -> None:
        """The reply is over; what it has read is shown if a response `is_open`, else owed."""
        if not is_open:
            self._owed = _sum(self._read, self._owed, self._shown)
        self._read = self._shown = self._base = Began()


def _sum(read: Began, more: Began, less: Began) -> Began:
    return Began(
        _counts(read.input, more.input, less.input),
        _counts(read.cached, more.cached, less.cached),
    )


def _counts(read: Counts, more: Counts, less: Counts) -> Counts:
    sums = {
        name: read.get(name, 0) + more.get(name, 0) - less.get(name, 0)
        for name in (*read, *more, *less)
    }
    return {name: count for name, count in sums.items() if count > 0}
