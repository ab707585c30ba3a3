"""The history of a talk as it was put, dropped and cut: what a new upstream session begins with.

Sound is kept for the newest minutes only; of an older item its words, where they are known.
"""

from collections.abc import Iterator

from msgspec import structs

from duologue.audio import pcm as audio
from duologue.core.talk import Item, Part

SOUND_KEPT_S = 600
"""Seconds of the user's sound that a new upstream session can be given."""

UNKNOWN_WORDS = "(something was said)"


class History:
    """Items in order."""

    def __init__(self) -> None:
        self._items: list[Item] = []
        self._sounding: list[str] = []
        """Ids of items with sound, oldest first."""
        self._sound_bytes = 0

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items)

    def put(self, item: Item, after: str | None) -> None:
        """Insert after an item ("" is the front, None the end)."""
        if after is None or (self._items and self._items[-1].id == after):
            self._items.append(item)
        else:
            self._items.insert(self._index(after) + 1 if after else 0, item)
        if sound := _sound_bytes(item):
            self._sounding.append(item.id)
            self._sound_bytes += sound
            self._let_old_sound_go()

    def drop(self, item_id: str) -> None:
        """Take an item out."""
        index = self._index(item_id)
        if index >= 0:
            self._forget_sound(self._items.pop(index))

    def cut(self, item_id: str, text: str) -> None:
        """An assistant item says `text` only."""
        index = self._index(item_id)
        if index >= 0:
            self._items[index] = structs.replace(self._items[index], parts=(Part(text=text),))

    def find(self, item_id: str) -> tuple[Item | None, str]:
        """An item, and the id of the one before it ("" at the front)."""
        index = self._index(item_id)
        if index < 0:
            return None, ""
        return self._items[index], self._items[index - 1].id if index else ""

    def _index(self, item_id: str) -> int:
        for index in range(len(self._items) - 1, -1, -1):
            if self._items[index].id == item_id:
                return index
        return -1

    def _let_old_sound_go(self) -> None:
        while self._sound_bytes > SOUND_KEPT_S * 1000 * audio.BYTES_PER_MS and self._sounding[1:]:
            index = self._index(self._sounding[0])
            item = self._items[index]
            self._forget_sound(item)
            words = tuple(
                Part(text=part.text or UNKNOWN_WORDS) if part.pcm else part for part in item.parts
            )
            self._items[index] = structs.replace(item, parts=words)

    def _forget_sound(self, item: Item) -> None:
        if sound := _sound_bytes(item):
            self._sounding.remove(item.id)
            self._sound_bytes -= sound


def _sound_bytes(item: Item) -> int:
    return sum(len(part.pcm or b"") for part in item.parts)
