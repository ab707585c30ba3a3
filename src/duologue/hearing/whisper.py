"""Whisper on CTranslate2: one utterance of 24 kHz sound in, its words out. Blocking; no state.

Whisper was trained on windows of 30 s and costs as much for every one of them, so a short
utterance gets a short window: the sound and some silence. A window too short makes it say
the sentence again and again; the signs of that are looked for, and the utterance is heard
once more in the next longer window. Of two sentences with a pause between them it may leave
one out; where there are too few words for the voice in the sound, the sentences are heard one
by one. Longer sound than 30 s is heard piece by piece; whoever
calls decides what comes between two pieces.
"""

import re
import zlib
from pathlib import Path

import ctranslate2
import msgspec
import numpy as np
from faster_whisper.feature_extractor import FeatureExtractor
from msgspec import structs
from tokenizers import Tokenizer

from duologue.errors import EngineFault, ModelFault
from duologue.events import LogProb
from duologue.hearing.pauses import WINDOW, longest_pause, quiet_place, voice
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

PROMPT_TOKENS = 100
"""The most that is told of earlier text; Whisper's own limit is 224, and costs."""

FEW_TOKENS_PER_S = 3.2
"""Of voice. Measured on pairs of recorded sentences: all but the slowest speakers have more, and a
text that lacks one of two sentences has less."""

MOST_CUTS = 2
"""How often a sound is cut in two, and each half in its turn: a slow speaker costs all of it."""

CUT_WITHIN = 4 * RATE_HZ
"""Long sound is cut in the last 4 s that fit, where it is quietest."""

LANGUAGE_TOKEN = re.compile(r"<\|([a-z]{2,3})\|>")

STAMMER = re.compile(r"(.{1,12}?)\1{3,}")
"""The same few letters at least four times in a row."""

SENTENCE_END = re.compile(r"[.?!]")


class Hearing(msgspec.Struct, frozen=True, kw_only=True):
    """How an utterance is to be heard.

    `language` is the one it is in, `languages` those it may be in; with neither it is found.
    `prompt` is earlier text or words to expect. `prefix` is how the text must begin.
    `translate` gives English whatever the language. `logprobs` asks for those of the tokens.
    """

    language: str | None = None
    languages: tuple[str, ...] = ()
    prompt: str | None = None
    prefix: str = ""
    translate: bool = False
    logprobs: bool = False


