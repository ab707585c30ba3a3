"""The voice: clauses in, words with their sound out, by hibari on one worker thread.

A clause goes through `spoken_text` (what is said, and for which characters), hibari's G2P
(phonemes) and its network, whose own duration predictor says where every phoneme begins: the
tensor is inside the graph, and is made an output when the graph is loaded. So words are cut
where the model put them (steps of 25 ms), not where they were guessed to be. Then the silence
around the clause is replaced by a short lead and a pause that fits its punctuation, and its
loudness is brought to one level.

One clause at a time is spoken, in the order asked for: a clause is some tens of milliseconds
of work, so conversations take turns word for word, and a second thread would only take the
core that the language model needs.
"""

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnxruntime
from hibari import dsp
from hibari.g2p import G2P
from hibari.tts import ASSETS
from hibari.voices import voice_path

from duologue.engines.composed.clauses import MOST_CHARS, ClauseSplitter
from duologue.engines.composed.parts import Word
from duologue.engines.composed.waveform import RATE_HZ, leveled, trimmed
from duologue.engines.light.spoken_text import Spoken, spoken_text
from duologue.errors import EngineFault, ModelFault

log = logging.getLogger(__name__)

_DURATIONS = "/CumSum_output_0"
"""Tensor of hibari's graph: of each phoneme id, the end of its sound in steps of 25 ms."""
_STEP = 600  # samples
_STEP_FRAMES = _STEP // dsp.HOP
_COARTICULATION = RATE_HZ // 20
"""50 ms: the sound of a phoneme begins about this much before its step.

Chosen on 41 beginnings of sentences that Whisper tiny.en was given, at speed 1. On 47 others it
heard more words than were meant in 7, against 19 when cut at the step itself, and lost none.
"""
_LEAD_STEPS = 8
"""Of the silent first step the last 0.2 s may hold the onset of a fricative."""
_MOST_PHONEMES = 400
"""hibari's own limit for one run of the network."""
_PAUSE_MS = {",": 120, "–": 120, "—": 160, ";": 180, ":": 200} | dict.fromkeys(".!?…\n", 280)
_BREATH_MS = 30
"""After a clause that was cut between words."""

_ALIASES = ("alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar")


class _Run(msgspec.Struct, frozen=True):
    """What one run of the network says: phoneme ids, and of each word the index of its last."""

    ids: list[int]
    words: list[tuple[int, int]]
    """Of each word: index in `ids` of its last phoneme, `end` in the clause."""
    pause_ms: int


