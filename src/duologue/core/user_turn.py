"""The user's side of a turn: sound and scores in, speech events and a committed item out.

    append ─► buffer ─► turn detection ─► speech_started … speech_stopped ─► commit
                          │      ▲                                             │
                          ▼ ask  │ judge                    client: commit, clear
                        ScoreTurn, TurnScored

The item id is made when speech starts, so that the announced id is the committed one (G3).
At the first silent window of a pause the engine is told what to expect; it may work ahead.
In `semantic_vad` a pause that lasts is judged: one job a pause, dead when the pause ends.
Where a model owns the floor no window is scored: `start_at` and `end_as_told` are told by it, and a
client's commit in the middle of a turn leaves the rest to be an item of its own.
The story of one turn is here; what follows it (the reply) is the session's.
"""

from collections.abc import Callable
from typing import Literal

from msgspec import Struct, structs

from duologue.audio import pcm as audio
from duologue.core.batch import Batch
from duologue.core.conversation import Conversation, Entry
from duologue.core.input_audio_buffer import COMMIT_MINIMUM_MS, InputAudioBuffer
from duologue.core.inputs import TurnScored
from duologue.core.outputs import Cancel, Expect, Put, ScoreTurn
from duologue.core.turn_detection import TurnDetection
from duologue.errors import Refusal
from duologue.events import (
    ConversationItemAdded,
    ConversationItemDone,
    Eagerness,
    InputAudio,
    InputAudioBufferCleared,
    InputAudioBufferCommitted,
    InputAudioBufferSpeechStarted,
    InputAudioBufferSpeechStopped,
    InputAudioBufferTimeoutTriggered,
    MessageItem,
    SemanticVad,
    ServerVad,
)
from duologue.events import (
    TurnDetection as TurnDetectionSettings,
)

ONSET_MARGIN_MS = 200
"""Sound held besides the prefix padding while listening for an onset."""

FLOOR_MARGIN_MS = 3000
"""Sound held besides the padding where a model says that speech began: it says so late."""

SHORT_SPEECH_PATIENCE_MS = 250
"""What the server's own policy adds after short speech (`turn_detection`)."""


class Patience(Struct, frozen=True):
    """What `semantic_vad` waits for: silence behind a complete turn, more of it after short speech
    (a lone "Stop." is complete and yet often a beginning), and the longest silence of all."""

    silence_duration_ms: int
    short_speech_ms: int
    longest_silence_ms: int


PATIENCE_BY_EAGERNESS: dict[Eagerness, Patience] = {
    "low": Patience(600, 400, 8000),
    "medium": Patience(200, 450, 4000),
    "auto": Patience(200, 450, 4000),
    "high": Patience(200, 150, 2000),
}
"""By eagerness; the longest silences are the protocol's (C-091). 200 ms is the pause that is asked
about, so a complete turn ends with the answer; 650 ms behind short speech as in `server_vad`."""

Heard = Literal["started", "stopped"]


