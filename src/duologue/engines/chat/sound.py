"""The upstream's sound: base64 in whatever pieces and rate it comes, 24 kHz s16le out.

A piece may be a WAV file of its own, a part of one, or bare samples, and may end within a
sample, a header or a group of base64. The rate is the header's, or else what the chunk says,
or else 24 kHz; it may change between two pieces. Takes time: long pieces belong in a worker thread.
"""

import base64
import binascii
import math
import struct

import numpy as np
from numpy.typing import NDArray

from duologue.audio import pcm as audio
from duologue.audio.resampling import Resampler, to_s16
from duologue.engines.chat.faults import nonsense

RATES_HZ = (8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
OTHER_FORMATS = {b"OggS": "Ogg", b"fLaC": "FLAC", b"ID3\x03": "MP3", b"ID3\x04": "MP3"}
PCM, EXTENSIBLE = 1, 0xFFFE
UNKNOWN_SIZE = 0x7FFF_0000
"""Sizes from here on, and 0, mean that the file was begun before its length was known."""

LONGEST_HEADER = 64 * 1024
FRAME_SAMPLES = 480
LOUD = 60.0
"""Mean absolute sample value above which 20 ms of sound count as spoken: -55 dBFS."""


class SoundReader:
    """Reads the sound of one reply. Raises `EngineFault` for what is no such sound."""

    def __init__(self) -> None:
        self._base64 = ""
        self._held = b""
        self._left: float = math.inf
        self._rate_hz = audio.RATE_HZ
        self._resampler: Resampler | None = None
        self._begun = False
        self._has_header = False
        self._last = b""
        """The end of the sound of another rate, which resampling held back."""

    def read(self, data: str, rate_hz: int | None = None) -> bytes:
        """The sound that `data` completes; `rate_hz` is what the upstream says beside it."""
        if rate_hz is not None and not self._has_header:
            self._set_rate(rate_hz)
        piece = self._decoded(data)
        if piece[:4] == b"RIFF" and piece[8:12] == b"WAVE":
            self._held = b""
        elif self._begun and self._left <= 0 and piece[:4] != b"LIST":
            self._left = math.inf  # a header that told the length of its own piece only
        held = self._held + piece
        if not self._begun and len(held) < 4:
            self._held = held
            return b""
        if held[:4] == b"RIFF":
            start = self._header(held)
            if start is None:
                self._held = held
                return b""
            held = held[start:]
        elif held[:4] in OTHER_FORMATS and not self._begun:
            raise nonsense(f"sent sound as {OTHER_FORMATS[held[:4]]}, where WAV or PCM is read")
        self._begun = True
        taken = len(held) if self._left >= len(held) else int(self._left)
        self._left -= taken
        whole = taken - taken % audio.SAMPLE_BYTES
        self._held = held[whole:taken]
        return self._resampled(held[:whole])

    def flush(self) -> bytes:
        """What resampling held back."""
        last, self._last = self._last, b""
        if self._resampler is None:
            return last
        tail = np.zeros(self._resampler.delay_samples + self._rate_hz // 100, np.float32)
        return last + to_s16(self._resampler.push(tail)).tobytes()[: self._resampler_lag_bytes()]

    def _resampler_lag_bytes(self) -> int:
        assert self._resampler is not None
        lag = self._resampler.delay_samples * audio.RATE_HZ // self._rate_hz
        return lag * audio.SAMPLE_BYTES

    def _decoded(self, data: str) -> bytes:
        whole = self._base64 + data
        cut = len(whole) - len(whole) % 4
        self._base64 = whole[cut:]
        try:
            return base64.b64decode(whole[:cut], validate=True)
        except (binascii.Error, ValueError):
            raise nonsense("sent sound that is not base64") from None

    def _header(self, file: bytes) -> int | None:
        """Where the samples of a WAV file begin; None when that has not come yet."""
        place, is_known = 12, False
        while len(file) >= place + 8:
            name, size = struct.unpack_from("<4sI", file, place)
            place += 8
            if name == b"data":
                if not is_known:
                    raise nonsense("sent a WAV file without a format")
                self._left = math.inf if size == 0 or size >= UNKNOWN_SIZE else size
                return place
            if name == b"fmt " and len(file) >= place + 16:
                self._set_format(*struct.unpack_from("<HHIIHH", file, place))
                is_known = True
            place += size + size % 2
        if len(file) > LONGEST_HEADER:
            raise nonsense("sent a WAV file without sound")
        return None

    def _set_format(
        self, tag: int, channels: int, rate_hz: int, _bytes: int, _block: int, bits: int
    ) -> None:
        if tag not in (PCM, EXTENSIBLE) or bits != 16 or channels != 1:
            raise nonsense(
                f"sent a WAV file of {channels} channels and {bits} bits (format {tag}), where "
                "16-bit mono is read"
            )
        self._has_header = True
        self._set_rate(rate_hz)

    def _set_rate(self, rate_hz: int) -> None:
        if rate_hz not in RATES_HZ:
            raise nonsense(f"sent sound at {rate_hz} Hz, a rate that is not read")
        if rate_hz != self._rate_hz:
            self._last = self.flush() if self._begun else b""
            self._rate_hz = rate_hz
            is_ours = rate_hz == audio.RATE_HZ
            self._resampler = None if is_ours else Resampler(rate_hz, audio.RATE_HZ)

    def _resampled(self, pcm: bytes) -> bytes:
        last, self._last = self._last, b""
        if self._resampler is None:
            return last + pcm
        samples = np.frombuffer(pcm, np.int16).astype(np.float32)
        return last + to_s16(self._resampler.push(samples)).tobytes()


def spoken_samples(pcm: bytes) -> int:
    """Samples of `pcm` that are not silence, counted in frames of 20 ms."""
    samples: NDArray[np.int16] = np.frombuffer(pcm, np.int16)
    whole = len(samples) - len(samples) % FRAME_SAMPLES
    frames = np.abs(samples[:whole].astype(np.int32)).reshape(-1, FRAME_SAMPLES).mean(axis=1)
    rest = samples[whole:]
    is_loud = bool(len(rest)) and float(np.abs(rest.astype(np.int32)).mean()) > LOUD
    return int((frames > LOUD).sum()) * FRAME_SAMPLES + (len(rest) if is_loud else 0)
