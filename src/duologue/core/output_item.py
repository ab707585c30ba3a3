"""The items of a reply on their way out: a message or a function call, opened, grown, closed.

`Say` and `Call` pieces come in; the events of one item leave in the order of reference
section 4.3 (a), (b) and (e). An item of a kept reply stands in the conversation from its
first event on; an out-of-band one has no `conversation.item.*` events (G12).
"""

from msgspec import structs

from duologue.arguments import is_object
from duologue.audio import pcm as audio
from duologue.core.batch import Batch
from duologue.core.conversation import Conversation, Entry
from duologue.core.playback import PlaybackLedger
from duologue.core.playout import Playout
from duologue.core.talk import Call, Say
from duologue.events import (
    AudioPart,
    ConversationItemAdded,
    ConversationItemDone,
    FunctionCallItem,
    ItemStatus,
    MessageItem,
    OutputAudio,
    OutputText,
    ResponseContentPartAdded,
    ResponseContentPartDone,
    ResponseFunctionCallArgumentsDelta,
    ResponseFunctionCallArgumentsDone,
    ResponseOutputAudioDelta,
    ResponseOutputAudioDone,
    ResponseOutputAudioTranscriptDelta,
    ResponseOutputAudioTranscriptDone,
    ResponseOutputItemAdded,
    ResponseOutputItemDone,
    ResponseOutputTextDelta,
    ResponseOutputTextDone,
    TextPart,
)

DELTA_BYTES = 48_000
"""Sound of one delta at most: one second, 64 kB as base64 (reference 1.3)."""


class Place:
    """Where an item stands: its response, its index there, and the conversation if it is kept.

    With a `playout` its sound is played and not sent (C-032).
    """

    def __init__(
        self,
        batch: Batch,
        response_id: str,
        output_index: int,
        conversation: Conversation | None,
        playout: Playout | None = None,
    ) -> None:
        self.batch = batch
        self.response_id = response_id
        self.output_index = output_index
        self.conversation = conversation
        self.playout = playout

    def open(self, entry: Entry) -> None:
        """Announce an item that is in progress."""
        self.batch.send(
            ResponseOutputItemAdded,
            response_id=self.response_id,
            output_index=self.output_index,
            item=entry.item,
        )
        if self.conversation is not None:
            previous = self.conversation.add(entry)
            self.batch.send(ConversationItemAdded, previous_item_id=previous, item=entry.item)

    def close(self, entry: Entry) -> None:
        """Announce that an item is final."""
        if self.conversation is not None and self.conversation.holds(entry):
            previous = self.conversation.previous_id(entry.id)
            self.batch.send(ConversationItemDone, previous_item_id=previous, item=entry.item)
        self.batch.send(
            ResponseOutputItemDone,
            response_id=self.response_id,
            output_index=self.output_index,
            item=entry.item,
        )


class MessageOutput:
    """An assistant message with one part: sound with its transcript, or text."""

    def __init__(self, place: Place, item_id: str, *, spoken: bool) -> None:
        self._place = place
        self._batch = place.batch
        self._spoken = spoken
        self.ledger = PlaybackLedger()
        item = MessageItem(id=item_id, role="assistant", status="in_progress", content=())
        self.entry = Entry(item, ledger=self.ledger if spoken else None)
        self._ids = {
            "response_id": place.response_id,
            "item_id": item_id,
            "output_index": place.output_index,
            "content_index": 0,
        }
        place.open(self.entry)
        part = AudioPart() if spoken else TextPart()
        self._batch.send(ResponseContentPartAdded, **self._ids, part=part)

    @property
    def sounds(self) -> bool:
        """Whether its sound goes to the listener: not what comes after a cut (GAP-12)."""
        return self._spoken and (self._place.playout is not None or self.ledger.kept is None)

    def say(self, piece: Say, sound: bytes) -> None:
        """Grow by a piece of text and sound, of which `sound` may go to the client."""
        self.ledger.say(piece.text, piece.pcm if self._spoken else b"", piece.voiced)
        if piece.text:
            kind = ResponseOutputAudioTranscriptDelta if self._spoken else ResponseOutputTextDelta
            self._batch.send(kind, **self._ids, delta=piece.text)
        if sound:
            if playout := self._place.playout:
                playout.play(self._place.response_id, self.entry, sound)
            else:
                for chunk in audio.chunks(sound, DELTA_BYTES):
                    self._batch.send(ResponseOutputAudioDelta, **self._ids, delta=chunk)
            self.ledger.send(audio.samples(sound))
        if piece.text:
            self._show("in_progress")

    def close(self, status: ItemStatus) -> None:
        """Send the closing events; an item cut short keeps only what was voiced."""
        text = self.ledger.text
        if self._spoken:
            if status == "incomplete":
                self.ledger.cut(self.ledger.sent)
            self._batch.send(ResponseOutputAudioDone, **self._ids)
            self._batch.send(ResponseOutputAudioTranscriptDone, **self._ids, transcript=text)
            part: AudioPart | TextPart = AudioPart(transcript=text)
        else:
            self._batch.send(ResponseOutputTextDone, **self._ids, text=text)
            part = TextPart(text=text)
        self._batch.send(ResponseContentPartDone, **self._ids, part=part)
        self._show(status)
        self._place.close(self.entry)

    def _show(self, status: ItemStatus) -> None:
        part: OutputAudio | OutputText
        if self._spoken:
            part = OutputAudio(transcript=self.ledger.heard_text)
        else:
            part = OutputText(text=self.ledger.text)
        assert isinstance(self.entry.item, MessageItem)
        self.entry.item = structs.replace(self.entry.item, status=status, content=(part,))


class CallOutput:
    """A function call; its arguments grow as text and must be JSON once they are whole."""

    def __init__(self, place: Place, item_id: str, call_id: str, name: str) -> None:
        self._place = place
        self._batch = place.batch
        self._arguments: list[str] = []
        item = FunctionCallItem(
            id=item_id, status="in_progress", name=name, call_id=call_id, arguments=""
        )
        self.entry = Entry(item)
        self._ids = {
            "response_id": place.response_id,
            "item_id": item_id,
            "output_index": place.output_index,
            "call_id": call_id,
        }
        self._name = name
        self.open = True
        self.complete = False
        place.open(self.entry)

    def grow(self, piece: Call) -> None:
        """Grow by a piece of the arguments."""
        if piece.delta:
            self._arguments.append(piece.delta)
            self._batch.send(ResponseFunctionCallArgumentsDelta, **self._ids, delta=piece.delta)

    def close(self, status: ItemStatus) -> None:
        """Send the closing events. Arguments that are no JSON object are never called done."""
        arguments = "".join(self._arguments)
        if status == "completed" and not is_object(arguments):
            status = "incomplete"
        self.open = False
        self.complete = status == "completed"
        if self.complete:
            self._batch.send(
                ResponseFunctionCallArgumentsDone,
                **self._ids,
                name=self._name,
                arguments=arguments,
            )
        assert isinstance(self.entry.item, FunctionCallItem)
        self.entry.item = structs.replace(self.entry.item, status=status, arguments=arguments)
        self._place.close(self.entry)
