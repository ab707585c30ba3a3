"""The user's turns as a full-duplex upstream names them, joined with the items made of them.

`begin` and `end` come from the upstream, `claim` from the core's puts; names go out. The core's
item comes late, and a client may have withdrawn it, so turns wait here for theirs. One that comes
before the end of its turn is a part of it, which a client has committed: it has the turn's name,
and what comes of the rest has none. The rest may come when the next turn has begun: it is told
by its length.
"""

from collections import deque

from duologue.audio import pcm as audio
from duologue.core.talk import Item
from duologue.engines.realtime.wire import UpstreamEvent

UNNAMED = 64
"""Turns that the core may yet put."""

SHORTER_MS, LONGER_MS = 150, 1000
"""How far the core's turn may be from the upstream's: it adds sound before, and rounds."""


class Turns:
    """See the module. Places are in milliseconds of all sound."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[str, int]] = deque(maxlen=UNNAMED)
        """Names and lengths of turns without an item; no name for the rest of one that has it."""
        self._named: dict[str, str] = {}
        self._began_ms: int | None = None
        """Where the turn under way began."""
        self._spoken = ""
        self._part: str | None = None
        """Our first item of the turn under way."""
        self._parts_ms = 0
        """How much of it was committed."""
        self._written: dict[str, UpstreamEvent] = {}

    def begin(self, upstream_id: str, at_ms: int) -> None:
        """A turn begins."""
        self._spoken, self._began_ms, self._part = upstream_id, at_ms, None
        self._parts_ms = 0

    def end(self, upstream_id: str, at_ms: int) -> None:
        """The turn is over."""
        own_ms = at_ms - (self._began_ms or 0)
        if self._part is None:
            self._waiting.append((upstream_id, own_ms))
        else:
            self._named[upstream_id] = self._part
            if (rest_ms := own_ms - self._parts_ms) > SHORTER_MS:
                self._waiting.append(("", rest_ms))
        self._began_ms = self._part = None

    def claim(self, item: Item) -> str | None:
        """The turn that the item is of, the newest that is as long; None where it has no name.

        Where none is, it is a part of the one under way.
        """
        ms = sum(len(part.pcm or b"") for part in item.parts) // audio.BYTES_PER_MS
        lengths = enumerate(own for _, own in self._waiting)
        fits = [n for n, own in lengths if -SHORTER_MS <= ms - own <= LONGER_MS]
        is_part = self._began_ms is not None and bool(self._spoken)
        if self._waiting and (fits or not is_part):
            return self._take(max(fits, default=len(self._waiting) - 1), item)
        if not is_part:
            return None
        self._parts_ms += ms
        if self._part is not None:
            return None
        self._part = self._named[self._spoken] = item.id
        return self._spoken

    def _take(self, place: int, item: Item) -> str | None:
        for _ in range(place):
            self._waiting.popleft()  # the client has withdrawn it
        upstream_id, _ = self._waiting.popleft()
        if not upstream_id:
            return None
        self._named[upstream_id] = item.id
        return upstream_id

    def keeps(self, written: UpstreamEvent) -> bool:
        """Whether what was written down of a turn is kept here: that may yet get an item."""
        awaited = self._awaits(written.item_id)
        if awaited:
            self._written[written.item_id] = written
        return awaited

    def written_of(self, upstream_id: str) -> UpstreamEvent | None:
        """What was kept of a turn that has got its item."""
        written = self._written.pop(upstream_id, None)
        for name in [name for name in self._written if not self._awaits(name)]:
            del self._written[name]  # the client has withdrawn the turn
        return written

    def _awaits(self, upstream_id: str) -> bool:
        is_spoken = self._began_ms is not None and upstream_id == self._spoken
        return (is_spoken and self._part is None) or any(
            upstream_id == name for name, _ in self._waiting if name
        )

    def name(self, upstream_id: str) -> str:
        """Our name of a turn, or of an item that we made there."""
        return self._named.get(upstream_id, upstream_id)
