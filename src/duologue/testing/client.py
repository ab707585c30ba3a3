"""A pure client: folds server events as an SDK does and objects to any that break the order.

Server events in, a mirror of the conversation out. It is the oracle of the property tests:
after every step its items must be the server's, and no guarantee of reference 4.2 may be
broken. `receive` raises `AssertionError` saying which.
"""

from typing import Any

from msgspec import structs

from duologue import events as ev
from duologue.events.translation import AnyServerEvent, TranslationCreated


class ResponseMirror:
    """What a client knows of one response in progress."""

    def __init__(self, conversation_id: str | None) -> None:
        self.conversation_id = conversation_id
        self.open_items: dict[str, int] = {}
        self.indices: list[int] = []
        self.open_parts: set[str] = set()
        self.text: dict[str, str] = {}
        self.sound_over: set[str] = set()


class ClientMirror:
    """The conversation as a well-behaved client sees it: `order` of ids and `items` by id."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.items: dict[str, ev.Item] = {}
        self.responses: dict[str, ResponseMirror] = {}
        self.done: set[str] = set()
        self.sound: dict[str, int] = {}
        """Bytes of sound received, by item."""
        self.transcripts: dict[tuple[str, int], str] = {}
        """What was told of the user's speech, by item and content index."""
        self._event_ids: set[str] = set()

    @property
    def active(self) -> list[str]:
        """Ids of the responses in progress that write to the default conversation."""
        return [key for key, value in self.responses.items() if value.conversation_id is not None]

    def receive(self, event: AnyServerEvent) -> None:
        """Take the next event."""
        assert event.event_id not in self._event_ids, f"event_id {event.event_id} came twice"
        assert self._event_ids or isinstance(event, ev.SessionCreated | TranslationCreated), (
            "session.created is not first"
        )
        self._event_ids.add(event.event_id)
        match event:
            case ev.ConversationItemAdded(item=item, previous_item_id=previous):
                self._add(item, previous)
            case ev.ConversationItemDone(item=item, previous_item_id=previous):
                assert item.id in self.items, "conversation.item.done of an unknown item"
                assert previous == self._before(str(item.id)), "previous_item_id is another"
                self.items[str(item.id)] = item
            case ev.ConversationItemDeleted(item_id=item_id):
                self.order.remove(item_id)
                del self.items[item_id]
                for part in [part for part in self.transcripts if part[0] == item_id]:
                    del self.transcripts[part]
            case ev.ConversationItemInputAudioTranscriptionDelta(item_id=item_id, delta=delta):
                part = item_id, event.content_index
                self.transcripts[part] = self.transcripts.get(part, "") + delta
            case ev.ConversationItemInputAudioTranscriptionCompleted(item_id=item_id):
                assert item_id in self.items, "the transcript of an item that is gone"
                told = self.transcripts.get((item_id, event.content_index), "")
                assert told == event.transcript, "deltas do not add up to the transcript"
            case ev.ResponseCreated(response=response):
                assert response.id not in self.responses and response.id not in self.done
                assert response.conversation_id is None or not self.active, "two active responses"
                self.responses[response.id] = ResponseMirror(response.conversation_id)
            case ev.ResponseDone(response=response):
                mirror = self.responses.pop(response.id)
                assert not mirror.open_items and not mirror.open_parts, "done with open items"
                assert len(response.output) == len(mirror.indices)
                self.done.add(response.id)
            case _:
                self._in_response(event)

    def _before(self, item_id: str) -> str | None:
        index = self.order.index(item_id)
        return self.order[index - 1] if index else None

    def _add(self, item: ev.Item, previous: str | None) -> None:
        assert item.id not in self.items, "an item was added twice"
        assert previous is None or previous in self.items, "previous_item_id is unknown"
        self.order.insert(self.order.index(previous) + 1 if previous else 0, str(item.id))
        self.items[str(item.id)] = item

    def _in_response(self, event: AnyServerEvent) -> None:
        fields: dict[str, Any] = structs.asdict(event)
        if "response_id" not in fields or "output_index" not in fields:
            return
        assert fields["response_id"] in self.responses, "event of a response that is not open"
        mirror = self.responses[fields["response_id"]]
        match event:
            case ev.ResponseOutputItemAdded(item=item, output_index=index):
                assert index == len(mirror.indices), "output_index does not count from 0"
                mirror.indices.append(index)
                mirror.open_items[str(item.id)] = index
            case ev.ResponseOutputItemDone(item=item, output_index=index):
                assert mirror.open_items.pop(str(item.id)) == index
            case ev.ResponseContentPartAdded(item_id=item_id):
                assert item_id in mirror.open_items
                mirror.open_parts.add(item_id)
            case ev.ResponseContentPartDone(item_id=item_id):
                mirror.open_parts.remove(item_id)
            case ev.ResponseOutputAudioDelta(item_id=item_id, delta=sound):
                assert item_id in mirror.open_parts and item_id not in mirror.sound_over
                self.sound[item_id] = self.sound.get(item_id, 0) + len(sound)
            case ev.ResponseOutputAudioDone(item_id=item_id):
                mirror.sound_over.add(item_id)
            case (
                ev.ResponseOutputTextDelta(item_id=item_id, delta=delta)
                | ev.ResponseOutputAudioTranscriptDelta(item_id=item_id, delta=delta)
                | ev.ResponseFunctionCallArgumentsDelta(item_id=item_id, delta=delta)
            ):
                assert item_id in mirror.open_items, "delta of an item that is not open"
                mirror.text[item_id] = mirror.text.get(item_id, "") + delta
            case (
                ev.ResponseOutputTextDone(item_id=item_id, text=whole)
                | ev.ResponseOutputAudioTranscriptDone(item_id=item_id, transcript=whole)
                | ev.ResponseFunctionCallArgumentsDone(item_id=item_id, arguments=whole)
            ):
                assert mirror.text.get(item_id, "") == whole, "deltas do not add up"
