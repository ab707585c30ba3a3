"""What the talk in front remembers: the client's items, and the lookups behind them.

    put/drop/cut ──► Memory ──same notes, lookups kept in their place──► the front's Talk
                        └──words──► what the expert reads

A lookup is a call and its result that the core knows nothing of. It stands right behind the
item that the reply answered. It stays as long as that item and the message that came of it: the
client that deletes either of them deletes what was looked up, for it has no other way to.
"""

import uuid
from collections.abc import Mapping, Sequence

import msgspec

from duologue.core.talk import CallPart, Item, Part
from duologue.engines.delegation.brief import words
from duologue.engines.delegation.heard import Heard
from duologue.engines.delegation.joined import Joined
from duologue.engines.history import History
from duologue.runtime.ports import Talk


class Lookup(msgspec.Struct):
    """A call and a result that are ours; `before` is the item that they follow ("": none)."""

    before: str
    call: Item
    result: Item
    reply: Joined
    message_id: str | None = None
    """The message that came of it, once it has been put."""


class Memory:
    """The notes of one talk; `front` is the talk that they go to."""

    def __init__(self, front: Talk, heard: Heard) -> None:
        self.front = front
        self._heard = heard
        self._history = History()
        self._lookups: list[Lookup] = []

    @property
    def items(self) -> tuple[Item, ...]:
        """The history as words, lookups included."""
        return self._history.items

    async def read(self) -> tuple[Item, ...]:
        """The history of this moment as words, what the user said lately among them."""
        items = self.items
        spoken = await self._heard.words()
        for item in self.items:  # as they are by now
            if (heard := _heard(item, spoken)) is not item:
                self._history.lighten(heard)
        return tuple(_heard(item, spoken) for item in items)

    @property
    def last_id(self) -> str:
        """The id of the newest item of the client's, "" where there is none."""
        ours = {lookup.result.id: lookup.before for lookup in self._lookups}
        last = self._history.items[-1:]
        last_id = last[0].id if last else ""
        while last_id in ours:
            last_id = ours[last_id]
        return last_id

    def put(self, item: Item, after: str | None = None) -> None:
        """See `Talk.put`: what is put behind an item comes behind its lookups."""
        if item.role == "assistant":
            self._tie(item)
        after = self._behind(after)
        self._heard.note(item)
        self._history.put(_told(item), after)
        self.front.put(item, after)

    def drop(self, item_id: str) -> None:
        """See `Talk.drop`."""
        self._drop(item_id)
        for lookup in self._lookups[:]:
            if item_id in (lookup.before, lookup.message_id):
                self.withdraw(lookup)

    def cut(self, item_id: str, end_ms: int, text: str) -> None:
        """See `Talk.cut`. What was looked up is known still, as the result of any call."""
        self._history.cut(item_id, text)
        self.front.cut(item_id, end_ms, text)

    def keep(self, before: str, call: CallPart, answer: str, reply: Joined) -> Lookup:
        """Note a lookup of `reply` behind an item, or at the end if that is gone."""
        name = uuid.uuid4().hex[:24]
        call = msgspec.structs.replace(call, call_id=f"call_{name}")
        lookup = Lookup(
            before=before if before in {item.id for item in self.items} else self.last_id,
            call=Item(f"item_{name}c", "call", call=call),
            result=Item(f"item_{name}r", "result", (Part(answer),), call_id=call.call_id),
            reply=reply,
        )
        self.put(lookup.call, lookup.before)
        self.put(lookup.result, lookup.call.id)
        self._lookups.append(lookup)
        return lookup

    def withdraw(self, lookup: Lookup) -> None:
        """A lookup was for nothing."""
        if lookup in self._lookups:
            self._lookups.remove(lookup)
            self._drop(lookup.call.id)
            self._drop(lookup.result.id)

    def _drop(self, item_id: str) -> None:
        self._heard.forget(item_id)
        self._history.drop(item_id)
        self.front.drop(item_id)

    def _behind(self, after: str | None) -> str | None:
        """The last lookup of an item, or the item itself."""
        ours = (lookup.result.id for lookup in reversed(self._lookups) if lookup.before == after)
        return next(ours, after)

    def _tie(self, item: Item) -> None:
        """Find the lookups that a message came of: its words are those of their reply."""
        said = "".join(part.text or "" for part in item.parts)
        for lookup in self._lookups:
            if lookup.message_id is None and said:
                if any(message.startswith(said) for message in lookup.reply.messages):
                    lookup.message_id = item.id


def lookup_items(lookups: Sequence[Lookup]) -> tuple[Item, ...]:
    """The items of lookups, for a context."""
    return tuple(item for lookup in lookups for item in (lookup.call, lookup.result))


def _told(item: Item) -> Item:
    """The item without sound and images, of which there may be much; their names stay."""
    parts = tuple(Part(words(part), media_id=part.media_id) for part in item.parts)
    return msgspec.structs.replace(item, parts=parts)


def _heard(item: Item, spoken: Mapping[str, str]) -> Item:
    """The item with the words of its sounds, where they are known by now, beside all else in it."""
    if not any(part.media_id in spoken for part in item.parts):
        return item
    parts = tuple(
        Part(spoken[part.media_id]) if part.media_id in spoken else part for part in item.parts
    )
    return msgspec.structs.replace(item, parts=parts)
