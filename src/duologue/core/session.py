"""One Realtime session: inputs in by `handle`, outputs back. The only door.

No I/O, no clock, no randomness: the same inputs give the same outputs, so a session is
recorded and replayed. This file routes; the parts do: `user_turn` (sound to committed
item), `responses` and `response` (reply to wire events), `conversation` (order), `settings`,
and `floor` where a full-duplex model takes the turns.

    (a) voice turn   hear ─► started … stopped ─► commit ─► response
    (c) barge-in     hear ─► started ─► active response cancelled
    (d) push to talk commit, response.create      (e) tools: item.create, response.create
    (l) idle         tick ─► timeout_triggered ─► silence committed ─► response
"""

from collections.abc import Callable

from msgspec import UNSET, structs

from duologue.audio import pcm as audio
from duologue.core.batch import Batch
from duologue.core.conversation import Conversation, Entry
from duologue.core.floor import LiveFloor
from duologue.core.heard_words import HeardWords
from duologue.core.idle_timeout import IdleTimeout
from duologue.core.inputs import (
    AllowanceChanged,
    AudioReceived,
    BadEvent,
    Disconnected,
    Dismissed,
    Input,
    LimitsUpdated,
    LiveEvent,
    LiveFailed,
    Lost,
    Played,
    Received,
    ReplyEvent,
    ReplyFailed,
    Resumed,
    Tick,
    Transcribed,
    TranscribedPart,
    TranscriptionFailed,
    TurnScored,
)
from duologue.core.items import complete_item, without_images
from duologue.core.outputs import (
    Configure,
    Cut,
    Drop,
    DropAudio,
    DropItemAudio,
    GoneOut,
    Output,
    Put,
    Send,
)
from duologue.core.playout import Playout
from duologue.core.responses import Responses
from duologue.core.settings import SessionConfig, Settings
from duologue.core.talk import Ask
from duologue.core.transcription import Transcription
from duologue.core.user_turn import UserTurn
from duologue.errors import Refusal
from duologue.events import (
    AudioInput,
    ClientEvent,
    ConversationCreated,
    ConversationItemAdded,
    ConversationItemCreate,
    ConversationItemDelete,
    ConversationItemDeleted,
    ConversationItemDone,
    ConversationItemRetrieve,
    ConversationItemRetrieved,
    ConversationItemTruncate,
    ConversationItemTruncated,
    FunctionCallOutputItem,
    InputAudioBufferAppend,
    InputAudioBufferClear,
    InputAudioBufferCommit,
    MessageItem,
    OutputAudio,
    OutputAudioBufferClear,
    RateLimitsUpdated,
    ResponseCancel,
    ResponseCreate,
    ResponseCreateParams,
    SessionCreated,
    SessionUpdate,
    SessionUpdated,
)
from duologue.events import Conversation as WireConversation

TRUNCATE_SLACK_MS = 100
"""How far `audio_end_ms` may lie beyond the sound and is clamped instead of refused (GAP-18)."""


