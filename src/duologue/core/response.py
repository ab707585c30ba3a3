"""One response from `response.created` to `response.done`, which comes exactly once.

Engine events come in (`begin`, `say`, `call`, `finish`, `fail`) or the client's will
(`cancel`);
server events leave through the batch. Opened items are always closed before the end, in
order (G4–G8). The machine has two states, in progress and over; over takes nothing more.
Where the session itself is over, a response ends without a word (`abandon`).

    say, call ──► in_progress ──finish──► completed | incomplete
                       │ ├──────fail────► failed
                       │ └─────cancel───► cancelled
"""

from collections.abc import Callable
from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from duologue.core.batch import Batch
from duologue.core.conversation import Conversation, Entry
from duologue.core.output_item import CallOutput, MessageOutput, Place
from duologue.core.outputs import Put, Spent
from duologue.core.playout import Playout
from duologue.core.talk import Ask, Began, Call, Done, Say
from duologue.core.usage import UsageCount
from duologue.events import (
    CancelledDetails,
    FailedDetails,
    IncompleteDetails,
    ItemStatus,
    MaxOutputTokens,
    Response,
    ResponseAudio,
    ResponseCreated,
    ResponseDone,
    ResponseError,
    ResponseExtension,
    ResponseStatus,
    StatusDetails,
    Usage,
)


class ResponseSettings(Struct, frozen=True, kw_only=True):
    """What the response object shows of the request: session settings merged with its own."""

    audio: ResponseAudio
    max_output_tokens: MaxOutputTokens
    metadata: dict[str, str] | None = None


