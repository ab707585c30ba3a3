"""The default conversation: items in order, each with its sound and what the engine knows.

An `Entry` is a wire item plus what does not belong on the wire: the user's sound, the
ledger of an assistant message, whether the engine was told. The order on the wire and the
order the engine keeps are the same; an entry's anchor for the engine is the nearest entry
before it that the engine knows.
"""

from collections import deque
from collections.abc import Iterable, Iterator

from msgspec import UNSET, structs

from duologue.audio import pcm as audio
from duologue.core import talk
from duologue.core.playback import PlaybackLedger
from duologue.errors import Refusal
from duologue.events import (
    Content,
    FunctionCallItem,
    FunctionCallOutputItem,
    InputAudio,
    InputImage,
    InputText,
    Item,
    MessageItem,
    OutputAudio,
    OutputText,
)

AUDIO_KEPT_S = 1200
"""Seconds of sound that history keeps for `retrieve`; older sound goes, its words stay."""


class Entry:
    """One item: `item` without sound bytes, `pcm` of a user item, `ledger` of a spoken reply."""

    __slots__ = ("item", "known", "ledger", "pcm")

    def __init__(
        self, item: Item, *, pcm: bytes = b"", ledger: PlaybackLedger | None = None
    ) -> None:
        self.item = item
        self.pcm = pcm
        self.ledger = ledger
        self.known = False
        """Whether the engine was told of it."""

    @property
    def id(self) -> str:
        assert self.item.id is not UNSET
        return self.item.id

    @property
    def sound(self) -> bytes:
        return self.ledger.pcm if self.ledger else self.pcm

    def forget_sound(self) -> None:
        self.pcm = b""
        if self.ledger:
            self.ledger.forget_pcm()

    def with_sound(self) -> Item:
        """The item as `conversation.item.retrieved` shows it."""
        if not isinstance(self.item, MessageItem):
            return self.item
        return structs.replace(self.item, content=tuple(map(self._voiced, self.item.content)))

    def _voiced(self, part: Content) -> Content:
        if isinstance(part, InputAudio | OutputAudio) and self.sound:
            return structs.replace(part, audio=self.sound)
        return part

    def to_talk(self) -> talk.Item:
        """The item as the engine takes it."""
        match self.item:
            case MessageItem(role=role, content=content):
                return talk.Item(self.id, role, tuple(map(self._part, content)))
            case FunctionCallItem(name=name, arguments=arguments, call_id=call_id):
                call = talk.CallPart(str(call_id), name, arguments)
                return talk.Item(self.id, "call", call=call)
            case FunctionCallOutputItem(call_id=call_id, output=output):
                return talk.Item(self.id, "result", (talk.Part(output),), call_id=call_id)
        raise AssertionError(f"no engine takes an item of class {type(self.item).__name__}")

    def _part(self, part: Content) -> talk.Part:
        match part:
            case InputAudio(transcript=transcript):
                return talk.Part(transcript, self.pcm)
            case InputImage(image_url=url):
                return talk.Part(image_url=url)
            case OutputAudio(transcript=transcript):
                heard = self.ledger.heard_text if self.ledger else transcript or ""
                return talk.Part(heard)
            case InputText(text=text) | OutputText(text=text):
                return talk.Part(text)


class Conversation:
    """Ordered entries by id. Refusals carry the codes of reference section 7."""

    def __init__(self, conversation_id: str) -> None:
        self.id = conversation_id
        self._entries: dict[str, Entry] = {}
        self._order: list[str] = []
        self._sounding: deque[Entry] = deque()
        self._sound_bytes = 0

    def __contains__(self, item_id: str) -> bool:
        return item_id in self._entries

    def __iter__(self) -> Iterator[Entry]:
        return (self._entries[item_id] for item_id in self._order)

    @property
    def last_id(self) -> str | None:
        return self._order[-1] if self._order else None

    def get(self, item_id: str, code: str, param: str | None = "item_id") -> Entry:
        """The entry of `item_id`, or a refusal with `code`."""
        if entry := self._entries.get(item_id):
            return entry
        raise Refusal(code, f"Item '{item_id}' does not exist in the conversation.", param)

    def check_anchor(self, previous_item_id: str | None) -> None:
        """Refuse an anchor that is not there."""
        if previous_item_id not in (None, "root") and previous_item_id not in self._entries:
            raise Refusal(
                "item_create_invalid_previous_item_id",
                f"Previous item '{previous_item_id}' does not exist in the conversation.",
                "previous_item_id",
            )

    def add(self, entry: Entry, previous_item_id: str | None = None) -> str | None:
        """Insert after `previous_item_id` (None = last, "root" = first); returns the id before."""
        if previous_item_id is None:
            index = len(self._order)
        elif previous_item_id == "root":
            index = 0
        else:
            index = self._index(previous_item_id) + 1
        self._order.insert(index, entry.id)
        self._entries[entry.id] = entry
        return self._order[index - 1] if index else None

    def remove(self, item_id: str) -> Entry:
        """Delete an entry that is there."""
        self._order.pop(self._index(item_id))
        return self._entries.pop(item_id)

    def previous_id(self, item_id: str) -> str | None:
        """The id of the item before `item_id`, or None."""
        index = self._index(item_id)
        return self._order[index - 1] if index else None

    def anchor(self, item_id: str) -> str:
        """The id of the nearest item before `item_id` that the engine knows, or ""."""
        for index in range(self._index(item_id) - 1, -1, -1):
            if self._entries[self._order[index]].known:
                return self._order[index]
        return ""

    def has_call(self, call_id: str) -> bool:
        """Whether a function call with this id stands in the conversation."""
        items: Iterable[Item] = (entry.item for entry in self._entries.values())
        return any(isinstance(i, FunctionCallItem) and i.call_id == call_id for i in items)

    def keep_sound(self, entry: Entry) -> None:
        """Count the sound of a finished entry and let the oldest sound go beyond the bound."""
        self._sounding.append(entry)
        self._sound_bytes += len(entry.sound)
        while self._sound_bytes > AUDIO_KEPT_S * 1000 * audio.BYTES_PER_MS:
            oldest = self._sounding.popleft()
            self._sound_bytes -= len(oldest.sound)
            oldest.forget_sound()

    def _index(self, item_id: str) -> int:
        # Most lookups are for the latest items, so search from the end.
        for index in range(len(self._order) - 1, -1, -1):
            if self._order[index] == item_id:
                return index
        raise AssertionError(f"{item_id} is not in the order")
