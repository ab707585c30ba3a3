"""The user's side of a turn: sound and scores in, speech events and a committed item out.

    append ─► buffer ─► turn detection ─► speech_started … speech_stopped ─► commit
    client: commit, clear ────────────────────────────────────────────────────┘

The item id is made when speech starts, so that the announced id is the committed one (G3).
At the first silent window of a pause the engine is told what to expect; it may work ahead.
The story of one turn is here; what follows it (the reply) is the session's.
"""

from collections.abc import Callable
from typing import Literal

from duologue.audio import pcm as audio
from duologue.core import talk
from duologue.core.batch import Batch
from duologue.core.conversation import Conversation, Entry
from duologue.core.input_audio_buffer import COMMIT_MINIMUM_MS, InputAudioBuffer
from duologue.core.outputs import Expect, Put
from duologue.core.turn_detection import TurnDetection
from duologue.errors import Refusal
from duologue.events import (
    ConversationItemAdded,
    ConversationItemDone,
    InputAudio,
    InputAudioBufferCleared,
    InputAudioBufferCommitted,
    InputAudioBufferSpeechStarted,
    InputAudioBufferSpeechStopped,
    MessageItem,
    SemanticVad,
    ServerVad,
)
from duologue.events import (
    TurnDetection as TurnDetectionSettings,
)

ONSET_MARGIN_MS = 200
"""Sound held besides the prefix padding while listening for an onset."""

SHORT_SPEECH_PATIENCE_MS = 250
"""What the server's own policy adds after short speech (`turn_detection`)."""

SILENCE_MS_BY_EAGERNESS = {"low": 800, "medium": 400, "auto": 400, "high": 250}
"""What `semantic_vad` waits for in silence, by the server's own policy: it asks no model yet."""

Heard = Literal["started", "stopped"]


class UserTurn:
    """Buffer, detector and the announced item of one session."""

    def __init__(
        self, batch: Batch, conversation: Conversation, new_id: Callable[[str], str]
    ) -> None:
        self._batch = batch
        self._conversation = conversation
        self._new_id = new_id
        self._buffer = InputAudioBuffer()
        self._detector: TurnDetection | None = None
        self._item_id: str | None = None
        self._expected = False
        self._full = False
        self.speech_end: float | None = None
        """When the last voiced window arrived, in monotonic seconds; None while speaking."""

    @property
    def scores_audio(self) -> bool:
        return self._detector is not None

    def configure(self, settings: TurnDetectionSettings | None, *, own: bool) -> None:
        """Take the session's turn detection; null ends a segment without a word (GAP-24).

        `own` says that the client has left it to the server how long to wait.
        """
        if settings is None:
            self._abandon()
            self._detector = None
            return
        if isinstance(settings, SemanticVad):
            own = True
            settings = ServerVad(silence_duration_ms=SILENCE_MS_BY_EAGERNESS[settings.eagerness])
        self._detect(
            TurnDetection(
                threshold=settings.threshold,
                prefix_padding_ms=settings.prefix_padding_ms,
                silence_duration_ms=settings.silence_duration_ms,
                short_speech_patience_ms=SHORT_SPEECH_PATIENCE_MS if own else 0,
            )
        )

    def _detect(self, detector: TurnDetection) -> None:
        if self._detector is not None and self._detector.speaking:
            detector.resume(self._detector)
        self._detector = detector

    def hear(self, pcm: bytes, speech: float | None, now: float) -> Heard | None:
        """Take one window; says when speech has started or the turn is over (not committed yet)."""
        start_ms = self._buffer.end_ms
        try:
            self._buffer.append(pcm)
        except Refusal:
            if self._full:
                return None  # said once; a client that goes on is not told for every frame
            self._full = True
            raise
        if self._detector is None:
            return None
        decision = None
        if speech is not None:
            decision = self._detector.hear(speech, start_ms, self._buffer.end_ms)
        if decision in ("started", "resumed"):
            self.speech_end = None
        if decision == "paused":
            self.speech_end = now - audio.samples(pcm) / audio.RATE_HZ
        if decision == "started":
            self._start()
        elif not self._detector.speaking and decision is None:
            self._buffer.keep_last(self._detector.prefix_padding_ms + ONSET_MARGIN_MS)
        if decision in ("started", "stopped"):
            return decision
        self._pause(decision)
        return None

    def _start(self) -> None:
        detector = self._detector
        assert detector is not None
        voiced_ms = self._buffer.end_ms - detector.onset_ms
        self._buffer.keep_last(detector.prefix_padding_ms + voiced_ms)
        self._item_id = self._new_id("item")

    def announce_start(self) -> None:
        """Send `speech_started`; apart from `hear`, so that an interruption can come before it."""
        assert self._detector is not None and self._item_id is not None
        start_ms = self._detector.onset_ms - self._detector.prefix_padding_ms
        self._batch.send(
            InputAudioBufferSpeechStarted,
            audio_start_ms=max(0, self._buffer.start_ms, start_ms),
            item_id=self._item_id,
        )

    def announce_stop(self) -> None:
        """Send `speech_stopped`."""
        self._batch.send(
            InputAudioBufferSpeechStopped,
            audio_end_ms=self._buffer.end_ms,
            item_id=self._item_id,
        )

    def _pause(self, decision: str | None) -> None:
        if decision == "paused":
            assert self._item_id is not None
            part = talk.Part(pcm=self._buffer.peek())
            self._batch.add(Expect(talk.Item(self._item_id, "user", (part,))))
            self._expected = True
        elif decision == "resumed":
            self._withdraw()

    def commit(self) -> Entry:
        """Make an item of what is held: committed, added, done, and the engine is told."""
        if self._buffer.held_ms < COMMIT_MINIMUM_MS:
            raise Refusal(
                "input_audio_buffer_commit_empty",
                "Error committing input audio buffer: buffer too small. Expected at least "
                f"{COMMIT_MINIMUM_MS}ms of audio, but buffer only has {self._buffer.held_ms}ms "
                "of audio.",
            )
        item_id = self._item_id or self._new_id("item")
        content = (InputAudio(),)
        item = MessageItem(id=item_id, role="user", status="completed", content=content)
        entry = Entry(item, pcm=self._buffer.take())
        previous = self._conversation.add(entry)
        self._conversation.keep_sound(entry)
        self._batch.send(InputAudioBufferCommitted, previous_item_id=previous, item_id=item_id)
        self._batch.send(ConversationItemAdded, previous_item_id=previous, item=item)
        self._batch.send(ConversationItemDone, previous_item_id=previous, item=item)
        self._batch.add(Put(entry.to_talk(), self._conversation.anchor(item_id)))
        entry.known = True
        self._expected = False
        self._abandon()
        return entry

    def clear(self) -> None:
        """Drop what is held and any segment that is open (reference 3.4)."""
        self._buffer.clear()
        self._abandon()
        self._batch.send(InputAudioBufferCleared)

    def _abandon(self) -> None:
        self._withdraw()
        self._item_id = None
        self._full = False
        if self._detector is not None:
            self._detector.reset()

    def _withdraw(self) -> None:
        if self._expected:
            self._expected = False
            self._batch.add(Expect(None))
