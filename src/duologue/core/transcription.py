"""The side-channel transcript of the user's speech, one job for each sound of a user item.

A committed entry goes in; `Transcribe` goes out; the result comes back by job id and leaves
as the item's transcription events. It never delays and never fails a response (C-100, C-101).
Where words are asked for while they are spoken, hypotheses on the growing sound are asked
for as well, one at a time, and what is certain is told before the commit (GAP-48).
"""

from collections.abc import Callable
from math import ceil

from msgspec import UNSET, structs

from duologue.audio import pcm as audio
from duologue.core.batch import Batch
from duologue.core.conversation import Entry
from duologue.core.inputs import Transcribed, TranscribedPart, TranscriptionFailed
from duologue.core.live_transcript import LiveTranscript, join, whole
from duologue.core.outputs import Cancel, Transcribe
from duologue.core.talk import Transcript
from duologue.core.transcription_models import LOGPROBS, TranscriptionModels, interval_ms
from duologue.core.user_turn import UserTurn
from duologue.events import (
    AudioTranscription,
    ConversationItemInputAudioTranscriptionCompleted,
    ConversationItemInputAudioTranscriptionDelta,
    ConversationItemInputAudioTranscriptionFailed,
    Include,
    InputAudio,
    LogProb,
    MessageItem,
    TranscriptionDuration,
    TranscriptionError,
    TranscriptionLanguage,
)


class _Job:
    """One sound being written down; `told` is the text that the client has of it."""

    def __init__(self, entry: Entry, index: int, settings: AudioTranscription) -> None:
        self.entry = entry
        self.index = index
        self.streams = interval_ms(settings) is not None
        self.seconds = audio.samples(entry.sounds[index]) / audio.RATE_HZ
        self.told = ""
        self.before = ""
        """Transcript of the pieces that were closed while the item was spoken."""
        self.before_logprobs: tuple[LogProb, ...] = ()
        self.heard = ""