class ResponseMachine:
    """A response and its items. Unless it `keeps` them it is out of band."""

    def __init__(
        self,
        batch: Batch,
        conversation: Conversation,
        new_id: Callable[[str], str],
        *,
        keeps: bool,
        job: str,
        ask: Ask,
        settings: ResponseSettings,
        context_tokens: int,
        speech_end: float | None,
        playout: Playout | None = None,
    ) -> None:
        self.id = new_id("resp")
        self.job = job
        self.keeps = keeps
        """Whether it writes to the default conversation."""
        self.over = False
        self.voiced = False
        """Whether any sound was sent."""
        self._batch = batch
        self._conversation = conversation
        self._new_id = new_id
        self._ask = ask
        self._settings = settings
        self._speech_end = speech_end
        self._playout = playout
        self._stages: dict[str, float] = {}
        self._used = UsageCount(ask.max_tokens, context_tokens)
        self._entries: list[Entry] = []
        self._message: MessageOutput | None = None
        self._calls: dict[int, CallOutput] = {}
        batch.send(ResponseCreated, response=self._object("in_progress"))

    @property
    def speaking(self) -> Entry | None:
        """The message that is being spoken."""
        if self._message is None or self._message.entry.ledger is None:
            return None
        return self._message.entry

    @property
    def samples(self) -> int:
        """Of the sound that has gone to the client."""
        return self._used.samples

    def note_stage(self, stage: str, at: float) -> None:
        """Remember when a stage of the turn was first reached, in monotonic seconds."""
        self._stages.setdefault(stage, at)

    def begin(self, began: Began) -> None:
        """The engine has read what it answers from."""
        self._used.take(began)

    def say(self, piece: Say, now: float) -> None:
        """The engine said something."""
        if not self._used.take(piece):
            self._reach_limit()
            return
        if self._message is None:
            item_id = self._new_id("item")
            self._message = MessageOutput(self._place(), item_id, spoken=self._ask.speak)
            self._entries.append(self._message.entry)
        given = piece.pcm if self._ask.speak and self._message.sounds else b""
        sound = self._used.send(given)
        if sound and not self.voiced:
            self.voiced = True
            self.note_stage("first_audio", now)
        self._message.say(piece, sound)
        if len(sound) < len(given):
            self._reach_limit()

    def call(self, piece: Call) -> None:
        """The engine wrote a piece of a function call."""
        if not self._used.take(piece):
            self._reach_limit()
            return
        self._close_message("completed")
        output = self._calls.get(piece.index)
        if output is None:
            item_id, call_id = self._new_id("item"), self._new_id("call")
            output = CallOutput(self._place(), item_id, call_id, piece.name)
            self._calls[piece.index] = output
            self._entries.append(output.entry)
        elif not output.open:
            return
        output.grow(piece)
        if piece.final:
            self._close_call(piece.index, "completed")

    def finish(self, done: Done) -> None:
        """The engine is done."""
        fits = self._used.take(done)
        for stage, at in done.stages.items():
            self.note_stage(stage, at)
        if done.reason == "filtered":
            self._end("incomplete", "incomplete", IncompleteDetails(reason="content_filter"))
        elif done.reason == "length" or not fits:
            self._reach_limit()
        else:
            self._end("completed", "completed", None)

    def fail(self, code: str, message: str, kind: str = "server_error") -> None:
        """The engine could not finish (reference 4.4: no `error` event beside it)."""
        error = ResponseError(type=kind, code=code, message=message)
        self._end("failed", "incomplete", FailedDetails(error=error))

    def cancel(self, reason: Literal["turn_detected", "client_cancelled"]) -> None:
        """The client or the user's voice interrupts."""
        self._end("cancelled", "incomplete", CancelledDetails(reason=reason))

    def abandon(self) -> None:
        """The session is over: nothing more is told, but what was used counts."""
        self.over = True
        self._batch.add(Spent(self.job, self._used.usage().total_tokens))

    def _reach_limit(self) -> None:
        self._end("incomplete", "incomplete", IncompleteDetails(reason="max_output_tokens"))

    def _end(
        self, status: ResponseStatus, items: ItemStatus, details: StatusDetails | None
    ) -> None:
        assert not self.over
        self._close_message(items)
        for index in list(self._calls):
            self._close_call(index, "incomplete")
        self.over = True
        usage = self._used.usage()
        response = self._object(status, details, usage, self._extension())
        self._batch.send(ResponseDone, response=response)
        self._batch.add(Spent(self.job, usage.total_tokens))
        if self._playout:
            self._playout.end(self.id)

    def _place(self) -> Place:
        conversation = self._conversation if self.keeps else None
        return Place(self._batch, self.id, len(self._entries), conversation, self._playout)

    def _close_message(self, status: ItemStatus) -> None:
        if self._message is not None:
            message, self._message = self._message, None
            message.close(status)
            self._put(message.entry)

    def _close_call(self, index: int, status: ItemStatus) -> None:
        output = self._calls[index]
        if output.open:
            output.close(status)
            if output.complete:
                self._put(output.entry)
            elif self.keeps and self._conversation.holds(output.entry):
                self._conversation.keep(output.entry)

    def _put(self, entry: Entry) -> None:
        if not self.keeps:
            self._conversation.keep_beside(entry)
        elif self._conversation.holds(entry):
            self._batch.add(Put(entry.to_talk(), self._conversation.anchor(entry.id)))
            entry.known = True
            self._conversation.keep(entry)

    def _extension(self) -> ResponseExtension | UnsetType:
        if self._speech_end is None:
            return UNSET
        start = self._speech_end
        stages = {stage: round((at - start) * 1000) for stage, at in self._stages.items()}
        return ResponseExtension(stages_ms=stages)

    def _object(
        self,
        status: ResponseStatus,
        details: StatusDetails | None = None,
        usage: Usage | None = None,
        extension: ResponseExtension | UnsetType = UNSET,
    ) -> Response:
        return Response(
            id=self.id,
            status=status,
            status_details=details,
            output=tuple(entry.item for entry in self._entries),
            conversation_id=self._conversation.id if self.keeps else None,
            output_modalities=("audio",) if self._ask.speak else ("text",),
            max_output_tokens=self._settings.max_output_tokens,
            audio=self._settings.audio,
            usage=usage,
            metadata=self._settings.metadata,
            duologue=extension,
        )
