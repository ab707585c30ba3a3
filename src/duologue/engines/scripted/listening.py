"""What listens beside the scripted engine, and is as fake: transcripts, voice activity, turn ends.

Transcripts and translations are the script's, in turn; voice activity is loudness and a turn's end
a matter of length. Sound comes in, scores and words go out.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Sequence

from duologue.audio import pcm as audio
from duologue.core.talk import (
    Done,
    ReplyEvent,
    Say,
    Transcript,
    TranscriptionAsk,
    TranscriptPart,
    TranslationAsk,
)
from duologue.core.transcription_models import TranscriptionModels
from duologue.engines.scripted.engine import ScriptedEngine
from duologue.events import LogProb
from duologue.runtime.ports import ActivityStream, Told


class ScriptedTranscriber:
    """Satisfies `Transcriber`: what the engine heard, which is the script's transcripts in turn.

    Where no engine hears (a transcription session) they are handed out in turn here. Of sound
    that still grows it has heard a word for every `word_ms`. Every token is as likely as not.
    """

    def __init__(self, engine: ScriptedEngine, *, is_open: bool = False) -> None:
        self._engine = engine
        self.models = TranscriptionModels(is_open=is_open)
        self._count = 0

    async def transcribe(
        self, media_id: str, pcm: bytes, ask: TranscriptionAsk
    ) -> AsyncIterator[TranscriptPart | Transcript]:
        seconds = audio.samples(pcm) / audio.RATE_HZ
        if media_id in self._engine.heard:
            text = self._engine.heard[media_id]
        else:
            transcripts = self._engine.script.transcripts
            text = transcripts[self._count % len(transcripts)] if transcripts else ""
            self._count += not ask.partial
        if pcm.count(0) == len(pcm):
            text = ""
        if ask.partial:
            text = " ".join(text.split()[: int(seconds * 1000 / self._engine.script.word_ms)])
        if not text.startswith(ask.prefix):
            text = ask.prefix
        logprobs = None
        if ask.logprobs:
            tokens = text.replace(" ", "\0 ").split("\0") if text else []
            logprobs = tuple(
                LogProb(token=token, logprob=math.log(0.5), bytes=tuple(token.encode()))
                for token in tokens
            )
        yield Transcript(text, seconds, ask.language, logprobs)


class ScriptedTranslator:
    """Satisfies `Translator`: the script's translations in turn, voiced as a tone."""

    languages: tuple[str, ...] = ("en",)

    def __init__(self, engine: ScriptedEngine) -> None:
        self._engine = engine
        self._count = 0

    async def translate(self, pcm: bytes, ask: TranslationAsk) -> AsyncIterator[ReplyEvent]:
        translations = self._engine.script.translations
        text = translations[self._count % len(translations)] if translations else ""
        self._count += 1
        position = 0
        for count, word in enumerate(text.split()):
            said = f" {word}" if count else word
            position += len(said)
            yield Say(said, self._engine.tone, position)
        yield Done()


class LoudnessActivity:
    """Satisfies `VoiceActivity`: a window is speech when it is loud."""

    THRESHOLD = 500
    """Mean absolute sample value that counts as speech."""

    def open(self) -> ActivityStream:
        return _LoudnessStream()

    async def aclose(self) -> None:
        """Nothing to free."""


class _LoudnessStream:
    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    def score(
        self,
        windows: Sequence[bytes],
        told: Told | None = None,
    ) -> asyncio.Future[list[float]]:
        scores = self._loop.create_future()
        scores.set_result([_speech(window) for window in windows])
        return scores

    def close(self) -> None:
        """Nothing kept."""


class LoudnessTurnEnd:
    """Satisfies `TurnEnd`, and is a fake: a turn is complete when enough of it was loud.

    It understands nothing. A client's tests get an "unfinished" turn from less than
    `COMPLETE_MS` of sound and a "finished" one from more.
    """

    COMPLETE_MS = 300
    """Loud sound in the last eight seconds that makes a turn complete."""

    async def score(self, pcm: bytes) -> float:
        # One sample in 10 ms tells loud from quiet; this runs on the event loop.
        end = pcm[-8000 * audio.BYTES_PER_MS :]
        some = memoryview(end)[: len(end) // 2 * 2].cast("h")[:: audio.samples_of_ms(10)].tolist()
        loud_ms = 10 * sum(abs(sample) >= LoudnessActivity.THRESHOLD for sample in some)
        return float(loud_ms >= self.COMPLETE_MS)

    async def aclose(self) -> None:
        """Nothing to free."""


def _speech(window: bytes) -> float:
    return float(audio.loudness(window) >= LoudnessActivity.THRESHOLD)
