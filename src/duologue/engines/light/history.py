"""The history of one talk: an ordered log of items, edited by `put`, `drop` and `cut`.

Notes come in from `talk.py`; a snapshot (a tuple of items) goes out to a reply. Every edit
raises `revision`, so that a guess can tell whether the history is still the one it was
made from.
"""

from duologue.core.talk import Item, Part


class History:
    """Items in order. A snapshot stays as it is, whatever is noted afterwards."""

    def __init__(self) -> None:
        self.revision = 0
        self._order: list[str] = []
        self._items: dict[str, Item] = {}

    @property
    def items(self) -> tuple[Item, ...]:
        return tuple(map(self._items.__getitem__, self._order))

    def put(self, item: Item, after: str | None = None) -> bool:
        """Enter `item` after item `after` ("" = front, None = end); True when it is now last.

        An item whose id is known is replaced where it stands. An unknown `after` means the
        end: the item it named was dropped while this note was on its way.
        """
        self.revision += 1
        if item.id not in self._items:
            before = None if after is None else -1 if after == "" else self._find(after)
            place = len(self._order) if before is None else before + 1
            self._order.insert(place, item.id)
        self._items[item.id] = item
        return self._order[-1] == item.id

    def drop(self, item_id: str) -> Item | None:
        """Delete an item and return it; None when there is none of that id."""
        place = self._find(item_id)
        if place is None:
            return None
        self.revision += 1
        del self._order[place]
        return self._items.pop(item_id)

    def cut(self, item_id: str, text: str) -> bool:
        """Leave of an item's words only `text`; False when there is no item of that id."""
        item = self._items.get(item_id)
        if item is None:
            return False
        self.revision += 1
        self._items[item_id] = Item(id=item.id, role=item.role, parts=(Part(text=text),))
        return True

    def _find(self, item_id: str) -> int | None:
        if item_id not in self._items:
            return None
        # Nearly always it is one of the latest; a list is searched quickly for the others.
        for place in range(len(self._order) - 1, max(-1, len(self._order) - 9), -1):
            if self._order[place] == item_id:
                return place
        return self._order.index(item_id)
