"""Whisper on CTranslate2: one utterance of 24 kHz sound in, its words out. Blocking; no state.

Whisper was trained on windows of 30 s and costs as much for every one of them, so a short
utterance gets a short window: the sound and some silence. A window too short makes it say
the sentence again and again; the signs of that are looked for, and the utterance is heard
once more in the next longer window. Longer sound than 30 s is heard piece by piece.
"""

import re
import zlib
from pathlib import Path

import ctranslate2
import numpy as np
from faster_whisper.feature_extractor import FeatureExtractor
from tokenizers import Tokenizer

from duologue.errors import EngineFault, ModelFault
from duologue.hearing.resampling import Samples, resample

RATE_HZ = 16_000
WINDOWS_S = (6.0, 12.0, 30.0)
"""Windows to try in turn, the first that holds the sound and `TAIL_S` of silence."""

TAIL_S = 1.5
TOKENS_PER_S = 7
TOKENS_EXTRA = 12
"""The most tokens an utterance may have: people do not speak faster than that."""

NO_SPEECH = 0.6
LOW_CONFIDENCE = -1.0
"""Whisper's own rule: probably no speech and an unlikely text are nothing."""

QUIET_RMS = 0.001
"""Sound below -60 dBFS has no words, whatever Whisper makes of it."""

COMPRESSES_WELL = 2.4
"""Text that zlib shrinks more than this repeats itself (Whisper's own threshold)."""

STAMMER = re.compile(r"(.{1,12}?)\1{3,}")
"""The same few letters at least four times in a row."""

SENTENCE_END = re.compile(r"[.?!]")


class Whisper:
    """A model directory as CTranslate2 has it. Raises `ModelFault` when it cannot be loaded."""

    def __init__(self, model_dir: Path, *, threads: int = 1, workers: int = 1) -> None:
        try:
            self._model = ctranslate2.models.Whisper(
                str(model_dir),
                device="cpu",
                compute_type="int8",
                intra_threads=threads,
                inter_threads=workers,
            )
            self._tokenizer = Tokenizer.from_file(str(model_dir / "tokenizer.json"))
        except Exception as fault:
            raise ModelFault(f"the speech model {model_dir} cannot be used: {fault}") from fault
        self._features = FeatureExtractor()
        self._end = self._token("<|endoftext|>")
        self._hear(np.zeros(RATE_HZ, np.float32), WINDOWS_S[0], "en", None)  # the first is slow

    @property
    def is_multilingual(self) -> bool:
        return bool(self._model.is_multilingual)

    def transcribe(self, pcm: bytes, language: str | None = None, prompt: str | None = None) -> str:
        """The words of an utterance, "" when there are none. Raises `EngineFault`."""
        try:
            sound = resample(pcm)
            if not len(sound) or float(np.sqrt(np.mean(sound**2))) < QUIET_RMS:
                return ""
            step = int((WINDOWS_S[-1] - TAIL_S) * RATE_HZ)
            pieces = (sound[start : start + step] for start in range(0, len(sound), step))
            return " ".join(filter(None, (self._words(p, language, prompt) for p in pieces)))
        except RuntimeError as fault:
            raise EngineFault(
                f"the speech model failed: {fault}", "transcription_failed"
            ) from fault

    def _words(self, sound: Samples, language: str | None, prompt: str | None) -> str:
        seconds = len(sound) / RATE_HZ
        text = ""
        for window_s in WINDOWS_S:
            if window_s < seconds + TAIL_S:
                continue
            text, is_whole = self._hear(sound, window_s, language, prompt)
            if is_whole and not _repeats(text):
                return text
        return "" if _repeats(text) else text

    def _hear(
        self, sound: Samples, window_s: float, language: str | None, prompt: str | None
    ) -> tuple[str, bool]:
        """The text in a window, and whether it came to an end of its own."""
        padded = np.pad(sound, (0, int(window_s * RATE_HZ) - len(sound)))
        features = np.ascontiguousarray(self._features(padded, padding=0)[None], np.float32)
        encoded = self._model.encode(ctranslate2.StorageView.from_array(features))
        limit = int(len(sound) / RATE_HZ * TOKENS_PER_S) + TOKENS_EXTRA
        start = self._start(encoded, language, prompt)
        result = self._model.generate(
            encoded,
            [start],
            beam_size=1,
            max_length=len(start) + limit,
            suppress_blank=True,
            suppress_tokens=[-1],
            return_scores=True,
            return_no_speech_prob=True,
        )[0]
        tokens = [token for token in result.sequences_ids[0] if token < self._end]
        if result.no_speech_prob > NO_SPEECH and result.scores[0] < LOW_CONFIDENCE:
            return "", True
        return self._tokenizer.decode(tokens).strip(), len(tokens) < limit

    def _start(
        self, encoded: ctranslate2.StorageView, language: str | None, prompt: str | None
    ) -> list[int]:
        """The tokens that tell Whisper what to do: [earlier text], language, task."""
        start: list[int] = []
        if prompt:
            words = self._tokenizer.encode(" " + prompt.strip(), add_special_tokens=False).ids
            start = [self._token("<|startofprev|>"), *words[-100:]]
        start.append(self._token("<|startoftranscript|>"))
        if self.is_multilingual:
            start += [self._language(encoded, language), self._token("<|transcribe|>")]
        return [*start, self._token("<|notimestamps|>")]

    def _language(self, encoded: ctranslate2.StorageView, language: str | None) -> int:
        known = self._tokenizer.token_to_id(f"<|{language}|>") if language else None
        if known is not None:
            return int(known)
        return self._token(self._model.detect_language(encoded)[0][0][0])

    def _token(self, name: str) -> int:
        token = self._tokenizer.token_to_id(name)
        if token is None:
            raise ModelFault(f"the speech model's tokenizer has no token {name}")
        return int(token)


def _repeats(text: str) -> bool:
    """Whether a text says the same again and again."""
    data = text.lower().encode()
    if len(data) > 24 and len(data) / len(zlib.compress(data)) > COMPRESSES_WELL:
        return True
    if STAMMER.search(text.lower()):
        return True
    spoken = [words.split() for words in SENTENCE_END.split(text.lower()) if words.strip()]
    # The last sentence may have been cut off by the limit, so its beginning is enough.
    return any(
        len(second) > 1 and second == first[: len(second)]
        for first, second in zip(spoken, spoken[1:], strict=False)
    )
