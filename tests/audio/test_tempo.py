"""Faster and slower speech: its length, its pitch, and no seam between pieces."""

import numpy as np
import pytest

from duologue.audio import pcm as audio
from duologue.audio.tempo import Tempo


def sine(hz: int, seconds: float) -> bytes:
    turns = hz * np.arange(int(seconds * audio.RATE_HZ)) / audio.RATE_HZ
    return bytes((8000 * np.sin(2 * np.pi * turns)).astype("<i2").tobytes())


def through(pcm: bytes, speed: float, step: int) -> bytes:
    tempo = Tempo(speed)
    pieces = [tempo.push(pcm[start : start + step]) for start in range(0, len(pcm), step)]
    return b"".join([*pieces, tempo.flush()])


@pytest.mark.parametrize("speed", [0.25, 0.5, 0.8, 1.2, 1.5])
def test_the_length_changes_and_the_pitch_does_not(speed: float) -> None:
    pcm = sine(220, 3)
    samples = np.frombuffer(through(pcm, speed, 4800), np.int16)
    wanted = audio.samples(pcm) / speed
    assert abs(len(samples) - wanted) < 0.1 * audio.RATE_HZ
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    assert spectrum.argmax() * audio.RATE_HZ / len(samples) == pytest.approx(220, abs=1)


def test_what_comes_out_does_not_depend_on_how_it_was_cut() -> None:
    pcm = sine(330, 1)
    assert through(pcm, 1.3, 960) == through(pcm, 1.3, len(pcm))


def test_a_stream_without_sound_has_none() -> None:
    tempo = Tempo(1.5)
    assert tempo.push(b"") == b"" and tempo.flush() == b""
