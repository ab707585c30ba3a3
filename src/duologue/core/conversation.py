"""The default conversation: items in order, each with its sound and what the engine knows.

An `Entry` is a wire item plus what does not belong on the wire: the user's sound, the
ledger of an assistant message, whether the engine was told. The order on the wire and the
order the engine keeps are the same; an entry's anchor for the engine is the nearest entry
before it that the engine knows. What an out-of-band response made is kept beside the order.

Entries are a chain, so that adding, deleting and naming the item before cost the same in a
conversation of ten items and of ten thousand.
"""

from collections import Counter
from collections.abc import Iterator, Mapping

from msgspec import UNSET, structs

from duologue.audio import pcm as audio
from duologue.core import talk
from duologue.core.items import without_images
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
from duologue.events.weight import weight_of

AUDIO_KEPT_S = 1200
"""Seconds of sound that history keeps for `retrieve`; older sound goes, its words stay.

The newest item keeps its sound however long it is: the engine and the transcriber are still to
be given it. One item is never longer than the input buffer may be.
"""

BESIDE_KEPT = 1000
"""Items of out-of-band responses that can be retrieved and referred to; older ones go."""

TEXT_KEPT_BYTES = 24 * 1024 * 1024
"""Of text, arguments and outputs that one conversation may hold, as they lie in memory.

An item counts half a kilobyte more than its text, so that the number of items has a bound too. The
client's next item is refused. What a reply says is always taken, and so are the words of the user's
voice, which come no faster than speech and are not counted.
"""

IMAGES_KEPT_CHARACTERS = 64 * 1024 * 1024
"""Characters of data URIs that one conversation may hold; the next image is refused."""


