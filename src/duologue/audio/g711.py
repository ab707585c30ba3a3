"""G.711, the sound of the telephone: 8 kHz, one byte a sample, mu-law or A-law.

`Decoder` and `Encoder` are the two directions of one stream: bytes of the line to and from
our 24 kHz s16le. Both keep the filter's past, so a stream may be cut anywhere, and both
delay by 2 ms. Tables follow ITU-T G.711 (as the reference code of G.191 has it).
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from duologue.audio.pcm import RATE_HZ
from duologue.audio.resampling import Resampler, resample, to_s16

Law = Literal["pcmu", "pcma"]

LINE_HZ = 8000
"""Samples a second on the line, which are its bytes a second, too."""


class Decoder:
    """From the line: law bytes in, three samples of 24 kHz s16le out for each."""

    def __init__(self, law: Law) -> None:
        self._levels = LEVELS[law]
        self._resampler = Resampler(LINE_HZ, RATE_HZ)

    def push(self, sound: bytes) -> bytes:
        """The sound that follows what was pushed before."""
        levels = self._levels[np.frombuffer(sound, np.uint8)]
        return to_s16(self._resampler.push(levels)).tobytes()


class Encoder:
    """To the line: 24 kHz s16le in, a third as many law bytes out.

    Up to two samples wait for the rest of their block, and the last 2 ms of a sound stay in
    the filter: a third of the samples, rounded down, is what has come out at any time.
    """

    def __init__(self, law: Law) -> None:
        self._codes = CODES[law]
        self._resampler = Resampler(RATE_HZ, LINE_HZ)

    def push(self, pcm: bytes) -> bytes:
        """The line's bytes for whole samples that follow what was pushed before."""
        samples = np.frombuffer(pcm, np.int16).astype(np.float32)
        return _codes_of(self._resampler.push(samples), self._codes)


def decode(sound: bytes, law: Law) -> bytes:
    """A whole sound from the line, without the delay."""
    levels = LEVELS[law][np.frombuffer(sound, np.uint8)]
    return to_s16(resample(levels, LINE_HZ, RATE_HZ)).tobytes()


def encode(pcm: bytes, law: Law) -> bytes:
    """A whole sound for the line, without the delay."""
    samples = np.frombuffer(pcm, np.int16).astype(np.float32)
    return _codes_of(resample(samples, RATE_HZ, LINE_HZ), CODES[law])


def _codes_of(samples: NDArray[np.float32], codes: NDArray[np.uint8]) -> bytes:
    return codes[to_s16(samples).view(np.uint16)].tobytes()


def _mu_levels() -> NDArray[np.float32]:
    code = ~np.arange(256) & 0xFF
    magnitude = ((((code & 0x0F) << 3) + 132) << (code >> 4 & 7)) - 132
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.float32)


def _a_levels() -> NDArray[np.float32]:
    code = np.arange(256) ^ 0x55
    exponent, mantissa = code >> 4 & 7, (code & 0x0F) << 4
    magnitude = np.where(exponent, (mantissa + 0x108) << np.maximum(exponent - 1, 0), mantissa + 8)
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.float32)


def _mu_codes() -> NDArray[np.uint8]:
    sample, magnitude = _samples()
    biased = np.minimum(magnitude + 132, 0x7FFF)
    exponent = _bits(biased) - 8
    code = ~(exponent << 4 | biased >> exponent + 3 & 0x0F) & 0xFF
    return np.asarray(np.where(sample < 0, code & 0x7F, code), np.uint8)


def _a_codes() -> NDArray[np.uint8]:
    sample, magnitude = _samples()
    exponent = np.maximum(_bits(magnitude) - 8, 0)
    code = exponent << 4 | magnitude >> np.maximum(exponent, 1) + 3 & 0x0F
    return np.asarray(code ^ np.where(sample < 0, 0x55, 0xD5), np.uint8)


def _samples() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Every 16-bit sample in the order of its bits as an unsigned number, and its magnitude.

    The magnitude of a negative one is its one's complement, as in G.191.
    """
    sample = np.arange(65_536, dtype=np.uint16).view(np.int16).astype(np.int64)
    return sample, np.where(sample < 0, ~sample, sample)


def _bits(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many bits each number has."""
    return np.frexp(numbers.astype(np.float64))[1].astype(np.int64)


LEVELS: dict[Law, NDArray[np.float32]] = {"pcmu": _mu_levels(), "pcma": _a_levels()}
"""By code: the sample, at the scale of s16."""

CODES: dict[Law, NDArray[np.uint8]] = {"pcmu": _mu_codes(), "pcma": _a_codes()}
"""By sample (its bits as an unsigned number): the code."""