class HibariMouth:
    """A `Mouth` with hibari's one packaged voice, American English.

    The well-known voice names are accepted as names of that same voice, so that a client that
    asks for one is served; they do not sound different. Speeds from 0.25 to 1.5 change the
    durations inside the network, not the pitch. Letters of other scripts than Latin are
    passed over. Loading takes about a second and blocks: construct it off the event loop.
    Raises `ModelFault` where the model's file is not one this can use.
    """

    voices: Mapping[str, str] = {
        "heart": "American English, female (hibari, distilled from Kokoro af_heart)",
        **dict.fromkeys(_ALIASES, "the same voice as heart"),
    }

    def __init__(
        self, model: Path | None = None, *, threads: int = 1, most_waiting: int = 64
    ) -> None:
        """`model` is the network's file, else the one in hibari's own package.

        `threads` of the network; past `most_waiting` clauses in hand the next is refused.
        """
        self._g2p: Any = G2P()
        self._ids: dict[str, int] = json.loads(Path(ASSETS, "vocab.json").read_text("utf-8"))
        self._network = _load(model or Path(voice_path("heart", download_missing=False)), threads)
        self._worker = ThreadPoolExecutor(1, "mouth")
        self._waiting, self._most_waiting = 0, most_waiting
        self._voice(self._plan("Warm, and xyzzying, 1 voice."), 1.0)  # an unknown word, too

    async def speak(self, clause: str, *, voice: str, speed: float) -> Sequence[Word]:
        """See `Mouth.speak`. A long text is spoken piece by piece, others may come between."""
        if voice and voice not in self.voices:
            raise EngineFault(f"There is no voice {voice!r}.", "invalid_value")
        words: list[Word] = []
        start = 0
        for piece in _pieces(clause):
            words += (Word(start + w.end, w.pcm) for w in await self._turn(piece, speed))
            start += len(piece)
        spoken = [w for w in words if w.pcm]
        if spoken and spoken[-1].end < len(clause):
            spoken[-1] = Word(len(clause), spoken[-1].pcm)
        return spoken or [Word(len(clause), b"")]

    async def aclose(self) -> None:
        """Drop what waits; returns when the clause under way is done."""
        await asyncio.to_thread(self._worker.shutdown, wait=True, cancel_futures=True)

    async def _turn(self, text: str, speed: float) -> list[Word]:
        if self._waiting >= self._most_waiting:
            raise EngineFault("Too many clauses wait to be spoken.", "server_overloaded")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._worker, lambda: self._voice(self._plan(text), speed)
            )
        except Exception as fault:
            log.exception("a clause of %d characters could not be spoken", len(text))
            raise EngineFault(f"The voice failed: {type(fault).__name__}.") from fault
        finally:
            self._waiting -= 1

    def _plan(self, text: str) -> list[_Run]:
        """The phonemes of a text, in runs that the network can take."""
        tokens = spoken_text(text)
        spelled = self._spell([token.text for token in tokens])
        runs: list[_Run] = []
        ids: list[int] = [0]
        words: list[tuple[int, int]] = []
        for token, phonemes in zip(tokens, spelled, strict=True):
            if words and len(ids) + len(phonemes) > _MOST_PHONEMES:
                runs.append(_Run([*ids, 0], words, _pause_ms(tokens, words[-1][1])))
                ids, words = [0], []
            if phonemes:
                ids += phonemes
                # The space after a word is already the onset of the next one.
                words.append((len(ids) - 1 - (phonemes[-1] == self._ids[" "]), token.end))
        if words:
            runs.append(_Run([*ids, 0], words, _pause_ms(tokens, words[-1][1], text)))
        return runs

    def _spell(self, words: list[str]) -> list[list[int]]:
        """Of each word its phoneme ids, the space or punctuation after it included."""
        owners = [i for i, word in enumerate(words) for _ in (*word, " ")]
        spelled: list[list[int]] = [[] for _ in words]
        voiced = [False] * len(words)
        place = 0
        for token in self._phonemes(words):
            owner = owners[min(place, len(owners) - 1)]
            place += len(token.text) + len(token.whitespace)
            phonemes = token.phonemes or ""
            voiced[owner] |= any(p.isalpha() for p in phonemes)
            spelled[owner] += [self._ids[p] for p in phonemes if p in self._ids]
            if token.whitespace and spelled[owner]:
                spelled[owner].append(self._ids[" "])
        return [ids if said else [] for ids, said in zip(spelled, voiced, strict=True)]

    def _phonemes(self, words: list[str]) -> list[Any]:
        """hibari's tokens, which together are the words with a space between any two."""
        try:
            tokens: list[Any] = self._g2p.phonemize_tokens(self._g2p.tokenize(" ".join(words)))
        except Exception as fault:
            # It has no name for a number of 37 digits. One such word shall not silence a clause.
            if len(words) == 1:
                log.warning("a word of %d characters cannot be read: %r", len(words[0]), fault)
                return []
            tokens = []
            for word in words:
                said = self._phonemes([word]) or self._g2p.tokenize(word)
                said[-1].whitespace = " "
                tokens += said
        return tokens

    def _voice(self, runs: list[_Run], speed: float) -> list[Word]:
        words: list[Word] = []
        for run in runs:
            *spectra, ends = self._network.run(
                None,
                {"ids": np.array([run.ids], np.int64), "speed": np.array([speed], np.float32)},
            )
            ends = ends.reshape(-1)
            # The first id is silence: all but the end of it is never made into sound.
            skip = max(0, int(ends[0]) - _LEAD_STEPS)
            wave = dsp.synth(
                *(s[0][..., skip * _STEP_FRAMES :] for s in spectra), np.random.default_rng(0)
            )
            cuts = [(int(ends[last]) - skip) * _STEP - _COARTICULATION for last, _ in run.words]
            sound, lead = trimmed(wave, round(run.pause_ms / min(max(speed, 0.5), 2.0)))
            pcm = leveled(sound)
            cuts = [min(max(cut - lead, 0), len(pcm)) for cut in cuts[:-1]] + [len(pcm)]
            start = 0
            for (_, end), cut in zip(run.words, cuts, strict=True):
                words.append(Word(end, pcm[start:cut].tobytes()))
                start = cut
        return words


def _load(path: Path, threads: int) -> Any:
    """The network with its durations as one more output."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Threads that spin between two clauses would take the cores of the language model.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        graph = path.read_bytes() + _graph_output(_DURATIONS)
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as fault:
        raise ModelFault(f"The voice model {path.name} cannot be used: {fault}") from fault


def _graph_output(name: str) -> bytes:
    """Bytes that, behind an ONNX file, declare one more output of its graph.

    A protobuf message may come in parts: fields that repeat are joined. These bytes are
    `ModelProto{graph{output{name}}}` (fields 7, 12 and 1 of onnx.proto3).
    """
    message = name.encode()
    for field in (1, 12, 7):
        assert len(message) < 128, "a length is one byte here"
        message = bytes((field << 3 | 2, len(message))) + message
    return message


def _pieces(clause: str) -> list[str]:
    if len(clause) <= MOST_CHARS:
        return [clause]
    splitter = ClauseSplitter()
    return splitter.push(clause) + splitter.flush()


def _pause_ms(tokens: list[Spoken], end: int, text: str = "") -> int:
    """The pause after the word that ends at `end`, by the punctuation it carries."""
    word = next(token.text for token in tokens if token.end >= end)
    mark = word.rstrip("\"”’')]» ")[-1:]
    return _PAUSE_MS.get("\n" if text.endswith("\n") else mark, _BREATH_MS)
