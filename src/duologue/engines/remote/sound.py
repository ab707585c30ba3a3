"""The sound that a voice's server answers with: bytes and their media type in, samples out.

PCM (s16le unless it is `audio/L16`, 24 kHz unless a rate is told) and WAV are read, a WAV file
of unknown length (its size is 0 or the largest there is, for it was streamed) to its end. What
is neither is refused by its name: taken for PCM it would be noise. So are rates that no voice
has, since resampling an odd one takes memory by the square of it. Takes time: long sound
belongs in a worker thread.
"""

import re
import struct

import numpy as np
from numpy.typing import NDArray

from duologue.audio import pcm as audio
from duologue.audio.resampling import resample
from duologue.engines.composed.waveform import Float

RATES_HZ = (
    *(8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000),
    *(44_100, 48_000, 64_000, 88_200, 96_000, 176_400, 192_000),
)
MOST_CHANNELS = 8
PCM, EXTENSIBLE = 1, 0xFFFE

SIGNS = {b"OggS": "Ogg", b"fLaC": "FLAC", b"ID3": "MP3", b"\x1aE\xdf\xa3": "WebM", b"FORM": "AIFF"}
"""Formats by how they begin, whatever the media type says."""

FRAMES = re.compile(rb"\xff(?:([\xf0\xf1\xf8\xf9])|[\xe2-\xe7\xf2-\xf7\xfa-\xfd])[^\xf0-\xff]")
"""How a frame of AAC (group 1) or MP3 begins. Samples may, too: it counts where no type is told."""

RAW = ("pcm", "x-pcm", "raw", "x-raw", "s16le", "x-s16le", "l16", "x-l16")
WAVE = ("wav", "x-wav", "wave", "x-wave", "vnd.wave")
UNTOLD = ("application/octet-stream", "binary/octet-stream")
"""Media types that say nothing, as none does."""


class Unreadable(Exception):
    """The sound is none that is read here; says what it is, to follow "answered "."""


def samples(data: bytes, media_type: str) -> Float:
    """The sound in `data` as 24 kHz mono. Raises `Unreadable`."""
    kind, told = _parsed(media_type)
    is_told = kind not in ("", *UNTOLD)
    if data[:4] == b"RIFF":
        pcm, rate_hz, channels = _wav(data)
        return _mono(np.frombuffer(pcm, "<i2"), rate_hz, channels)
    name = next((name for sign, name in SIGNS.items() if data.startswith(sign)), None)
    if name is None and data[4:8] == b"ftyp":
        name = "MP4"
    if name is None and not is_told and (frame := FRAMES.match(data)):
        name = "AAC" if frame[1] else "MP3"
    subtype = kind.removeprefix("audio/")
    if name is None and subtype in WAVE:
        raise Unreadable("a WAV file that is none")
    if name is None and is_told and subtype not in RAW:
        name = kind[:60]
    if name is not None:
        raise Unreadable(f"{name} where PCM or WAV was asked for")
    rate_hz, channels = told.get("rate", audio.RATE_HZ), told.get("channels", 1)
    _check(rate_hz, channels)
    whole = data[: len(data) // (2 * channels) * 2 * channels]
    order = _order(whole) if subtype.endswith("l16") else "<i2"
    return _mono(np.frombuffer(whole, order), rate_hz, channels)


def _parsed(media_type: str) -> tuple[str, dict[str, int]]:
    """The type, and those of its parameters that are numbers."""
    kind, *parameters = (part.strip() for part in media_type.lower().split(";"))
    told = {}
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        value = value.strip(' "')
        if value.isascii() and value.isdigit():
            told[name.strip()] = int(value[:9])
    return kind, told


def _order(data: bytes) -> str:
    """The byte order of L16: the network's by its RFC, but many send their own.

    The wrong one is noise: the right one is that in which neighbours are closer.
    """
    little, big = (np.frombuffer(data, order).astype(np.float32) for order in ("<i2", ">i2"))
    return "<i2" if np.abs(np.diff(little)).sum() < np.abs(np.diff(big)).sum() else ">i2"


def _wav(data: bytes) -> tuple[bytes, int, int]:
    """Samples (s16le), rate and channels of a WAV file."""
    place, shape = 12, None
    while data[8:12] == b"WAVE" and len(data) >= place + 8:
        name, size = struct.unpack_from("<4sI", data, place)
        place += 8
        if name == b"fmt " and len(data) >= place + 16:
            tag, channels, rate_hz, _, _, bits = struct.unpack_from("<HHIIHH", data, place)
            if tag not in (PCM, EXTENSIBLE) or bits != 16:
                raise Unreadable(f"a WAV file of {bits} bits (format {tag}), not of 16-bit PCM")
            _check(rate_hz, channels)
            shape = (rate_hz, channels)
        elif name == b"data" and shape is not None:
            rate_hz, channels = shape
            end = place + size if size else len(data)  # beyond the end is its end
            pcm = data[place:end]
            return pcm[: len(pcm) // (2 * channels) * 2 * channels], rate_hz, channels
        place += size + size % 2
    raise Unreadable("a WAV file that is none")


def _check(rate_hz: int, channels: int) -> None:
    if rate_hz not in RATES_HZ:
        raise Unreadable(f"sound at {rate_hz} Hz, a rate that is not read")
    if not 0 < channels <= MOST_CHANNELS:
        raise Unreadable(f"sound of {channels} channels")


def _mono(interleaved: NDArray[np.int16], rate_hz: int, channels: int) -> Float:
    mono = interleaved.reshape(-1, channels).mean(1, dtype=np.float32) / np.float32(32_768)
    return mono if rate_hz == audio.RATE_HZ else resample(mono, rate_hz, audio.RATE_HZ)
