"""A transcription session: the user's side of a conversation, and nobody who answers.

The same sound, turns, items and transcripts as in `session.py`, by the same parts; there are
no responses, and no engine is told anything (reference, sections 2.2, 3.12 and 4.3(h)).
"""

from collections.abc import Callable

from duologue.core.batch import Batch
from duologue.core.conversation import Conversation
from duologue.core.inputs import (
    AllowanceChanged,
    AudioReceived,
    BadEvent,
    Disconnected,
    Dismissed,
    Found,
    Input,
    LimitsUpdated,
    Lost,
    Received,
    Tick,
    Transcribed,
    TranscribedPart,
    TranscriptionFailed,
    TurnScored,
)
from duologue.core.outputs import Note, Output
from duologue.core.settings import SessionConfig
from duologue.core.talk import Ask
from duologue.core.transcription import Transcription
from duologue.core.transcription_settings import TranscriptionSettings
from duologue.core.user_turn import UserTurn
from duologue.errors import Refusal
from duologue.events import (
    ClientEvent,
    ConversationItemDelete,
    ConversationItemDeleted,
    ConversationItemRetrieve,
    ConversationItemRetrieved,
    InputAudioBufferClear,
    InputAudioBufferCommit,
    ResponseCreate,
    SemanticVad,
    ServerVad,
    SessionCreated,
    SessionUpdate,
    SessionUpdated,
    SessionUpdateParams,
    TranscriptionAudioInput,
    TranscriptionServerVad,
    TranscriptionTurnDetection,
    TurnDetection,
)

SUPPORTED = (
    *("session.update", "input_audio_buffer.append", "input_audio_buffer.commit"),
    *("input_audio_buffer.clear", "conversation.item.retrieve", "conversation.item.delete"),
)


class TranscriptionSession:
    """Driven as `Session` is: `open`, then `handle` for every input, `Tick` at `deadline`."""

    def __init__(self, config: SessionConfig, *, new_id: Callable[[str], str], now: float) -> None:
        self.id = config.id
        self.deadline: float | None = now + config.max_s
        self._max_s = config.max_s
        self._batch = Batch(config.id)
        self._conversation = Conversation(new_id("conv"))
        self._turn = UserTurn(self._batch, self._conversation, new_id)
        self._transcription = Transcription(
            self._batch, self._turn, new_id, config.transcription_models
        )
        self._settings = TranscriptionSettings(config)
        self._configure_turn()
        self._configure_transcription()

    @property
    def scores_audio(self) -> bool:
        """Whether sound should come with a speech probability."""
        return self._turn.scores_audio

    @property
    def audio_input(self) -> TranscriptionAudioInput:
        """How the session listens: what the edge needs of it, the format and the cleaning."""
        return self._settings.session.audio.input

    def proposed(self, event: SessionUpdate | ResponseCreate) -> Ask | None:
        """No engine is asked here."""
        return None

    def open(self, now: float) -> list[Output]:
        """The first output: `session.created`."""
        self._batch.send(SessionCreated, session=self._settings.session)
        return self._drain()

    def handle(self, entry: Input, now: float) -> list[Output]:
        """Take one input at monotonic time `now`; returns what follows from it, in order."""
        match entry:
            case AudioReceived(pcm=pcm, speech=speech):
                self._batch.refusing(lambda: self._hear(pcm, speech, now), None)
            case Received(event=event):
                self._batch.refusing(lambda: self._receive(event), event.event_id or None)
            case BadEvent(code=code, message=message, param=param, event_id=event_id):
                self._batch.refuse(Refusal(code, message, param), event_id)
            case TranscribedPart() | Transcribed() | TranscriptionFailed():
                self._transcription.take(entry)
            case TurnScored():
                if self._turn.judge(entry) == "stopped":
                    self._end_turn()
            case AllowanceChanged() | LimitsUpdated():
                pass  # they limit responses
            case Lost() | Found():
                pass  # a call that waits for its client: turns go by the sound that comes
            case Dismissed(code=code, message=message, close_code=close_code):
                self.deadline = None
                self._batch.dismiss(Refusal(code, message), close_code)
            case Tick():
                if self.deadline is not None and now >= self.deadline:
                    self.deadline = None
                    self._batch.expire(self._max_s)
            case Disconnected():
                self._batch.drain()  # what an input that broke had half made
                self.deadline = None
            case _:
                raise AssertionError(f"{type(entry).__name__} in a transcription session")
        return self._drain()

    def _drain(self) -> list[Output]:
        """What leaves; notes to an engine are left out, as there is none."""
        return [o for o in self._batch.drain() if not isinstance(o, Note)]

    def _receive(self, event: ClientEvent) -> None:
        match event:
            case SessionUpdate(session=change):
                self._update(change)
            case InputAudioBufferCommit():
                if committed := self._turn.commit_as_asked():
                    self._transcription.start(committed)
            case InputAudioBufferClear():
                self._turn.clear()
            case ConversationItemRetrieve(item_id=item_id):
                entry = self._conversation.get(item_id, "item_retrieve_invalid_item_id")
                self._batch.send(ConversationItemRetrieved, item=entry.with_sound())
            case ConversationItemDelete(item_id=item_id):
                self._conversation.get(item_id, "item_delete_invalid_item_id")
                self._transcription.forget(self._conversation.remove(item_id))
                self._batch.send(ConversationItemDeleted, item_id=item_id)
            case _:
                kind = str(event.__struct_config__.tag)
                supported = ", ".join(f"'{name}'" for name in SUPPORTED)
                raise Refusal(
                    "invalid_value",
                    f"'{kind}' is not possible in a transcription session. "
                    f"Supported values are: {supported}.",
                    "type",
                )

    def _update(self, change: SessionUpdateParams) -> None:
        settings = self._settings
        before = settings.session.audio.input.turn_detection, settings.own_turn_policy
        settings.update(change)
        self._batch.send(SessionUpdated, session=settings.session)
        if (settings.session.audio.input.turn_detection, settings.own_turn_policy) != before:
            self._configure_turn()
        self._configure_transcription()

    def _configure_turn(self) -> None:
        settings = self._settings
        turn_detection = _as_in_conversation(settings.session.audio.input.turn_detection)
        self._turn.configure(turn_detection, own=settings.own_turn_policy)

    def _configure_transcription(self) -> None:
        session = self._settings.session
        self._transcription.configure(session.audio.input.transcription, session.include)

    def _hear(self, pcm: bytes, speech: float | None, now: float) -> None:
        if self._turn.overflows(pcm):
            self._end_turn()  # what was announced is also ended (GAP-25, GAP-26)
        heard = self._turn.hear(pcm, speech, now)
        if heard == "started":
            self._turn.announce_start()
        self._transcription.hear(pcm)
        if heard == "stopped":
            self._end_turn()

    def _end_turn(self) -> None:
        self._transcription.start(self._turn.end())


def _as_in_conversation(settings: TranscriptionTurnDetection | None) -> TurnDetection | None:
    """The same turn detection with the keys that only replies need."""
    if settings is None:
        return None
    if isinstance(settings, TranscriptionServerVad):
        return ServerVad(
            threshold=settings.threshold,
            prefix_padding_ms=settings.prefix_padding_ms,
            silence_duration_ms=settings.silence_duration_ms,
        )
    return SemanticVad(eagerness=settings.eagerness)
