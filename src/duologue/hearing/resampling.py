"""24 kHz to 16 kHz, as the models here want it: one low-pass filter, two ways to apply it.

`WindowResampler` turns windows of 768 samples into 512, for many streams in one matrix
product; a stream carries the last samples of its previous window, so windows join without a
seam, and the filter delays by `DELAY_SAMPLES` (1.3 ms). `resample` takes a whole utterance
with a longer filter, where delay does not matter. Samples in are s16, out float32 in -1..1.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

CARRY_SAMPLES = 64
"""Samples of the previous window that the filter of a window reaches back into."""

DELAY_SAMPLES = CARRY_SAMPLES // 2
WINDOW_OUT = 512
PIECE_IN, PIECE_OUT = 96, 64
UTTERANCE_HALF_TAPS = 96


def _kernel(positions: NDArray[np.floating[Any]], half_width: int) -> NDArray[np.float64]:
    """A windowed sinc at `positions` (in input samples), cut off at 7.4 kHz of 12."""
    cutoff = 7400 / 12_000
    taper = np.i0(8.0 * np.sqrt(np.clip(1 - (positions / half_width) ** 2, 0, 1))) / np.i0(8.0)
    inside = np.abs(positions) <= half_width
    return np.asarray(cutoff * np.sinc(cutoff * positions) * taper * inside)


class WindowResampler:
    """The matrix that maps pieces of [carry, window] of many streams to pieces at 16 kHz.

    The filter is the same everywhere and short beside a window, so a piece of 96 samples needs
    no more than the carry before it: a small matrix, a fifth of the work that one of the whole
    window would be.
    """

    def __init__(self) -> None:
        sources = np.arange(CARRY_SAMPLES + PIECE_IN)
        centres = np.arange(PIECE_OUT) * 1.5 + DELAY_SAMPLES
        matrix = _kernel(sources[:, None] - centres[None, :], DELAY_SAMPLES)
        self._matrix = (matrix / 32_768).astype(np.float32)

    def __call__(self, windows: Samples) -> Samples:
        """[streams, 64 + 768] at 24 kHz -> [streams, 512] at 16 kHz."""
        reaches = np.lib.stride_tricks.sliding_window_view(windows, len(self._matrix), axis=1)
        pieces = np.ascontiguousarray(reaches[:, ::PIECE_IN])
        out = pieces.reshape(-1, len(self._matrix)) @ self._matrix
        return out.reshape(len(windows), WINDOW_OUT)


def resample(pcm: bytes) -> Samples:
    """A whole utterance of 24 kHz s16le as 16 kHz floats; an odd byte at the end is left out."""
    whole = len(pcm) - len(pcm) % 2
    sound = np.frombuffer(pcm[:whole], np.int16).astype(np.float32) / 32_768
    padded = np.pad(sound, (UTTERANCE_HALF_TAPS, UTTERANCE_HALF_TAPS + 3))
    taps = np.arange(-UTTERANCE_HALF_TAPS, UTTERANCE_HALF_TAPS + 1)
    count = len(sound) * 2 // 3
    out = np.empty(count, np.float32)
    # Output sample n lies at 1.5 n: even ones on a sample, odd ones halfway between two.
    for phase in (0, 1):
        kernel = _kernel(taps - phase / 2, UTTERANCE_HALF_TAPS).astype(np.float32)
        filtered = np.convolve(padded, kernel[::-1], "valid")
        out[phase::2] = filtered[phase::3][: len(out[phase::2])]
    return out
