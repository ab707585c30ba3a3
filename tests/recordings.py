"""The spoken test utterances: 24 kHz mono PCM with what is said in them."""

import json
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent / "data" / "audio"
WINDOW_BYTES = 1536


@dataclass(frozen=True)
class Recording:
    """`end_ms` is the end of speech: the last sample above -40 dB of the peak."""

    file: str
    text: str
    pcm: bytes
    end_ms: float

    @property
    def speech(self) -> bytes:
        """The sound up to 100 ms after the end of speech."""
        return self.pcm[: int(self.end_ms + 100) * 48]


def recordings() -> list[Recording]:
    return [_read(row["file"], row["text"]) for row in _manifest()]


def recording(file: str) -> Recording:
    return next(r for r in recordings() if r.file.endswith(file))


def windows(pcm: bytes) -> list[bytes]:
    """`pcm` in whole voice-activity windows."""
    return [pcm[n : n + WINDOW_BYTES] for n in range(0, len(pcm) - WINDOW_BYTES + 1, WINDOW_BYTES)]


def _manifest() -> list[dict[str, str]]:
    rows: list[dict[str, str]] = json.loads((FOLDER / "manifest.json").read_text())
    return rows


def _read(file: str, text: str) -> Recording:
    with wave.open(str(FOLDER / file)) as sound:
        assert (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) == (24_000, 1, 2)
        pcm = sound.readframes(sound.getnframes())
    loud = np.abs(np.frombuffer(pcm, np.int16).astype(np.int32))
    end = int(np.nonzero(loud > loud.max() / 100)[0][-1])
    return Recording(file, text, pcm, end / 24)
