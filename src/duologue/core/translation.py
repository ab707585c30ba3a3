"""A translation session: speech in one language in, the same in another out, without turns.

    append ─► voice activity ─► segment ─► Translate ─► output transcript and sound
                                        └► Transcribe ─► input transcript, if configured

A segment ends with a pause, or when it has become long, so that output flows while somebody
speaks on and on. Segments are translated one at a time and told in the order they were
spoken (reference, sections 2.3, 3.13, 4.3(i)). `session.close` lets all of it finish first.
"""

from collections import deque
from collections.abc import Callable

import msgspec

from duologue.audio import pcm as audio
from duologue.core.batch import Batch
from duologue.core.input_audio_buffer import InputAudioBuffer
from duologue.core.inputs import (
    AllowanceChanged,
    AudioReceived,
    BadEvent,
    Disconnected,
    Dismissed,
    Input,
    LimitsUpdated,
    ReceivedTranslation,
    ReplyEvent,
    ReplyFailed,
    Tick,
    Transcribed,
    TranscribedPart,
    TranscriptionFailed,
)
from duologue.core.outputs import Close, Output, Transcribe, Translate
from duologue.core.settings import SessionConfig
from duologue.core.talk import Ask, Say, TranslationAsk
from duologue.core.translation_settings import TranslationSettings
from duologue.core.turn_detection import TurnDetection
from duologue.errors import Refusal
from duologue.events import AudioInput, Error, ErrorDetail, ResponseCreate, SessionUpdate
from duologue.events.translation import (
    SessionClose,
    SessionClosed,
    SessionInputTranscriptDelta,
    SessionOutputAudioDelta,
    SessionOutputTranscriptDelta,
    TranslationClientEvent,
    TranslationCreated,
    TranslationSessionUpdate,
    TranslationUpdate,
    TranslationUpdated,
)

THRESHOLD = 0.5
PREFIX_PADDING_MS = 300
SILENCE_MS = 400
"""A pause that ends a segment: that of a turn, as a translation of half a sentence is none."""

SEGMENT_LIMIT_MS = 15_000
"""A longer segment is cut: what comes later would be too late."""

WAITING_LIMIT_MS = 120_000
"""Sound that may wait for the translator; a server so far behind does not catch up."""

LEAST_MS = 100
DELTA_BYTES = 24_000
"""Half a second of sound: streaming deltas stay small (reference 1.3)."""

FRAME_MS = 200
"""`elapsed_ms` steps by this (reference 4.3(i))."""


class _Segment(msgspec.Struct):
    """Sound between two cuts, and where it ended on the audio clock."""

    pcm: bytes
    end_ms: int

    @property
    def ms(self) -> int:
        return audio.ms_of_samples(audio.samples(self.pcm))


