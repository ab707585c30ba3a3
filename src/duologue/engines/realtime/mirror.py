"""What the upstream's conversation holds, by our names: one `Mirror` for each session of it.

Ids of ours go in, the upstream's come out. What the upstream made itself has names of its own
there, which are learnt when the core puts the item; all else is sent under ours.
"""

from duologue.engines.realtime.reply import Made


class Mirror:
    """The names in one session of the upstream."""

    def __init__(self) -> None:
        self._ids: dict[str, tuple[str, ...]] = {}
        self._calls: dict[str, str] = {}
        self._made: dict[str, Made] = {}

    def sent(self, item_id: str) -> None:
        """The item was sent under our name."""
        self._ids[item_id] = (item_id,)
        self._made.pop(item_id, None)

    def hears(self, item_id: str, upstream_id: str) -> None:
        """The item is a turn that the upstream has heard and made itself."""
        self._ids[item_id] = (upstream_id,)

    def learn(self, item_id: str, made: Made, call_id: str | None) -> None:
        """The item is what the upstream made."""
        self._ids[item_id] = tuple(filter(None, made.ids))
        self._made[item_id] = made
        if call_id and made.call_id:
            self._calls[call_id] = made.call_id

    def forget(self, item_id: str) -> tuple[str, ...]:
        """The item is gone; returns the names that it had."""
        self._made.pop(item_id, None)
        return self._ids.pop(item_id, ())

    def last_id(self, item_id: str) -> str | None:
        """The upstream's name of an item, the last where it has several."""
        ids = self._ids.get(item_id)
        return ids[-1] if ids else None

    def sounding(self, item_id: str) -> Made | None:
        """What the upstream made and can truncate itself."""
        made = self._made.get(item_id)
        if made is None or not made.samples or len(self._ids.get(item_id, ())) != 1:
            return None
        return made

    def call_name(self, call_id: str) -> str:
        """The upstream's name of a call."""
        return self._calls.get(call_id, call_id)