class Transcription:
    """Transcription under way: of committed items by job, and of the one being spoken."""

    def __init__(
        self,
        batch: Batch,
        turn: UserTurn,
        new_id: Callable[[str], str],
        models: TranscriptionModels,
    ) -> None:
        self._batch = batch
        self._turn = turn
        self._new_id = new_id
        self._models = models
        self._settings: AudioTranscription | None = None
        self._logprobs = False
        self._interval_ms: int | None = None
        self._live: LiveTranscript | None = None
        self._jobs: dict[str, _Job] = {}

    def configure(
        self, settings: AudioTranscription | None, include: tuple[Include, ...] | None
    ) -> None:
        """Take the session's settings; they hold for what is committed from now on."""
        self._settings = settings
        self._logprobs = LOGPROBS in (include or ())
        self._interval_ms = interval_ms(settings) if settings else None
        if self._interval_ms is None:
            self._stop_live()

    # While the item is spoken

    def hear(self, pcm: bytes) -> None:
        """Look at the item being spoken, whose sound has just grown by `pcm`."""
        if self._interval_ms is None:
            return
        turn = self._turn
        item_id = turn.spoken()
        if item_id is None:
            # A pause: the answer may be worked on now, and nothing stands in its way.
            if self._live and self._live.job and self._live.closing is None:
                self._batch.add(Cancel(self._live.job))
                self._live.give_up()
            return
        if self._live is None or self._live.item_id != item_id:
            self._stop_live()
            self._live = LiveTranscript(item_id, self._interval_ms)
        live = self._live
        live.note(pcm, turn.held_samples)
        if not live.is_due(turn.held_samples):
            return
        assert self._settings is not None
        ask = self._models.ask(self._settings, logprobs=self._logprobs and live.closing is not None)
        ask = structs.replace(ask, prefix=live.prefix, partial=live.closing is None)
        sound = turn.sound_from(live.start)
        if live.closing is not None:
            sound = sound[: (live.closing - live.start) * audio.SAMPLE_BYTES]
        live.job = self._new_id("job")
        self._batch.add(Transcribe(live.job, live.job, sound, ask))

    def _stop_live(self) -> None:
        if self._live and self._live.job:
            self._batch.add(Cancel(self._live.job))
        self._live = None

    # Once it is committed

    def start(self, entry: Entry) -> None:
        """Write down every sound of `entry`, if the session wants transcripts."""
        settings = self._settings
        if settings is None:
            return
        for index, pcm in entry.sounds.items():
            self._start(_Job(entry, index, settings), pcm, settings)

    def _start(self, job: _Job, pcm: bytes, settings: AudioTranscription) -> None:
        entry, job_id = job.entry, self._new_id("job")
        ask = self._models.ask(settings, logprobs=self._logprobs)
        media_id = entry.part_id(job.index)
        if (live := self._live) and live.item_id == entry.id:
            self._stop_live()
            job.told, job.before, job.before_logprobs = live.told, live.closed_text, live.logprobs
            ask = structs.replace(ask, prefix=live.prefix)
            if live.start:
                pcm, media_id = pcm[live.start * audio.SAMPLE_BYTES :], job_id
        self._jobs[job_id] = job
        self._batch.add(Transcribe(job_id, media_id, pcm, ask))

    def forget(self, entry: Entry) -> None:
        """An item was deleted: nothing more is told of it."""
        for job_id in [job_id for job_id, job in self._jobs.items() if job.entry is entry]:
            del self._jobs[job_id]
            self._batch.add(Cancel(job_id))

    def expect_words(self, entry: Entry) -> str | None:
        """The model writes the words of `entry` down itself (`take_words`); None: not wanted."""
        settings = self._settings
        if settings is None:
            return None
        self._stop_live()
        job_id = self._new_id("job")
        self._jobs[job_id] = _Job(entry, 0, settings)
        return job_id

    def take_words(self, job_id: str, text: str, *, final: bool) -> None:
        """All words that the model has written down of an item so far; nothing if it is gone."""
        if (job := self._jobs.get(job_id)) is None:
            return
        self._tell(job, text, None)
        if final:
            del self._jobs[job_id]
            self._complete(job, Transcript(text, job.seconds))

    def take(self, result: TranscribedPart | Transcribed | TranscriptionFailed) -> None:
        """Take a result; nothing if its job is not known."""
        if self._live and result.job == self._live.job:
            self._take_live(self._live, result)
            return
        if (job := self._jobs.get(result.job)) is None:
            return
        if isinstance(result, TranscribedPart):
            job.heard = join(job.heard, result.text)
            self._tell(job, join(job.before, job.heard), None)
            return
        del self._jobs[result.job]
        if isinstance(result, Transcribed):
            self._complete(job, result.transcript)
            return
        self._batch.send(
            ConversationItemInputAudioTranscriptionFailed,
            item_id=job.entry.id,
            content_index=job.index,
            error=TranscriptionError(
                type="server_error", code=result.code or UNSET, message=result.message
            ),
        )

    def _take_live(
        self, live: LiveTranscript, result: TranscribedPart | Transcribed | TranscriptionFailed
    ) -> None:
        if isinstance(result, TranscriptionFailed):
            live.give_up()  # the sound is looked at again; the item's own job says what failed
        elif isinstance(result, Transcribed):
            added = live.take(result.transcript)
            if added and live.item_id == self._turn.item_id:  # else it was cleared meanwhile
                self._delta(live.item_id, 0, added, None)

    def _tell(self, job: _Job, text: str, logprobs: tuple[LogProb, ...] | None) -> str:
        """Send what the client has not got of `text`; returns what it has then."""
        text = whole(text, job.told)
        if added := text[len(job.told) :]:
            # Log probabilities ride along only where they are those of just this text.
            self._delta(job.entry.id, job.index, added, logprobs if not job.told else None)
        job.told = text
        return text

    def _delta(
        self, item_id: str, index: int, delta: str, logprobs: tuple[LogProb, ...] | None
    ) -> None:
        self._batch.send(
            ConversationItemInputAudioTranscriptionDelta,
            item_id=item_id,
            content_index=index,
            delta=delta,
            logprobs=UNSET if logprobs is None else logprobs,
        )

    def _complete(self, job: _Job, transcript: Transcript) -> None:
        logprobs = transcript.logprobs
        if logprobs is not None:
            logprobs = job.before_logprobs + logprobs
        text = self._tell(job, join(job.before, transcript.text), logprobs)
        item = job.entry.item
        assert isinstance(item, MessageItem)
        content = list(item.content)
        content[job.index] = InputAudio(transcript=text)
        job.entry.item = structs.replace(item, content=tuple(content))
        language = transcript.language
        # Streaming models count whole seconds (reference 6).
        seconds = float(ceil(job.seconds)) if job.streams else job.seconds
        self._batch.send(
            ConversationItemInputAudioTranscriptionCompleted,
            item_id=job.entry.id,
            content_index=job.index,
            transcript=text,
            languages=(TranscriptionLanguage(code=language),) if language and text else UNSET,
            logprobs=UNSET if logprobs is None else logprobs,
            usage=TranscriptionDuration(seconds=seconds),
        )