class Session:
    """`handle` never raises on anything a client or an engine does; `deadline` is when to tick."""

    def __init__(self, config: SessionConfig, *, new_id: Callable[[str], str], now: float) -> None:
        self.id = config.id
        self._ends_at: float | None = now + config.max_s
        self._max_s = config.max_s
        self._answers_late = config.turn_during_response == "answer"
        self._owes_answer = False
        self._new_id = new_id
        self._batch = Batch(config.id)
        self._settings = Settings(config)
        self._conversation = Conversation(new_id("conv"))
        self._announces_conversation = config.announces_conversation
        self._turn = UserTurn(self._batch, self._conversation, new_id, is_told=config.duplex)
        self._playout = Playout(self._batch, self._conversation) if config.plays else None
        self._responses = Responses(
            self._batch, self._conversation, self._settings, new_id, self._playout
        )
        self._transcription = Transcription(
            self._batch, self._turn, new_id, config.transcription_models
        )
        self._floor = None
        if config.duplex:
            self._floor = LiveFloor(
                self._batch,
                self._turn,
                self._responses,
                HeardWords(self._transcription),
                self._playout,
                new_id,
                self._ask,
                self._reply,
            )
        turn_detection = self._settings.session.audio.input.turn_detection
        self._idle = IdleTimeout()
        self._turn.configure(turn_detection, own=self._settings.own_turn_policy)
        self._idle.configure(turn_detection)
        self._configure_transcription()

    @property
    def deadline(self) -> float | None:
        """When `handle` wants a `Tick` at the latest; None once the session is over."""
        if self._ends_at is None or self._idle.deadline is None:
            return self._ends_at
        return min(self._ends_at, self._idle.deadline)

    @property
    def scores_audio(self) -> bool:
        """Whether sound should come with a speech probability."""
        return self._turn.scores_audio

    @property
    def audio_input(self) -> AudioInput:
        """How the session listens: what the edge needs of it, the format and the cleaning."""
        return self._settings.session.audio.input

    def proposed(self, event: SessionUpdate | ResponseCreate) -> Ask | None:
        """What the engine would be asked, if `event` gives it more to read; changes nothing."""
        return self._settings.proposed(event)

    def open(self, now: float) -> list[Output]:
        """The first outputs: `session.created` and the settings for the engine."""
        self._batch.send(SessionCreated, session=self._settings.session)
        if self._announces_conversation:
            named = WireConversation(id=self._conversation.id)
            self._batch.send(ConversationCreated, conversation=named)
        self._batch.add(Configure(self._ask()))
        if self._floor is not None:
            self._floor.open()
        return self._batch.drain()

    def handle(self, entry: Input, now: float) -> list[Output]:
        """Take one input at monotonic time `now`; returns what follows from it, in order."""
        match entry:
            case AudioReceived(pcm=pcm, speech=speech):
                self._batch.refusing(lambda: self._hear(pcm, speech, now), None)
            case Received(event=event):
                self._batch.refusing(lambda: self._receive(event, now), event.event_id or None)
            case BadEvent(code=code, message=message, param=param, event_id=event_id):
                self._batch.refuse(Refusal(code, message, param), event_id)
            case ReplyEvent() | ReplyFailed():
                self._reply(entry, now)
            case LiveEvent() | LiveFailed():
                if self._floor is not None:
                    self._floor.take(entry, now)
            case TranscribedPart() | Transcribed() | TranscriptionFailed():
                self._transcription.take(entry)
            case AllowanceChanged(allowance=allowance):
                self._responses.allowance = allowance
            case LimitsUpdated(limits=limits):
                self._batch.send(RateLimitsUpdated, rate_limits=limits)
            case Dismissed(code=code, message=message, close_code=close_code):
                self._dismiss(Refusal(code, message), close_code)
            case TurnScored():
                self._batch.refusing(lambda: self._judge(entry, now), None)
            case Played(item_id=item_id, samples=samples):
                if self._playout:
                    self._playout.played(item_id, samples)
                if self._floor is not None:
                    self._batch.add(GoneOut(item_id, samples))
            case Tick():
                self._batch.refusing(lambda: self._tick(now), None)
            case Lost():
                self._idle.leave(now)
            case Resumed():
                self._idle.come_back(now)
                self._batch.send(SessionCreated, session=self._settings.session)
            case Disconnected():
                self._batch.drain()  # what an input that broke had half made
                self._ends_at = None
                self._owes_answer = False
                self._responses.abandon()
        if self._owes_answer:
            self._batch.refusing(lambda: self._answer_late(now), None)
        batch = self._batch.drain()
        for output in batch:
            if isinstance(output, Send):
                self._idle.sent(output.event, now, speaking=self._turn.speaking)
        return batch

    def _tick(self, now: float) -> None:
        if self._ends_at is None:
            return
        if now < self._ends_at:
            self._prompt_idle(now)
            return
        self._ends_at = None
        self._batch.expire(self._max_s)

    def _dismiss(self, refusal: Refusal, close_code: int) -> None:
        self._ends_at = None
        self._batch.dismiss(refusal, close_code)

    def _receive(self, event: ClientEvent, now: float) -> None:
        match event:
            case SessionUpdate():
                self._update(event)
            case InputAudioBufferCommit():
                if entry := self._turn.commit_as_asked():
                    self._write_down(entry)
            case InputAudioBufferClear():
                self._turn.clear()
            case ResponseCreate(response=params):
                self._create_response(params, now)
            case ResponseCancel(response_id=response_id):
                self._cancel_response(response_id)
            case ConversationItemCreate():
                self._create_item(event)
            case ConversationItemRetrieve(item_id=item_id):
                entry = self._conversation.find(item_id, "item_retrieve_invalid_item_id")
                self._batch.send(ConversationItemRetrieved, item=entry.with_sound())
            case ConversationItemDelete(item_id=item_id):
                self._delete_item(item_id)
            case ConversationItemTruncate():
                self._truncate_item(event)
            case InputAudioBufferAppend():
                raise AssertionError("appended sound enters as AudioReceived")
            case OutputAudioBufferClear():
                self._stop_playing(None)

    # Settings

    def _update(self, event: SessionUpdate) -> None:
        settings = self._settings
        before = settings.session.audio.input.turn_detection, settings.own_turn_policy
        settings.update(event.session, voice_locked=self._responses.voice_locked)
        self._batch.send(SessionUpdated, session=settings.session)
        turn_detection, own = settings.session.audio.input.turn_detection, settings.own_turn_policy
        if (turn_detection, own) != before:
            self._turn.configure(turn_detection, own=own)
            self._idle.configure(turn_detection)
            self._owes_answer = False
        self._configure_transcription()
        self._batch.add(Configure(self._ask()))

    def _ask(self) -> Ask:
        return self._settings.ask(ResponseCreateParams(), None)

    def _configure_transcription(self) -> None:
        session = self._settings.session
        self._transcription.configure(session.audio.input.transcription, session.include)

    # The user's voice

    def _hear(self, pcm: bytes, speech: float | None, now: float) -> None:
        if self._floor is not None:
            self._floor.hear(pcm, now)
        if self._turn.overflows(pcm):
            self._end_turn(now)  # what was announced is also ended (GAP-25, GAP-26)
        self._idle.heard(self._turn.position_ms, now)
        heard = self._turn.hear(pcm, speech, now)
        self._transcription.hear(pcm)
        turn_detection = self._settings.session.audio.input.turn_detection
        if heard is None or turn_detection is None:
            return
        if heard == "started":
            self._start_speech(interrupts=turn_detection.interrupt_response is True)
        else:
            self._end_turn(now)

    def _judge(self, result: TurnScored, now: float) -> None:
        if self._turn.judge(result) == "stopped":
            self._end_turn(now)

    def _write_down(self, entry: Entry) -> None:
        if self._floor is not None:
            self._floor.write_down(entry)
        else:
            self._transcription.start(entry)

    def _end_turn(self, now: float) -> None:
        if self._floor is not None:
            self._floor.end_turn(now)
            return
        speech_end = self._turn.speech_end
        entry = self._turn.end()
        self._transcription.start(entry)
        turn_detection = self._settings.session.audio.input.turn_detection
        if turn_detection is None or turn_detection.create_response is not True:
            return
        if self._responses.active is not None:
            # No second response beside one that runs, and no error (GAP-23).
            self._owes_answer = self._answers_late
            return
        response = self._responses.create(ResponseCreateParams(), now, speech_end, automatic=True)
        response.note_stage("decision", now)

    def _answer_late(self, now: float) -> None:
        """Answer a turn that ended while a response ran, once that one is done."""
        if self._responses.active is None:
            self._owes_answer = False
            if not self._turn.speaking:  # else what is being said is answered together with it
                self._responses.create(ResponseCreateParams(), now, automatic=True)

    def _prompt_idle(self, now: float) -> None:
        """The user has been silent for the idle timeout: commit silence and answer it."""
        silence = self._idle.expire(self._turn.position_ms, now)
        if silence is None:
            return
        self._transcription.start(self._turn.commit_silence(*silence))
        if self._floor is not None:
            self._floor.nudge(ResponseCreateParams(), now)
        else:
            self._responses.create(ResponseCreateParams(), now, automatic=True)

    def _create_response(self, params: ResponseCreateParams, now: float) -> None:
        if self._floor is not None and params.conversation == "auto":
            self._floor.nudge(params, now)
        else:
            self._responses.create(params, now)

    def _cancel_response(self, response_id: str | None) -> None:
        if self._floor is not None:
            self._floor.cancel(response_id)
        else:
            self._responses.cancel(response_id)

    def _reply(self, entry: ReplyEvent | ReplyFailed, now: float) -> None:
        active = self._responses.active
        before = active.samples if active else 0
        self._responses.take(entry, now)
        if self._playout is None and active:
            self._idle.plays(active.samples - before, now)

    def _start_speech(self, *, interrupts: bool) -> None:
        if self._playout is not None:
            self._turn.announce_start()
            if interrupts:
                stopped = self._playout.stop()
                self._playout.tell_cleared(stopped)
                self._responses.interrupt()
                self._playout.tell_truncated(stopped)
            return
        active = self._responses.active
        if interrupts and active is not None:
            # Sound still queued must not follow the news that the user speaks (GAP-17).
            self._batch.add(DropAudio(active.id))
        self._turn.announce_start()
        if interrupts:
            self._responses.interrupt()

    def _stop_playing(self, response_id: str | None) -> None:
        """The client wants to hear no more. Over a plain WebSocket there is nothing to stop, and
        no error either (GAP-11)."""
        if self._playout is not None:
            stopped = self._playout.stop(response_id)
            self._playout.tell_cleared(stopped)
            self._playout.tell_truncated(stopped)

    # Items

    def _create_item(self, event: ConversationItemCreate) -> None:
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

    def _delete_item(self, item_id: str) -> None:
        self._conversation.get(item_id, "item_delete_invalid_item_id")
        entry = self._conversation.remove(item_id)
        self._transcription.forget(entry)
        self._batch.send(ConversationItemDeleted, item_id=item_id)
        if entry.known:
            self._batch.add(Drop(item_id))

    def _truncate_item(self, event: ConversationItemTruncate) -> None:
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