class TranslationSession:
    """Driven as `Session` is: `open`, then `handle` for every input, `Tick` at `deadline`."""

    def __init__(self, config: SessionConfig, *, new_id: Callable[[str], str], now: float) -> None:
        self.id = config.id
        self.deadline: float | None = now + config.max_s
        self._max_s = config.max_s
        self._models = config.transcription_models
        self._new_id = new_id
        self._batch = Batch(config.id)
        self._buffer = InputAudioBuffer()
        self._detector = TurnDetection(
            threshold=THRESHOLD,
            prefix_padding_ms=PREFIX_PADDING_MS,
            silence_duration_ms=SILENCE_MS,
        )
        self._waiting: deque[_Segment] = deque()
        self._job: str | None = None
        self._elapsed_ms = 0
        self._has_spoken = self._needs_space = False
        self._transcripts: dict[str, int] = {}
        """Jobs of input transcripts in order -> `elapsed_ms`."""
        self._transcribed: dict[str, str] = {}
        self._has_heard = False
        self._full = False
        self._closing = False
        self._settings = TranslationSettings(config)

    @property
    def scores_audio(self) -> bool:
        """Sound always comes with a speech probability here."""
        return True

    @property
    def audio_input(self) -> AudioInput:
        """How the session listens, always to 24 kHz PCM: what the edge needs is the cleaning."""
        return AudioInput(noise_reduction=self._settings.session.audio.input.noise_reduction)

    def proposed(self, event: SessionUpdate | ResponseCreate) -> Ask | None:
        """No engine is asked here."""
        return None

    def open(self, now: float) -> list[Output]:
        """The first output: `session.created`."""
        self._batch.send(TranslationCreated, session=self._settings.session)
        return self._batch.drain()

    def handle(self, entry: Input, now: float) -> list[Output]:
        """Take one input at monotonic time `now`; returns what follows from it, in order."""
        match entry:
            case AudioReceived(pcm=pcm, speech=speech):
                self._batch.refusing(lambda: self._hear(pcm, speech), None)
            case ReceivedTranslation(event=event):
                self._batch.refusing(lambda: self._receive(event), event.event_id or None)
            case BadEvent(code=code, message=message, param=param, event_id=event_id):
                self._batch.refuse(Refusal(code, message, param), event_id)
            case ReplyEvent() | ReplyFailed():
                self._take(entry)
            case TranscribedPart():
                pass  # the whole comes soon: a segment is short
            case Transcribed(job=job, transcript=transcript):
                self._take_transcript(job, transcript.text)
            case TranscriptionFailed(job=job, code=code, message=message):
                if job in self._transcripts:
                    self._fail(code, message)
                    self._take_transcript(job, "")
            case AllowanceChanged() | LimitsUpdated():
                pass  # they limit responses
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
                raise AssertionError(f"{type(entry).__name__} in a translation session")
        return self._batch.drain()

    def _fail(self, code: str, message: str) -> None:
        """A fault of ours, for one segment; the session goes on."""
        detail = ErrorDetail(type="server_error", code=code, message=message)
        self._batch.send(Error, error=detail)

    def _receive(self, event: TranslationClientEvent) -> None:
        match event:
            case TranslationUpdate(session=change):
                self._update(change)
            case SessionClose():
                if not self._closing:
                    self._closing = True
                    if self._detector.speaking:
                        self._cut()
                    self._finish()
            case _:
                raise AssertionError("appended sound enters as AudioReceived")

    def _update(self, change: TranslationSessionUpdate) -> None:
        self._settings.update(change)
        self._batch.send(TranslationUpdated, session=self._settings.session)

    # Sound to segments

    def _hear(self, pcm: bytes, speech: float | None) -> None:
        if self._closing:
            return  # nothing after `session.close` is translated
        start_ms = self._buffer.end_ms
        self._buffer.append(pcm)
        decision = None
        if speech is not None:
            decision = self._detector.hear(speech, start_ms, self._buffer.end_ms)
        if decision == "started":
            voiced_ms = self._buffer.end_ms - self._detector.onset_ms
            self._buffer.keep_last(PREFIX_PADDING_MS + voiced_ms)
        elif decision == "stopped":
            self._cut()
        elif self._detector.speaking:
            if self._buffer.held_ms >= SEGMENT_LIMIT_MS:
                self._cut()
        else:
            self._buffer.keep_last(PREFIX_PADDING_MS + FRAME_MS)

    def _cut(self) -> None:
        """Make a segment of what is held."""
        if self._buffer.held_ms < LEAST_MS:
            return
        end_ms = self._buffer.end_ms
        segment = _Segment(self._buffer.take(), end_ms)
        if sum(one.ms for one in self._waiting) + segment.ms > WAITING_LIMIT_MS:
            if not self._full:
                self._full = True
                message = "The server cannot translate as fast as you speak; some is left out."
                self._fail("overloaded", message)
            return
        self._full = False
        self._transcribe(segment)
        self._waiting.append(segment)
        self._translate_next()

    def _transcribe(self, segment: _Segment) -> None:
        if (wanted := self._settings.transcription) is None:
            return
        job = self._new_id("job")
        self._transcripts[job] = segment.end_ms - segment.end_ms % FRAME_MS
        ask = self._models.ask(wanted, logprobs=False)
        self._batch.add(Transcribe(job, job, segment.pcm, ask))

    # Segments to what is told

    def _translate_next(self) -> None:
        if self._job is not None or not self._waiting:
            return
        segment = self._waiting.popleft()
        self._job = self._new_id("job")
        self._elapsed_ms = segment.end_ms - segment.end_ms % FRAME_MS
        self._needs_space = self._has_spoken
        ask = TranslationAsk(self._settings.language)
        self._batch.add(Translate(self._job, segment.pcm, ask))

    def _take(self, result: ReplyEvent | ReplyFailed) -> None:
        if result.job != self._job:
            return
        if isinstance(result, ReplyEvent) and isinstance(result.event, Say):
            self._say(result.event)
            return
        if isinstance(result, ReplyFailed):
            self._fail(result.code, result.message)
        self._job = None
        self._translate_next()
        self._finish()

    def _say(self, say: Say) -> None:
        if say.text:
            # Deltas are joined as they are, so the space between segments is one of theirs.
            text = f" {say.text.lstrip()}" if self._needs_space else say.text
            self._needs_space, self._has_spoken = False, True
            self._batch.send(SessionOutputTranscriptDelta, delta=text, elapsed_ms=self._elapsed_ms)
        for pcm in audio.chunks(say.pcm, DELTA_BYTES):
            self._batch.send(SessionOutputAudioDelta, delta=pcm, elapsed_ms=self._elapsed_ms)

    def _take_transcript(self, job: str, text: str) -> None:
        """Tell input transcripts in the order of their segments, whichever is done first."""
        if job not in self._transcripts:
            return
        self._transcribed[job] = text
        while self._transcripts and (first := next(iter(self._transcripts))) in self._transcribed:
            elapsed_ms = self._transcripts.pop(first)
            if text := self._transcribed.pop(first):
                delta = f" {text}" if self._has_heard else text
                self._has_heard = True
                self._batch.send(SessionInputTranscriptDelta, delta=delta, elapsed_ms=elapsed_ms)
        self._finish()

    def _finish(self) -> None:
        """Say goodbye once everything that was said before `session.close` is translated."""
        if self._closing and self._job is None and not self._waiting and not self._transcripts:
            self._batch.send(SessionClosed)
            self._batch.add(Close(1000, ""))
