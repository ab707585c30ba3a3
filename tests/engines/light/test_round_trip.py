"""What the voice says is understood: spoken, heard by Whisper, and compared."""

import asyncio
import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from duologue.engines.composed.clauses import ClauseSplitter
from duologue.engines.light.mouth import HibariMouth
from duologue.models.store import DEFAULT_DIRECTORY

EAR = Path(os.environ.get("DUOLOGUE_MODELS_DIR") or DEFAULT_DIRECTORY).expanduser()
EAR /= "whisper-tiny.en"

pytestmark = [
    pytest.mark.weights,
    pytest.mark.timeout(180),
    pytest.mark.skipif(not (EAR / "model.bin").exists(), reason="no Whisper tiny.en weights"),
]

SENTENCES = {
    "Sure, I can help you with that.": "",
    "The **capital** of Australia is Canberra.": "",
    "That will be $4.20, please.": "that will be 4.20 please",
    "We open at 3:30 pm on Thursday.": "we open at 3.30 pm on thursday",
    "About 3.5% of 1,250 people said yes.": "about 3.5 of 1250 people said yes",
    "Dr. Smith lives 12 km away, near the station.": "dr smith lives 12 kilometers away near the station",  # noqa: E501
    "It is 21 °C in Paris today.": "it is 21 degrees celsius in paris today",
    "She was born in 1995, on the 3rd of May.": "she was born in 1995 on the 3rd of may",
    "Read [the guide](https://example.com/a) first 😀.": "read the guide first",
    "Why did the computer go to the doctor? Because it had a virus.": "",
}


def plain(text: str) -> list[str]:
    text = text.lower().replace("p.m", "pm").replace("%", "").replace(",", "")
    text = re.sub(r"(?<=\d)[:](?=\d)", ".", text).replace("km", "kilometers")
    return re.sub(r"[^\w. ]|\.(?!\d)", "", text).split()


def errors(said: Sequence[str], heard: Sequence[str]) -> int:
    """Words to change, add or drop."""
    row = list(range(len(heard) + 1))
    for i, word in enumerate(said):
        last, row[0] = row[0], i + 1
        for j, other in enumerate(heard):
            last, row[j + 1] = row[j + 1], min(row[j] + 1, row[j + 1] + 1, last + (word != other))
    return row[-1]


def at_16_khz(pcm: bytes) -> np.ndarray:
    wave = np.frombuffer(pcm, "<i2").astype(np.float32) / 32768
    smooth = np.convolve(wave, [0.25, 0.5, 0.25], "same")
    at = np.arange(len(wave) * 2 // 3) * 1.5
    return np.interp(at, np.arange(len(wave)), smooth).astype(np.float32)


async def test_ten_sentences_are_understood_clause_by_clause() -> None:
    from faster_whisper import WhisperModel

    ear = WhisperModel(str(EAR), compute_type="int8", cpu_threads=2)
    mouth = await asyncio.to_thread(HibariMouth)
    wrong = total = 0
    misheard = []
    for sentence, reading in SENTENCES.items():
        splitter = ClauseSplitter()
        pcm = b""
        for clause in splitter.push(sentence) + splitter.flush():
            words = await mouth.speak(clause, voice="heart", speed=1.0)
            pcm += b"".join(word.pcm for word in words)
        segments, _ = await asyncio.to_thread(
            ear.transcribe, at_16_khz(pcm), language="en", beam_size=1
        )
        said, heard = plain(reading or sentence), plain(" ".join(s.text for s in segments))
        wrong += errors(said, heard)
        total += len(said)
        if said != heard:
            misheard.append((said, heard))
    await mouth.aclose()
    assert wrong / total <= 0.1, misheard