class UserTurn:
    """Buffer, detector and the announced item of one session."""

    def __init__(
        self,
        batch: Batch,
        conversation: Conversation,
        new_id: Callable[[str], str],
        *,
        is_told: bool = False,
    ) -> None:
        self._batch = batch
        self._conversation = conversation
        self._new_id = new_id
        self._is_told = is_told
        """Whether a model that owns the floor says when speech begins and ends."""
        self._margin_ms = FLOOR_MARGIN_MS if is_told else ONSET_MARGIN_MS
        self._buffer = InputAudioBuffer()
        self._detector: TurnDetection | None = None
        self.item_id: str | None = None
        """Id of the item that a commit would make, once it is settled."""
        self._expected = False
        self._judging: str | None = None
        self._full = False
        self._has_just_ended = False
        self._is_rest = False
        """Whether the turn under way was begun in an item that the client has committed."""
        self.speech_end: float | None = None
        """When the last voiced window arrived, in monotonic seconds; None while speaking."""

    @property
    def scores_audio(self) -> bool:
        return self._detector is not None and not self._is_told

    @property
    def speaking(self) -> bool:
        """Whether the user is in the middle of a turn that was announced."""
        return self._detector is not None and self._detector.speaking

    @property
    def position_ms(self) -> int:
        """The end of the sound received so far, on the audio clock."""
        return self._buffer.end_ms

    def configure(self, settings: TurnDetectionSettings | None, *, own: bool) -> None:
        """Take the session's turn detection; null ends a segment without a word (GAP-24).

        `own` says that the client has left it to the server how long to wait.
        """
        if settings is None:
            self._abandon()
            self._detector = None
            return
        detector = (
            semantic(settings.eagerness)
            if isinstance(settings, SemanticVad)
            else server(settings, own)
        )
        if self._detector is not None:
            detector.resume(self._detector)
        self._stop_judging()
        self._detector = detector

    def overflows(self, pcm: bytes) -> bool:
        """Whether the turn under way has become too long for one window more."""
        return self.speaking and not self._buffer.fits(pcm)

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
            self._buffer.keep_last(self._detector.prefix_padding_ms + self._margin_ms)
        if decision in ("started", "stopped"):
            return decision
        self._pause(decision)
        return None

    def start_at(self, at_ms: int) -> bool:
        """Speech began `at_ms` of the audio clock, as the model says; False if nothing is held."""
        if self._detector is None or not self._buffer.held_ms:
            return False
        self._detector.start(max(self._buffer.start_ms, min(at_ms, self._buffer.end_ms)))
        self._start()
        return True

    def _start(self) -> None:
        detector = self._detector
        assert detector is not None
        voiced_ms = self._buffer.end_ms - detector.onset_ms
        self._buffer.keep_last(detector.prefix_padding_ms + voiced_ms)
        self.item_id = self._new_id("item")

    def announce_start(self) -> None:
        """Send `speech_started`; apart from `hear`, so that an interruption can come before it."""
        assert self._detector is not None and self.item_id is not None
        start_ms = self._detector.onset_ms - self._detector.prefix_padding_ms
        self._batch.send(
            InputAudioBufferSpeechStarted,
            audio_start_ms=max(0, self._buffer.start_ms, start_ms),
            item_id=self.item_id,
        )

    def announce_stop(self, end_ms: int) -> None:
        """Send `speech_stopped`."""
        self._batch.send(
            InputAudioBufferSpeechStopped,
            audio_end_ms=end_ms,
            item_id=self.item_id,
        )

    def _pause(self, decision: str | None) -> None:
        if decision == "paused":
            assert self.item_id is not None
            self._batch.add(Expect(_spoken(self.item_id, self._buffer.peek()).to_talk()))
            self._expected = True
        elif decision == "asked":
            self._judging = self._new_id("job")
            self._batch.add(ScoreTurn(self._judging, self._buffer.peek()))
        elif decision == "resumed":
            self._stop_judging()
            self._withdraw()

    def judge(self, result: TurnScored) -> Literal["stopped"] | None:
        """Take the judgement of a pause; nothing if the pause is over. Says if the turn is."""
        if result.job != self._judging or self._detector is None:
            return None
        self._judging = None
        return "stopped" if self._detector.judge(result.probability) == "stopped" else None

    def _stop_judging(self) -> None:
        if self._judging is not None:
            self._batch.add(Cancel(self._judging))
            self._judging = None

    def spoken(self) -> str | None:
        """Id of the item that is being spoken; None when there is none, or in a pause of it.

        Without turn detection the id is made at the first sound (GAP-48). It is the one that
        will be committed.
        """
        if self._detector is not None:
            return self.item_id if self._detector.speaking and not self._expected else None
        if self.item_id is None and self._buffer.held_ms:
            self.item_id = self._new_id("item")
        return self.item_id

    @property
    def held_samples(self) -> int:
        """Length of the sound that a commit would take."""
        return self._buffer.end - self._buffer.start

    def sound_from(self, start: int) -> bytes:
        """The sound held from sample `start` on."""
        return self._buffer.tail(start)

    def end(self, end_ms: int | None = None) -> Entry:
        """The turn is over: stopped and committed, however short it is (GAP-25).

        What came after `end_ms` is kept for the next turn.
        """
        self.announce_stop(self._buffer.end_ms if end_ms is None else end_ms)
        entry = self.commit(minimum_ms=0, end_ms=end_ms)
        self._has_just_ended = True
        return entry

    def end_as_told(self, at_ms: int) -> Entry | None:
        """The model says that the turn was over at `at_ms`; None where a commit has taken it all.

        No item is shorter than a commit may be, if there is sound for it.
        """
        start_ms = self._buffer.start_ms
        if self._is_rest:
            if min(at_ms, self._buffer.end_ms) - start_ms < COMMIT_MINIMUM_MS:
                self._abandon()
                return None
            self._start()
            self.announce_start()
        return self.end(min(self._buffer.end_ms, max(at_ms, start_ms + COMMIT_MINIMUM_MS)))

    def commit_as_asked(self) -> Entry | None:
        """The client's commit.

        One for sound that the end of the turn has just taken crossed it on the way: that is no
        mistake, and Pipecat reads nothing more after an error (reference 9.4, C-210).
        """
        crossed = self._has_just_ended and self._detector is not None
        self._has_just_ended = False
        goes_on = self._is_told and self.speaking
        try:
            entry = self.commit()
        except Refusal:
            if crossed:
                return None
            raise
        if goes_on:
            # Announced by `end_as_told`, if there is any: the model tells a stop late.
            assert self._detector is not None
            self._detector.start(self._buffer.end_ms)
            self._is_rest = True
        return entry

    def commit(self, *, minimum_ms: int = COMMIT_MINIMUM_MS, end_ms: int | None = None) -> Entry:
        """Make an item of what is held: committed, added, done, and the engine is told."""
        if self._buffer.held_ms < minimum_ms:
            raise Refusal(
                "input_audio_buffer_commit_empty",
                "Error committing input audio buffer: buffer too small. Expected at least "
                f"{COMMIT_MINIMUM_MS}ms of audio, but buffer only has {self._buffer.held_ms}ms "
                "of audio.",
            )
        item_id = self.item_id or self._new_id("item")
        until = None if end_ms is None else audio.samples_of_ms(end_ms)
        entry = _spoken(item_id, self._buffer.take(until))
        self._enter(entry, was_heard=self._is_told)
        self._expected = False
        self._abandon()
        return entry

    def commit_silence(self, start_ms: int, end_ms: int) -> Entry:
        """Nobody spoke for the idle timeout: say so and commit silence (reference 4.3 l).

        The silence is digital and as short as an item may be (GAP-47). What is held stays: it
        may be the beginning of a word.
        """
        item_id = self._new_id("item")
        self._batch.send(
            InputAudioBufferTimeoutTriggered,
            item_id=item_id,
            audio_start_ms=start_ms,
            audio_end_ms=end_ms,
        )
        entry = _spoken(item_id, bytes(COMMIT_MINIMUM_MS * audio.BYTES_PER_MS))
        self._enter(entry)
        return entry

    def _enter(self, entry: Entry, *, was_heard: bool = False) -> None:
        previous = self._conversation.add(entry)
        self._conversation.keep(entry)
        self._batch.send(InputAudioBufferCommitted, previous_item_id=previous, item_id=entry.id)
        self._batch.send(ConversationItemAdded, previous_item_id=previous, item=entry.item)
        self._batch.send(ConversationItemDone, previous_item_id=previous, item=entry.item)
        put = structs.replace(entry.to_talk(), was_heard=was_heard)
        self._batch.add(Put(put, self._conversation.anchor(entry.id)))
        entry.known = True

    def clear(self) -> None:
        """Drop what is held and any segment that is open (reference 3.4)."""
        self._buffer.clear()
        self._has_just_ended = False
        self._abandon()
        self._batch.send(InputAudioBufferCleared)

    def _abandon(self) -> None:
        self._stop_judging()
        self._withdraw()
        self.item_id = None
        self._full = self._is_rest = False
        if self._detector is not None:
            self._detector.reset()

    def _withdraw(self) -> None:
        if self._expected:
            self._expected = False
            self._batch.add(Expect(None))


def _spoken(item_id: str, pcm: bytes) -> Entry:
    """What was said as an item of the user."""
    content = (InputAudio(),)
    item = MessageItem(id=item_id, role="user", status="completed", content=content)
    return Entry(item, sounds={0: pcm})


def server(settings: ServerVad, own: bool) -> TurnDetection:
    """The detector of `server_vad`; `own`: by the server's own policy."""
    return TurnDetection(
        threshold=settings.threshold,
        prefix_padding_ms=settings.prefix_padding_ms,
        silence_duration_ms=settings.silence_duration_ms,
        short_speech_patience_ms=SHORT_SPEECH_PATIENCE_MS if own else 0,
    )


def semantic(eagerness: Eagerness) -> TurnDetection:
    """The detector of `semantic_vad`."""
    sound = ServerVad()  # how speech is told from silence is the same in both
    patience = PATIENCE_BY_EAGERNESS[eagerness]
    return TurnDetection(
        threshold=sound.threshold,
        prefix_padding_ms=sound.prefix_padding_ms,
        silence_duration_ms=patience.silence_duration_ms,
        short_speech_patience_ms=patience.short_speech_ms,
        longest_silence_ms=patience.longest_silence_ms,
    )
