"""Resampling of a stream, for the edge: samples in one by one or by the million, no seams.

A low-pass filter in polyphase form, as one small matrix: a block of input samples and those
before it give a block of output samples. The stream's own past is all the state there is.
The filter delays by `DELAY_PERIODS` of the lower rate (2 ms beside 8 kHz) and nothing else
does: what has come out is always as long as what has gone in, to within one block.
"""

from functools import lru_cache
from math import gcd
from typing import Any

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

DELAY_PERIODS = 16
"""Half the filter's length, in samples of the lower rate: 60 dB down 0.06 of that rate on."""

CUTOFF = 0.965
"""Where the filter is 6 dB down, as a share of half the lower rate."""

KAISER_BETA = 5.65
BLOCKS_AT_ONCE = 4096
"""Bounds the memory of a long push."""

MOST_WEIGHTS = 2**22
"""Of a filter: rates that have little in common (24001 Hz and 24 kHz) would need thousands of
millions."""


class Resampler:
    """One stream from `from_hz` to `to_hz`; float samples at any scale.

    Raises `ValueError` for rates that are none, or that have too little in common.
    """

    def __init__(self, from_hz: int, to_hz: int) -> None:
        self._matrix, self._step, self._past = _matrix(from_hz, to_hz)
        self.delay_samples = self._past // 2
        """Input samples by which the output lags."""
        self._held = np.zeros(self._past, np.float32)

    def push(self, samples: Samples) -> Samples:
        """The output that `samples` complete."""
        held = np.concatenate((self._held, samples))
        blocks = (len(held) - self._past) // self._step
        self._held = held[blocks * self._step :].copy()
        size = held.itemsize
        windows = np.lib.stride_tricks.as_strided(
            held, (blocks, self._past + self._step), (self._step * size, size), writeable=False
        )
        pieces = [
            np.ascontiguousarray(windows[start : start + BLOCKS_AT_ONCE]) @ self._matrix
            for start in range(0, blocks, BLOCKS_AT_ONCE)
        ]
        return pieces[0].ravel() if len(pieces) == 1 else _joined(pieces)


def resample(samples: Samples, from_hz: int, to_hz: int) -> Samples:
    """A whole sound at another rate, without the delay."""
    stream = Resampler(from_hz, to_hz)
    tail = np.zeros(stream.delay_samples + from_hz // gcd(from_hz, to_hz), np.float32)
    start = stream.delay_samples * to_hz // from_hz
    return stream.push(np.concatenate((samples, tail)))[
        start : start + len(samples) * to_hz // from_hz
    ]


def to_s16(samples: Samples) -> NDArray[np.int16]:
    """Rounded and clipped; `samples` are at the scale of s16."""
    return np.rint(samples).clip(-32_768, 32_767).astype(np.int16)


def _joined(pieces: list[Any]) -> Samples:
    return (
        np.concatenate([piece.ravel() for piece in pieces]) if pieces else np.zeros(0, np.float32)
    )


@lru_cache
def _matrix(from_hz: int, to_hz: int) -> tuple[NDArray[np.float32], int, int]:
    """[past + block, outputs of a block], the block's input samples, the past's.

    Output r of a block lies `from_hz / to_hz * r` input samples after its first, less the delay.
    """
    if min(from_hz, to_hz) <= 0:
        raise ValueError(f"{min(from_hz, to_hz)} Hz is no rate")
    step, outputs = from_hz // gcd(from_hz, to_hz), to_hz // gcd(from_hz, to_hz)
    low_hz = min(from_hz, to_hz)
    half = DELAY_PERIODS * from_hz // low_hz
    if (2 * half + step) * outputs > MOST_WEIGHTS:
        raise ValueError(f"{from_hz} Hz cannot be made {to_hz} Hz")
    cutoff = CUTOFF * low_hz / from_hz
    sources = np.arange(2 * half + step)
    centres = half + np.arange(outputs) * step / outputs
    distance = sources[:, None] - centres[None, :]
    taper = np.i0(KAISER_BETA * np.sqrt(np.clip(1 - (distance / half) ** 2, 0, 1)))
    kernel = np.sinc(cutoff * distance) * taper * (np.abs(distance) <= half)
    return (kernel / kernel.sum(axis=0)).astype(np.float32), step, 2 * half
