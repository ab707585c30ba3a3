"""Sound from upstream: any cut, a few rates, headers or none."""

import base64
import struct

import numpy as np
import pytest

from duologue.engines.chat.sound import SoundReader, spoken_samples
from duologue.errors import EngineFault
from duologue.testing.chat_stand_in import sine, wav


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def read(*pieces: str, rate_hz: int | None = None) -> bytes:
    reader = SoundReader()
    return b"".join(reader.read(piece, rate_hz) for piece in pieces) + reader.flush()


PCM = sine(200, 24_000)


def test_bare_samples_come_through_as_they_are_however_the_text_is_cut() -> None:
    text = b64(PCM)
    for size in (1, 3, 7, 1001):
        assert read(*(text[n : n + size] for n in range(0, len(text), size))) == PCM


def test_pieces_may_end_within_a_sample() -> None:
    assert read(b64(PCM[:101]), b64(PCM[101:301]), b64(PCM[301:])) == PCM


def test_every_chunk_may_be_a_wav_file_of_its_own() -> None:
    assert read(b64(wav(PCM, 24_000)), b64(wav(PCM, 24_000))) == PCM + PCM


def test_one_wav_file_may_come_in_pieces_and_say_no_length() -> None:
    file = bytearray(wav(PCM, 24_000))
    struct.pack_into("<I", file, 40, 0xFFFF_FFFF)
    text = b64(bytes(file))
    assert read(text[:20], text[20:48], text[48:400], text[400:]) == PCM


def test_what_follows_the_samples_in_a_wav_file_is_not_played() -> None:
    assert read(b64(wav(PCM, 24_000) + b"LIST\x04\0\0\0abcd")) == PCM


def test_a_header_of_its_first_piece_only_does_not_silence_the_rest() -> None:
    assert read(b64(wav(PCM, 24_000)), b64(PCM)) == PCM + PCM


@pytest.mark.parametrize("rate_hz", [8000, 16_000, 22_050, 44_100, 48_000])
def test_other_rates_are_resampled_in_pieces_without_a_seam(rate_hz: int) -> None:
    pcm = sine(300, rate_hz)
    step = 2 * (rate_hz // 50)
    pieces = [b64(wav(pcm[n : n + step], rate_hz)) for n in range(0, len(pcm), step)]
    heard = np.frombuffer(read(*pieces), np.int16).astype(float)
    assert abs(len(heard) - 7200) <= 24 * 5
    spectrum = np.abs(np.fft.rfft(heard[480:-480] * np.hanning(len(heard) - 960)))
    tone_hz = np.argmax(spectrum) * 24_000 / (len(heard) - 960)
    assert abs(tone_hz - 220) < 5
    assert spectrum[np.arange(len(spectrum)) > 60].max() < spectrum.max() / 100


@pytest.mark.parametrize("in_header", [True, False])
def test_the_rate_may_change_in_the_middle(in_header: bool) -> None:
    """All is heard, at its pitch: 300 ms of each."""
    reader, heard = SoundReader(), b""
    for rate_hz in (16_000, 24_000, 48_000):
        pcm = sine(300, rate_hz)
        piece = wav(pcm, rate_hz) if in_header else pcm
        heard += reader.read(b64(piece), rate_hz)
    samples = np.frombuffer(heard + reader.flush(), np.int16).astype(float)
    assert abs(len(samples) - 3 * 7200) <= 240
    for n in range(3):
        part = samples[n * 7200 + 600 : n * 7200 + 6600] * np.hanning(6000)
        assert abs(np.argmax(np.abs(np.fft.rfft(part))) * 4 - 220) <= 4


def test_a_header_knows_better_than_what_stands_beside_it() -> None:
    reader = SoundReader()
    heard = [reader.read(b64(wav(PCM, 24_000)), 16_000), reader.read(b64(wav(PCM, 24_000)), 16_000)]
    assert b"".join(heard) + reader.flush() == PCM + PCM


def test_the_rate_may_stand_beside_the_sound() -> None:
    heard = read(b64(sine(300, 16_000)), rate_hz=16_000)
    assert abs(len(heard) // 2 - 7200) <= 120


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b64(wav(PCM, 24_001)), "24001 Hz"),
        (b64(b"OggS" + bytes(40)), "Ogg"),
        ("not base64!", "base64"),
        (b64(wav(PCM, 24_000).replace(b"fmt ", b"fmx ")), "format"),
        (b64(wav(PCM, 24_000)[:22] + b"\2\0" + wav(PCM, 24_000)[24:]), "2 channels"),
    ],
)
def test_sound_that_cannot_be_read_is_named(data: str, why: str) -> None:
    with pytest.raises(EngineFault, match=why):
        read(data)


def test_silence_is_not_counted_as_spoken() -> None:
    assert spoken_samples(bytes(48 * 100)) == 0
    assert spoken_samples(PCM + bytes(9600)) == 4800
    assert spoken_samples(b"") == 0
