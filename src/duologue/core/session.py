"""One Realtime session: inputs in by `handle`, outputs back. The only door.

No I/O, no clock, no randomness: the same inputs give the same outputs, so a session is
recorded and replayed. This file routes; the parts do: `user_turn` (sound to committed
item), `turn_taking` (what follows from it), `responses` and `response` (reply to wire events),
`conversation` (order), `conversation_items` (the client's part in it), `settings`, and `floor`
where a full-duplex model takes the turns.

    (a) voice turn   hear ─► started … stopped ─► commit ─► response
    (c) barge-in     hear ─► started ─► active response cancelled
    (d) push to talk commit, response.create      (e) tools: item.create, response.create
    (l) idle         tick ─► timeout_triggered ─► silence committed ─► response
"""

from collections.abc import Callable

from duologue.core.batch import Batch
from duologue.core.conversation import Conversation
from duologue.core.conversation_items import ConversationItems
from duologue.core.floor import LiveFloor
from duologue.core.heard_words import HeardWords
from duologue.core.idle_timeout import IdleTimeout
from duologue.core.inputs import (
    AllowanceChanged,
    AudioReceived,
    BadEvent,
    Disconnected,
    Dismissed,
    Found,
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
from duologue.core.outputs import Configure, GoneOut, Output, Send
from duologue.core.playout import Playout
from duologue.core.responses import Responses
from duologue.core.settings import SessionConfig, Settings
from duologue.core.talk import Ask
from duologue.core.transcription import Transcription
from duologue.core.turn_taking import TurnTaking
from duologue.core.user_turn import UserTurn
from duologue.errors import Refusal
from duologue.events import (
    AudioInput,
    ClientEvent,
    ConversationCreated,
    ConversationItemCreate,
    ConversationItemDelete,
    ConversationItemRetrieve,
    ConversationItemTruncate,
    InputAudioBufferAppend,
    InputAudioBufferClear,
    InputAudioBufferCommit,
    OutputAudioBufferClear,
    RateLimitsUpdated,
    ResponseCancel,
    ResponseCreate,
    ResponseCreateParams,
    ResponseOutputAudioDelta,
    SessionCreated,
    SessionUpdate,
    SessionUpdated,
)
from duologue.events import Conversation as WireConversation


class Session:
    """`handle` never raises on anything a client or an engine does; `deadline` is when to tick."""

    def __init__(self, config: SessionConfig, *, new_id: Callable[[str], str], now: float) -> None:
        self.id = config.id
        self._ends_at: float | None = now + config.max_s
        self._max_s = config.max_s
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
        self._idle = IdleTimeout()
        self._turns = TurnTaking(
            self._batch,
            self._settings,
            self._turn,
            self._responses,
            self._transcription,
            self._playout,
            self._idle,
            self._floor,
            answers_late=config.turn_during_response == "answer",
        )
        self._items = ConversationItems(
            self._batch,
            self._conversation,
            self._settings,
            self._turn,
            self._transcription,
            self._playout,
            new_id,
        )
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
                try:  # as `refusing` does, for what comes thirty times a second
                    self._turns.hear(pcm, speech, now)
                except Refusal as refusal:
                    self._batch.refuse(refusal, None)
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
                self._batch.refusing(lambda: self._turns.judge(entry, now), None)
            case Played(item_id=item_id, samples=samples):
                if self._playout:
                    self._playout.played(item_id, samples)
                if self._floor is not None:
                    self._batch.add(GoneOut(item_id, samples))
            case Tick():
                self._batch.refusing(lambda: self._tick(now), None)
            case Lost():
                self._idle.leave(now)
            case Found():
                self._idle.come_back(now)
            case Resumed():
                self._idle.come_back(now)
                self._batch.send(SessionCreated, session=self._settings.session)
            case Disconnected():
                self._batch.drain()  # what an input that broke had half made
                self._ends_at = None
                self._turns.owes_answer = False
                self._responses.abandon()
        if self._turns.owes_answer:
            self._batch.refusing(lambda: self._turns.answer_late(now), None)
        batch = self._batch.drain()
        for output in batch:
            if isinstance(output, Send) and not isinstance(output.event, ResponseOutputAudioDelta):
                self._idle.sent(output.event, now, speaking=self._turn.speaking)
        return batch

    def _tick(self, now: float) -> None:
        if self._ends_at is None:
            return
        if now < self._ends_at:
            self._turns.prompt_idle(now)
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
                self._turns.commit()
            case InputAudioBufferClear():
                self._turn.clear()
            case ResponseCreate(response=params):
                self._create_response(params, now)
            case ResponseCancel(response_id=response_id):
                self._cancel_response(response_id)
            case ConversationItemCreate():
                self._items.create(event)
            case ConversationItemRetrieve(item_id=item_id):
                self._items.retrieve(item_id)
            case ConversationItemDelete(item_id=item_id):
                self._items.delete(item_id)
            case ConversationItemTruncate():
                self._items.truncate(event)
            case InputAudioBufferAppend():
                raise AssertionError("appended sound enters as AudioReceived")
            case OutputAudioBufferClear():
                # Over a plain WebSocket there is nothing to stop, and no error either (GAP-11).
                if self._playout is not None:
                    self._playout.clear()

    def _update(self, event: SessionUpdate) -> None:
        self._settings.update(event.session, voice_locked=self._responses.voice_locked)
        self._batch.send(SessionUpdated, session=self._settings.session)
        self._turns.configure()
        self._configure_transcription()
        self._batch.add(Configure(self._ask()))

    def _ask(self) -> Ask:
        return self._settings.ask(ResponseCreateParams(), None)

    def _configure_transcription(self) -> None:
        session = self._settings.session
        self._transcription.configure(session.audio.input.transcription, session.include)

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
