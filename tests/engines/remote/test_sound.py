"""What a voice's server may answer with, and what is refused by its name."""

import itertools
import struct

import numpy as np
import pytest

from duologue.engines.remote.sound import RATES_HZ, Unreadable, samples

CLOSE = 320
"""What one sample's shift makes of 200 Hz this loud: a whole sound lies right to within that."""

TONE = (np.sin(2 * np.pi * 200 * np.arange(24_000) / 24_000) * 6000).astype("<i2")


def tone(rate_hz: int, order: str = "<i2", channels: int = 1) -> bytes:
    """A second of 200 Hz."""
    wave = np.sin(2 * np.pi * 200 * np.arange(rate_hz) / rate_hz) * 6000
    return np.repeat(wave.astype(order), channels).tobytes()


def header(rate_hz: int, size: int, *, channels: int = 1, bits: int = 16, tag: int = 1) -> bytes:
    shape = struct.pack("<HHIIHH", tag, channels, rate_hz, rate_hz * 2 % 2**32, 2 * channels, bits)
    return b"".join(
        (
            *(b"RIFF", struct.pack("<I", 0xFFFF_FFFF), b"WAVE"),
            *(b"LIST", struct.pack("<I", 3), b"abc\0"),
            *(b"fmt ", struct.pack("<I", len(shape)), shape),
            *(b"data", struct.pack("<I", size)),
        )
    )


def difference(data: bytes, media_type: str) -> float:
    """How far it is from the tone, at most, on the scale of s16."""
    got = samples(data, media_type) * 32_768
    assert len(got) == len(TONE)
    return float(np.abs(got - TONE)[500:-500].max())


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (tone(24_000), "audio/pcm"),
        (tone(24_000), ""),
        (tone(24_000), "application/octet-stream"),
        (tone(24_000) + b"\1", "audio/pcm"),
        (tone(16_000), "audio/pcm;rate=16000"),
        (tone(22_050, channels=2), 'audio/PCM; channels=2; rate="22050"; bits'),
        (tone(16_000, ">i2"), "audio/L16; rate=16000; channels=1"),
        (tone(24_000, "<i2"), "audio/L16;codec=pcm;rate=24000"),
        (header(24_000, 48_000) + tone(24_000) + b"LISTen", "audio/wav"),
        (header(24_000, 0) + tone(24_000), "audio/wav"),
        (header(24_000, 0xFFFF_FFFF) + tone(24_000), "audio/x-wav"),
        (header(44_100, 0, tag=0xFFFE, channels=2) + tone(44_100, channels=2), "audio/mpeg"),
    ],
    ids=itertools.count(),
)
def test_pcm_and_wav_are_read_at_the_rate_that_is_told(data: bytes, media_type: str) -> None:
    assert difference(data, media_type) < CLOSE


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_every_rate_that_voices_have_is_read(rate_hz: int) -> None:
    data = header(rate_hz, 0) + tone(rate_hz)
    assert difference(data, "audio/wav") < CLOSE


@pytest.mark.parametrize(
    ("data", "media_type", "name"),
    [
        (b"ID3\x04more", "audio/pcm", "MP3 where"),
        (b"\xff\xfb\x90\x00" * 9, "application/octet-stream", "MP3 where"),
        (b"\xff\xf2\x90\x00" * 9, "", "MP3 where"),
        (b"\xff\xf1\x50\x80" * 9, "", "AAC where"),
        (b"\xff\xf1\x50\x80" * 9, "audio/aac", "audio/aac where"),
        (b"\x1aE\xdf\xa3more", "audio/pcm", "WebM where"),
        (b"....more", "audio/webm; codecs=opus", "audio/webm where"),
        (b"....more", "audio/mpeg", "audio/mpeg where"),
        (b"OggS....", "audio/pcm", "Ogg where"),
        (b"fLaC....", "audio/pcm", "FLAC where"),
        (b"\0\0\0\x18ftypM4A ", "audio/pcm", "MP4 where"),
        (tone(8000), "audio/pcm;rate=24001", "24001 Hz"),
        (tone(8000), "audio/pcm;rate=0", "0 Hz"),
        (tone(8000), "audio/pcm;channels=0", "0 channels"),
        (tone(8000), "audio/wav", "WAV file that is none"),
        (header(24_001, 0) + tone(8000), "audio/wav", "24001 Hz"),
        (header(767_999, 0) + tone(8000), "audio/wav", "767999 Hz"),
        (header(0, 0) + tone(8000), "audio/wav", "0 Hz"),
        (header(24_000, 0, channels=0) + tone(8000), "audio/wav", "0 channels"),
        (header(24_000, 0, bits=8) + tone(8000), "audio/wav", "8 bits"),
        (header(24_000, 0, tag=3) + tone(8000), "audio/wav", "format 3"),
        (header(24_000, 0)[:40], "audio/wav", "WAV file that is none"),
        (b"RIFF\0\0\0\0AVI more", "audio/wav", "WAV file that is none"),
    ],
    ids=itertools.count(),
)
def test_what_would_be_noise_is_refused_by_its_name(
    data: bytes, media_type: str, name: str
) -> None:
    with pytest.raises(Unreadable, match=name):
        samples(data, media_type)


def test_samples_that_look_like_a_frame_are_samples_where_the_type_says_so() -> None:
    assert len(samples(b"\xff\xfb\x90\x00" * 9, "audio/pcm")) == 18
