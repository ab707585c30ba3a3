"""The conversation as it was put, dropped and cut, and the same at the upstream.

    put, drop, cut ─► history here ─► conversation.item.create, .delete, .truncate

The history outlives an upstream session, so that the next one begins with it; the names that its
items have there (`Mirror`) do not.
"""

from typing import Any, Protocol

from duologue.core.talk import Item
from duologue.engines.history import History
from duologue.engines.realtime.items import is_long, wire_item
from duologue.engines.realtime.mirror import Mirror
from duologue.engines.realtime.recent_sound import RecentSound
from duologue.engines.realtime.reply import Made


class Send(Protocol):
    """Has an event sent, if there is an upstream session; `what` and `name` are its `event_id`."""

    def __call__(
        self, what: str, name: str, kind: str, *, is_long: bool = False, **fields: Any
    ) -> None: ...


class Conversation:
    """See the module. What the upstream made it truncates itself, if it `truncates`; other text
    is put in its place, if it `replaces`.
    """

    def __init__(self, send: Send, *, truncates: bool = True, replaces: bool = True) -> None:
        self.truncates = truncates
        self._replaces = replaces
        self._send = send
        self._history = History()
        self._sound = RecentSound(self._history)
        self.mirror = Mirror()

    @property
    def items(self) -> tuple[Item, ...]:
        """The history."""
        return self._history.items

    def begin(self) -> None:
        """There is a new upstream session: it is sent all there is."""
        self.mirror = Mirror()
        for item in self._history.items:
            self._create(item, None)

    def put(self, item: Item, after: str | None) -> None:
        """Enter an item; the upstream is not told yet."""
        self._history.put(item, after)
        self._sound.put(item)

    def tell(self, item: Item, after: str | None) -> None:
        """Have the upstream enter an item that was put."""
        self._create(item, self._anchor(after))

    def learn(self, item: Item, made: Made) -> None:
        """An item that was put is what the upstream made; it shall have no more of it."""
        self.mirror.learn(item.id, made, item.call.call_id if item.call else None)
        if made.is_all_of(item):
            return
        if self.mirror.sounding(item.id):
            text = item.parts[0].text or "" if item.parts else ""
            self._truncate(item.id, made, made.end_ms(text))
        else:
            self.replace(item.id)

    def drop(self, item_id: str) -> None:
        """Delete an item."""
        self._history.drop(item_id)
        self._sound.drop(item_id)
        self._delete(item_id)

    def cut(self, item_id: str, end_ms: int, text: str) -> None:
        """Leave of an item what was heard."""
        self._history.cut(item_id, text)
        self._sound.drop(item_id)
        if made := self.mirror.sounding(item_id):
            self._truncate(item_id, made, end_ms)
        else:
            self.replace(item_id)

    def replace(self, item_id: str) -> None:
        """Have the item anew at the upstream, as it is now, in its place."""
        item, before = self._history.find(item_id)
        if item is not None and self._replaces:
            self._delete(item_id)
            self._create(item, self._anchor(before))

    def reference(self, item: Item) -> dict[str, Any]:
        """An item of a context: by name where the upstream has its sound or image."""
        known = self.mirror.last_id(item.id)
        if known and any(part.pcm or part.image_url for part in item.parts):
            return {"type": "item_reference", "id": known}
        return wire_item(item, self.mirror.call_name)

    def _anchor(self, after: str | None) -> str | None:
        """`previous_item_id` for an item after `after`; None is the end."""
        if after is None:
            return None
        return self.mirror.last_id(after) if after else "root"

    def _create(self, item: Item, previous_id: str | None) -> None:
        place = {} if previous_id is None else {"previous_item_id": previous_id}
        shown = {"id": item.id, **wire_item(item, self.mirror.call_name)}
        self.mirror.sent(item.id)
        kind = "conversation.item.create"
        self._send("put", item.id, kind, is_long=is_long(item), item=shown, **place)

    def _delete(self, item_id: str) -> None:
        for upstream_id in self.mirror.forget(item_id):
            self._send("drop", item_id, "conversation.item.delete", item_id=upstream_id)

    def _truncate(self, item_id: str, made: Made, end_ms: int) -> None:
        if self.truncates:
            self._send(
                "cut",
                item_id,
                "conversation.item.truncate",
                item_id=made.ids[0],
                content_index=made.content_index,
                audio_end_ms=end_ms,
            )
