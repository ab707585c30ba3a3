"""The user's turns as a full-duplex upstream names them, joined with the items made of them.

`begin` and `end` come from the upstream, `claim` from the core's puts; names go out. The core's
item comes late, and a client may have withdrawn it, so turns wait here for theirs. One that comes
before the end of its turn is a part of it, which a client has committed: it has the turn's name,
and what comes of the rest has none.
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
        """Names and lengths of turns without an item."""
        self._named: dict[str, str] = {}
        self._began_ms: int | None = None
        """Where the turn under way began."""
        self._spoken = ""
        self._part: str | None = None
        """Our first item of the turn under way."""
        self._written: dict[str, UpstreamEvent] = {}

    def begin(self, upstream_id: str, at_ms: int) -> None:
        """A turn begins."""
        self._spoken, self._began_ms, self._part = upstream_id, at_ms, None

    def end(self, upstream_id: str, at_ms: int) -> None:
        """The turn is over."""
        if self._part is not None:
            self._named[upstream_id] = self._part
        else:
            self._waiting.append((upstream_id, at_ms - (self._began_ms or 0)))
        self._began_ms = self._part = None

    def claim(self, item: Item) -> str | None:
        """The turn that the item is of, the newest that is as long; None where it has no name."""
        if self._waiting:
            return self._of_length(item)
        if self._began_ms is None or self._part is not None or not self._spoken:
            return None
        self._part = self._named[self._spoken] = item.id
        return self._spoken

    def _of_length(self, item: Item) -> str:
        ms = sum(len(part.pcm or b"") for part in item.parts) // audio.BYTES_PER_MS
        lengths = enumerate(own for _, own in self._waiting)
        fits = (n for n, own in lengths if -SHORTER_MS <= ms - own <= LONGER_MS)
        for _ in range(max(fits, default=len(self._waiting) - 1)):
            self._waiting.popleft()  # the client has withdrawn it
        upstream_id, _ = self._waiting.popleft()
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
            upstream_id == name for name, _ in self._waiting
        )

    def name(self, upstream_id: str) -> str:
        """Our name of a turn, or of an item that we made there."""
        return self._named.get(upstream_id, upstream_id)
