"""Which items of a history still have their sound: those of the newest minutes.

A new upstream session begins with the history; of an older item it gets the words, where they
are known.
"""

from duologue.audio import pcm as audio
from duologue.core.talk import Item
from duologue.engines.history import History

SOUND_KEPT_S = 600
"""Seconds of sound that a new upstream session can be given."""

UNKNOWN_WORDS = "(something was said)"


class RecentSound:
    """Told of every item of a `History`, it lets old sound in there go."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._bytes: dict[str, int] = {}
        """Of items with sound, by id, oldest first."""
        self._total = 0

    def put(self, item: Item) -> None:
        """The item was put."""
        self.drop(item.id)
        if size := sum(len(part.pcm or b"") for part in item.parts):
            self._bytes[item.id] = size
            self._total += size
        while self._total > SOUND_KEPT_S * 1000 * audio.BYTES_PER_MS and len(self._bytes) > 1:
            oldest = next(iter(self._bytes))
            self._history.forget_sound(oldest, UNKNOWN_WORDS)
            self.drop(oldest)

    def drop(self, item_id: str) -> None:
        """The item, or its sound, is no more."""
        self._total -= self._bytes.pop(item_id, 0)
