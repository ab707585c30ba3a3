"""What a client does with the items of a conversation: its `conversation.item.*` events.

    create, retrieve, delete, truncate ─► checked ─► the conversation ─► events for the client,
                                                                         notes for the engine

A refusal changes nothing. `items` makes items whole, `conversation` keeps them in order.
"""

from collections.abc import Callable

from msgspec import UNSET, structs

from duologue.audio import pcm as audio
from duologue.core.batch import Batch
from duologue.core.conversation import Conversation, Entry
from duologue.core.items import complete_item, without_images
from duologue.core.outputs import Cut, Drop, DropItemAudio, Put
from duologue.core.playout import Playout
from duologue.core.settings import Settings
from duologue.core.transcription import Transcription
from duologue.core.user_turn import UserTurn
from duologue.errors import Refusal
from duologue.events import (
    ConversationItemAdded,
    ConversationItemCreate,
    ConversationItemDeleted,
    ConversationItemDone,
    ConversationItemRetrieved,
    ConversationItemTruncate,
    ConversationItemTruncated,
    FunctionCallOutputItem,
    MessageItem,
    OutputAudio,
)

TRUNCATE_SLACK_MS = 100
"""How far `audio_end_ms` may lie beyond the sound and is clamped instead of refused (GAP-18)."""


class ConversationItems:
    """The client's hand on the conversation; `playout` is None where playing is not ours."""

    def __init__(
        self,
        batch: Batch,
        conversation: Conversation,
        settings: Settings,
        turn: UserTurn,
        transcription: Transcription,
        playout: Playout | None,
        new_id: Callable[[str], str],
    ) -> None:
        self._batch = batch
        self._conversation = conversation
        self._settings = settings
        self._turn = turn
        self._transcription = transcription
        self._playout = playout
        self._new_id = new_id

    def create(self, event: ConversationItemCreate) -> None:
        """Add an item where the client puts it; what was spoken in it is written down."""
        item = event.item
        if item.id is not UNSET:
            self._conversation.check_new(item.id, self._turn.item_id)
        self._conversation.check_anchor(event.previous_item_id)
        if isinstance(item, FunctionCallOutputItem) and not self._conversation.has_call(
            item.call_id
        ):
            raise Refusal(
                "invalid_tool_call_id",
                f"Tool call ID '{item.call_id}' not found in conversation.",
                "item.call_id",
            )
        self._settings.check_content(item, "item")
        whole, sounds = complete_item(item, self._new_id, "item")
        self._conversation.check_room(whole, "item")
        entry = Entry(whole, sounds=sounds, media_id=self._new_id("media"))
        previous = self._conversation.add(entry, event.previous_item_id)
        self._conversation.keep(entry)
        shown = without_images(whole)
        self._batch.send(ConversationItemAdded, previous_item_id=previous, item=shown)
        self._batch.send(ConversationItemDone, previous_item_id=previous, item=shown)
        self._batch.add(Put(entry.to_talk(), self._conversation.anchor(entry.id)))
        entry.known = True
        self._transcription.start(entry)

    def retrieve(self, item_id: str) -> None:
        """Show an item whole, with its sound and its images."""
        entry = self._conversation.find(item_id, "item_retrieve_invalid_item_id")
        self._batch.send(ConversationItemRetrieved, item=entry.with_sound())

    def delete(self, item_id: str) -> None:
        """Take an item out, for the engine too."""
        self._conversation.get(item_id, "item_delete_invalid_item_id")
        entry = self._conversation.remove(item_id)
        self._transcription.forget(entry)
        self._batch.send(ConversationItemDeleted, item_id=item_id)
        if entry.known:
            self._batch.add(Drop(item_id))

    def truncate(self, event: ConversationItemTruncate) -> None:
        """End a spoken message where it was heard; the words that were not go with the sound."""
        entry = self._conversation.get(event.item_id, "item_truncate_invalid_item_id")
        ledger = entry.ledger
        if ledger is None or not isinstance(entry.item, MessageItem):
            raise Refusal(
                "unsupported_content_type",
                "Only model output audio messages can be truncated.",
                "item_id",
            )
        if event.content_index != 0:
            message = f"Content index {event.content_index} does not exist in the item."
            raise Refusal("invalid_value", message, "content_index")
        length_ms = audio.ceil_ms_of_samples(ledger.end)
        if event.audio_end_ms > length_ms + TRUNCATE_SLACK_MS:
            raise Refusal(
                "invalid_value",
                f"Audio content of {length_ms}ms is already shorter than {event.audio_end_ms}ms",
                "audio_end_ms",
            )
        end_ms = min(event.audio_end_ms, length_ms)
        if self._playout and (response_id := self._playout.of_item(entry)):
            # What is beyond the cut shall not be heard, and what was not heard is not kept.
            stopped = self._playout.stop(response_id)
            self._playout.tell_cleared(stopped)
            end_ms = min(end_ms, audio.ms_of_samples(ledger.played or 0))
        elif self._playout is None:
            self._batch.add(DropItemAudio(entry.id))
        ledger.cut(audio.samples_of_ms(end_ms))
        heard = OutputAudio(transcript=ledger.heard_text)
        entry.item = structs.replace(entry.item, content=(heard,) if entry.item.content else ())
        self._batch.send(
            ConversationItemTruncated, item_id=entry.id, content_index=0, audio_end_ms=end_ms
        )
        if entry.known:
            self._batch.add(Cut(entry.id, end_ms, ledger.heard_text))