class Heard(msgspec.Struct, frozen=True):
    """The words of one piece; `language` is None where there were none to tell it by."""

    text: str
    language: str | None = None
    logprobs: tuple[LogProb, ...] | None = None


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
        # The first run is slow.
        self._hear(np.zeros(RATE_HZ, np.float32), WINDOWS_S[0], Hearing(language="en"))

    @property
    def languages(self) -> tuple[str, ...]:
        """Codes of the languages that it knows."""
        if not self._model.is_multilingual:
            return ("en",)
        names = (LANGUAGE_TOKEN.fullmatch(token) for token in self._tokenizer.get_vocab())
        return tuple(sorted(name[1] for name in names if name))

    def pieces(self, pcm: bytes) -> list[Samples]:
        """Sound cut into pieces that fit a window, at quiet places; none where it is silent."""
        sound = resample(pcm)
        if _is_silent(sound):
            return []
        longest = int((WINDOWS_S[-1] - TAIL_S) * RATE_HZ)
        pieces = []
        while len(sound) > longest:
            cut = quiet_place(sound[longest - CUT_WITHIN : longest]) + longest - CUT_WITHIN
            pieces.append(sound[:cut])
            sound = sound[cut:]
        return [*pieces, sound]

    def hear(self, piece: Samples, how: Hearing) -> Heard:
        """The words of one piece. Raises `EngineFault`."""
        try:
            if _is_silent(piece):
                return Heard(how.prefix, None, () if how.logprobs else None)
            return self._more(piece, how, self._words(piece, how))
        except RuntimeError as fault:
            raise EngineFault(
                f"the speech model failed: {fault}", "transcription_failed"
            ) from fault

    def transcribe(self, pcm: bytes, language: str | None = None, prompt: str | None = None) -> str:
        """The words of an utterance, "" when there are none. Raises `EngineFault`."""
        how = Hearing(language=language, prompt=prompt)
        return " ".join(filter(None, (self.hear(piece, how).text for piece in self.pieces(pcm))))

    def _more(self, sound: Samples, how: Hearing, heard: Heard, cuts: int = MOST_CUTS) -> Heard:
        """`heard`, or what is heard before and after the longest pause if it has left much out.

        Each of the two is judged likewise, with a cut less.
        """
        if how.prefix or not heard.text or len(sound) < RATE_HZ:
            return heard
        is_voice = voice(sound)
        enough = FEW_TOKENS_PER_S * int(is_voice.sum()) * WINDOW / RATE_HZ
        if len(self._ids(heard.text)) >= enough or not (cut := longest_pause(is_voice)):
            return heard
        how = structs.replace(how, language=heard.language)
        parts = [self._words(part, how) for part in (sound[:cut], sound[cut:])]
        if cuts > 1:
            halves = zip((sound[:cut], sound[cut:]), parts, strict=True)
            parts = [self._more(half, how, part, cuts - 1) for half, part in halves]
        text = " ".join(filter(None, (part.text for part in parts)))
        if len(self._ids(text)) < enough:
            return heard  # the rest is no speech, or the speaker is slow
        logprobs = sum((part.logprobs or () for part in parts), ()) if how.logprobs else None
        return Heard(text, heard.language, logprobs)

    def _words(self, sound: Samples, how: Hearing) -> Heard:
        seconds = len(sound) / RATE_HZ
        heard = Heard(how.prefix, None, () if how.logprobs else None)
        for window_s in WINDOWS_S:
            if window_s < seconds + TAIL_S:
                continue
            tried, is_whole = self._hear(sound, window_s, how)
            if is_whole and not _repeats(tried.text):
                return tried
            if not _repeats(tried.text):
                heard = tried
        return heard

    def _hear(self, sound: Samples, window_s: float, how: Hearing) -> tuple[Heard, bool]:
        """The text in a window, and whether it came to an end of its own."""
        padded = np.pad(sound, (0, int(window_s * RATE_HZ) - len(sound)))
        features = np.ascontiguousarray(self._features(padded, padding=0)[None], np.float32)
        encoded = self._model.encode(ctranslate2.StorageView.from_array(features))
        language = self._language(encoded, how)
        start = self._start(language, how)
        prefix = self._ids(" " + how.prefix.strip()) if how.prefix else []
        limit = int(len(sound) / RATE_HZ * TOKENS_PER_S) + TOKENS_EXTRA
        limit = max(limit, len(prefix) + TOKENS_EXTRA)
        result = self._model.generate(
            encoded,
            [[*start, *prefix]],
            beam_size=1,
            max_length=len(start) + limit,
            suppress_blank=True,
            suppress_tokens=[-1],
            return_scores=True,
            return_no_speech_prob=True,
            return_logits_vocab=how.logprobs,
        )[0]
        tokens = [token for token in result.sequences_ids[0] if token < self._end]
        if result.no_speech_prob > NO_SPEECH and result.scores[0] < LOW_CONFIDENCE:
            return Heard(how.prefix, None, () if how.logprobs else None), True
        # What is generated begins with the prefix, which was forced like any earlier step.
        text = self._tokenizer.decode(tokens).strip()
        logprobs = None
        if how.logprobs:
            found = [_logprob(s, t) for s, t in zip(result.logits[0], tokens, strict=False)]
            logprobs = self._shown(tokens, found)
        return Heard(text, language, logprobs), len(tokens) < limit

    def _start(self, language: str, how: Hearing) -> list[int]:
        """The tokens that tell Whisper what to do: [earlier text], language, task."""
        start: list[int] = []
        if how.prompt:
            start = [
                self._token("<|startofprev|>"),
                *self._ids(" " + how.prompt.strip())[-PROMPT_TOKENS:],
            ]
        start.append(self._token("<|startoftranscript|>"))
        if self._model.is_multilingual:
            task = "<|translate|>" if how.translate else "<|transcribe|>"
            start += [self._token(f"<|{language}|>"), self._token(task)]
        return [*start, self._token("<|notimestamps|>")]

    def _language(self, encoded: ctranslate2.StorageView, how: Hearing) -> str:
        if not self._model.is_multilingual:
            return "en"
        if how.language and self._tokenizer.token_to_id(f"<|{how.language}|>") is not None:
            return how.language
        found: list[str] = [name[2:-2] for name, _ in self._model.detect_language(encoded)[0]]
        return next((name for name in found if name in how.languages), found[0])

    def _shown(self, tokens: list[int], logprobs: list[float]) -> tuple[LogProb, ...]:
        shown: list[LogProb] = []
        for token, logprob in zip(tokens, logprobs, strict=True):
            data = bytes(BYTE_OF[letter] for letter in self._tokenizer.id_to_token(token) or "")
            data = data if shown else data.lstrip()  # the transcript begins without a space
            text = data.decode("utf-8", "replace")
            shown.append(LogProb(token=text, logprob=round(logprob, 6), bytes=tuple(data)))
        return tuple(shown)

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def _token(self, name: str) -> int:
        token = self._tokenizer.token_to_id(name)
        if token is None:
            raise ModelFault(f"the speech model's tokenizer has no token {name}")
        return int(token)


def _is_silent(sound: Samples) -> bool:
    return not len(sound) or float(np.sqrt(np.mean(sound**2))) < QUIET_RMS


def _logprob(logits: ctranslate2.StorageView, token: int) -> float:
    row = np.asarray(logits, np.float64).ravel()
    highest = row.max()
    return float(row[token] - highest - np.log(np.exp(row - highest).sum()))


def _byte_letters() -> dict[str, int]:
    """The letters that byte-level BPE writes bytes as (GPT-2's table)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(b): b for b in printable} | {chr(256 + n): b for n, b in enumerate(others)}


BYTE_OF = _byte_letters()


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