class Entry:
    """One item: `item` without sound bytes, `sounds` of a user item, `ledger` of a spoken reply.

    `sounds` are those of the item's parts, by content index. `media_id` names what sounds and
    images the entry has, see `talk.Part`; of an item whose id was made here it is that id.
    """

    __slots__ = ("after", "before", "item", "known", "ledger", "media_id", "sounds", "text_bytes")

    def __init__(
        self,
        item: Item,
        *,
        sounds: Mapping[int, bytes] | None = None,
        media_id: str | None = None,
        ledger: PlaybackLedger | None = None,
    ) -> None:
        self.item = item
        self.sounds = sounds or {}
        self.media_id = self.id if media_id is None else media_id
        self.ledger = ledger
        self.known = False
        """Whether the engine was told of it."""
        self.text_bytes = 0
        """What was counted of its text."""
        self.before: Entry | None = None
        self.after: Entry | None = None

    @property
    def id(self) -> str:
        assert self.item.id is not UNSET
        return self.item.id

    @property
    def sound_bytes(self) -> int:
        return len(self.ledger.pcm) if self.ledger else sum(map(len, self.sounds.values()))

    def part_id(self, index: int) -> str:
        """The name of the sound or image of a part."""
        return f"{self.media_id}#{index}"

    def forget_sound(self) -> None:
        self.sounds = {}
        if self.ledger:
            self.ledger.forget_pcm()

    def with_sound(self) -> Item:
        """The item as `conversation.item.retrieved` shows it."""
        if not isinstance(self.item, MessageItem):
            return self.item
        voiced = tuple(self._voiced(*part) for part in enumerate(self.item.content))
        return structs.replace(self.item, content=voiced)

    def _voiced(self, index: int, part: Content) -> Content:
        if isinstance(part, InputAudio) and (sound := self.sounds.get(index)):
            return structs.replace(part, audio=sound)
        if isinstance(part, OutputAudio) and self.ledger and self.ledger.pcm:
            return structs.replace(part, audio=self.ledger.pcm)
        return part

    def to_talk(self) -> talk.Item:
        """The item as the engine takes it."""
        match self.item:
            case MessageItem(role=role, content=content):
                parts = tuple(self._part(*part) for part in enumerate(content))
                return talk.Item(self.id, role, parts)
            case FunctionCallItem(name=name, arguments=arguments, call_id=call_id):
                call = talk.CallPart(str(call_id), name, arguments)
                return talk.Item(self.id, "call", call=call)
            case FunctionCallOutputItem(call_id=call_id, output=output):
                return talk.Item(self.id, "result", (talk.Part(output),), call_id=call_id)
        raise AssertionError(f"no engine takes an item of class {type(self.item).__name__}")

    def _part(self, index: int, part: Content) -> talk.Part:
        match part:
            case InputAudio(transcript=transcript):
                pcm = self.sounds.get(index, b"")
                return talk.Part(transcript, pcm, media_id=self.part_id(index))
            case InputImage(image_url=url, detail=detail):
                return talk.Part(
                    image_url=url or None,
                    image_detail=None if detail == "auto" else detail,
                    media_id=self.part_id(index),
                )
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
        self._first: Entry | None = None
        self._last: Entry | None = None
        self._calls: Counter[str] = Counter()
        self._beside: dict[str, Entry] = {}
        self._sounding: dict[str, tuple[Entry, int]] = {}
        """Entries with sound and its bytes, oldest first."""
        self._sound_bytes = 0
        self._text_bytes = 0

    def __iter__(self) -> Iterator[Entry]:
        entry = self._first
        while entry is not None:
            yield entry
            entry = entry.after

    @property
    def last_id(self) -> str | None:
        return self._last.id if self._last else None

    def holds(self, entry: Entry) -> bool:
        """Whether this very entry stands in the conversation: an id can be used again."""
        return self._entries.get(entry.id) is entry

    def get(self, item_id: str, code: str, param: str | None = "item_id") -> Entry:
        """The entry of `item_id`, or a refusal with `code`."""
        if entry := self._entries.get(item_id):
            return entry
        raise Refusal(code, f"Item '{item_id}' does not exist in the conversation.", param)

    def find(self, item_id: str, code: str, param: str | None = "item_id") -> Entry:
        """As `get`, among the items of out-of-band responses too (GAP-21)."""
        return self._beside.get(item_id) or self.get(item_id, code, param)

    def check_new(self, item_id: str, announced: str | None = None) -> None:
        """Refuse an id that is in use, or `announced` for the item that is being spoken (G3)."""
        if item_id in self._entries or item_id in self._beside or item_id == announced:
            raise Refusal(
                "item_create_duplicate_item_id",
                f"Error adding item: the item with id '{item_id}' already exists.",
                "item.id",
            )

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
            before = self._last
        else:
            before = None if previous_item_id == "root" else self._entries[previous_item_id]
        after = self._first if before is None else before.after
        self._join(before, entry)
        self._join(entry, after)
        self._entries[entry.id] = entry
        if isinstance(entry.item, FunctionCallItem):
            self._calls[str(entry.item.call_id)] += 1
        return before.id if before else None

    def remove(self, item_id: str) -> Entry:
        """Delete an entry that is there."""
        entry = self._entries.pop(item_id)
        self._join(entry.before, entry.after)
        entry.before = entry.after = None
        if isinstance(entry.item, FunctionCallItem):
            self._calls -= Counter([str(entry.item.call_id)])  # a count of nought goes
        self._let_go(entry)
        return entry

    def previous_id(self, item_id: str) -> str | None:
        """The id of the item before `item_id`, or None."""
        before = self._entries[item_id].before
        return before.id if before else None

    def anchor(self, item_id: str) -> str:
        """The id of the nearest item before `item_id` that the engine knows, or "".

        Only items that are being generated are unknown, so the nearest is near.
        """
        before = self._entries[item_id].before
        while before is not None and not before.known:
            before = before.before
        return before.id if before else ""

    def has_call(self, call_id: str) -> bool:
        """Whether a function call with this id stands in the conversation."""
        return self._calls[call_id] > 0

    def keep_beside(self, entry: Entry) -> None:
        """Keep what an out-of-band response made, for `retrieve` and references (GAP-21)."""
        self._beside[entry.id] = entry
        self.keep(entry)
        while len(self._beside) > BESIDE_KEPT or (
            self._text_bytes > TEXT_KEPT_BYTES and len(self._beside) > 1
        ):
            self._let_go(self._beside.pop(next(iter(self._beside))))

    def check_room(self, item: Item, param: str) -> None:
        """Refuse text and images beyond what a conversation may hold.

        What out-of-band responses made makes room first: no client can delete it.
        """
        while self._beside and self._text_bytes + _text_bytes(item) > TEXT_KEPT_BYTES:
            self._let_go(self._beside.pop(next(iter(self._beside))))
        if self._text_bytes + _text_bytes(item) > TEXT_KEPT_BYTES:
            raise Refusal(
                "string_above_max_length",
                f"The items of a conversation may hold {TEXT_KEPT_BYTES >> 20} MiB of text; "
                "delete some to make room.",
                param,
            )
        more = _image_characters(item)
        if not more:
            return
        held = sum(_image_characters(entry.item) for entry in self._entries.values())
        if held + more > IMAGES_KEPT_CHARACTERS:
            raise Refusal(
                "image_file_too_large",
                f"The images of a conversation may hold {IMAGES_KEPT_CHARACTERS >> 20} MiB as "
                "data URIs; delete items with images to make room.",
                f"{param}.content",
            )

    def keep(self, entry: Entry) -> None:
        """Count what a finished entry holds and let the oldest sound go beyond the bound."""
        self._text_bytes -= entry.text_bytes
        entry.text_bytes = _text_bytes(entry.item)
        self._text_bytes += entry.text_bytes
        if not (size_bytes := entry.sound_bytes):
            return
        self._sounding[entry.id] = entry, size_bytes
        self._sound_bytes += size_bytes
        most_bytes = AUDIO_KEPT_S * 1000 * audio.BYTES_PER_MS
        while self._sound_bytes > most_bytes and len(self._sounding) > 1:
            oldest, its_bytes = self._sounding.pop(next(iter(self._sounding)))
            self._sound_bytes -= its_bytes
            oldest.forget_sound()

    def _let_go(self, entry: Entry) -> None:
        """An item is gone, and what it held need not be counted any more."""
        self._text_bytes -= entry.text_bytes
        _, size_bytes = self._sounding.pop(entry.id, (None, 0))
        self._sound_bytes -= size_bytes

    def _join(self, before: Entry | None, after: Entry | None) -> None:
        """Make two neighbours; None is the end of the chain."""
        if before is None:
            self._first = after
        else:
            before.after = after
        if after is None:
            self._last = before
        else:
            after.before = before


def _text_bytes(item: Item) -> int:
    return weight_of(without_images(item))


def _image_characters(item: Item) -> int:
    if not isinstance(item, MessageItem):
        return 0
    return sum(len(part.image_url or "") for part in item.content if isinstance(part, InputImage))
