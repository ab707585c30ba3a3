"""The history of one talk: an ordered log of items, edited by `put`, `drop` and `cut`.

Notes come in from an engine's talk; a snapshot (a tuple of items) goes out to a reply. Every edit
raises `revision`, so that a guess can tell whether the history is still the one it was
made from.
"""

import msgspec

from duologue.core.talk import Item, Part


class History:
    """Items in order. A snapshot stays as it is, whatever is noted afterwards."""

    def __init__(self) -> None:
        self.revision = 0
        self._items: list[Item] = []
        self._ids: list[str] = []
        """The ids of the items, in the same order: a list of strings is searched quickly."""
        self._known: set[str] = set()

    @property
    def items(self) -> tuple[Item, ...]:
        return tuple(self._items)

    def put(self, item: Item, after: str | None = None) -> bool:
        """Enter `item` after item `after` ("" = front, None = end); True when it is now last.

        An item whose id is known is replaced where it stands. An unknown `after` means the
        end: the item it named was dropped while this note was on its way.
        """
        self.revision += 1
        known = self._find(item.id)
        if known is not None:
            self._items[known] = item
            return known == len(self._items) - 1
        before = None if after is None else -1 if after == "" else self._find(after)
        place = len(self._items) if before is None else before + 1
        self._items.insert(place, item)
        self._ids.insert(place, item.id)
        self._known.add(item.id)
        return place == len(self._items) - 1

    def drop(self, item_id: str) -> Item | None:
        """Delete an item and return it; None when there is none of that id."""
        place = self._find(item_id)
        if place is None:
            return None
        self.revision += 1
        del self._ids[place]
        self._known.discard(item_id)
        return self._items.pop(place)

    def cut(self, item_id: str, text: str) -> bool:
        """Leave of an item's words only `text`; False when there is no item of that id."""
        place = self._find(item_id)
        if place is None:
            return False
        self.revision += 1
        item = self._items[place]
        self._items[place] = Item(id=item.id, role=item.role, parts=(Part(text=text),))
        return True

    def find(self, item_id: str) -> tuple[Item | None, str]:
        """An item, and the id of the one before it ("" at the front)."""
        place = self._find(item_id)
        if place is None:
            return None, ""
        return self._items[place], self._ids[place - 1] if place else ""

    @property
    def last(self) -> Item | None:
        """The item at the end."""
        return self._items[-1] if self._items else None

    def lighten(self, item: Item) -> None:
        """Have `item` stand for the one of its id, as which it reads: no edit, so no revision."""
        if (place := self._find(item.id)) is not None:
            self._items[place] = item

    def forget_sound(self, item_id: str, words: str | None = None) -> None:
        """Let an item's sound go and keep its words, or those given where it has none.

        Unknown ids are passed over.
        """
        place = self._find(item_id)
        if place is not None:
            item = self._items[place]
            parts = tuple(
                msgspec.structs.replace(part, pcm=None, text=part.text or words)
                if part.pcm
                else part
                for part in item.parts
            )
            self._items[place] = msgspec.structs.replace(item, parts=parts)

    def forget_media(self, item_id: str) -> None:
        """Let an item's sound and images go and keep its words. Unknown ids are passed over."""
        place = self._find(item_id)
        if place is not None:
            item = self._items[place]
            parts = tuple(Part(part.text) for part in item.parts if part.text)
            self._items[place] = msgspec.structs.replace(item, parts=parts)

    def _find(self, item_id: str) -> int | None:
        if item_id not in self._known:
            return None
        # Nearly always it is one of the latest.
        for place in range(len(self._ids) - 1, max(-1, len(self._ids) - 9), -1):
            if self._ids[place] == item_id:
                return place
        return self._ids.index(item_id)
