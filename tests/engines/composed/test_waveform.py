"""The edges and the loudness of a clause's sound."""

import numpy as np
import pytest

from duologue.engines.composed.waveform import RATE_HZ, leveled, trimmed


def tone(seconds: float, amplitude: float) -> np.ndarray:
    at = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    return (amplitude * np.sin(2 * np.pi * 200 * at)).astype(np.float32)


def silence(seconds: float) -> np.ndarray:
    return np.zeros(int(seconds * RATE_HZ), np.float32)


def test_silent_edges_become_a_short_lead_and_the_pause_asked_for() -> None:
    wave = np.concatenate([silence(0.3), tone(0.5, 0.1), silence(0.4)])
    sound, cut = trimmed(wave, 120)
    assert cut == pytest.approx(0.285 * RATE_HZ, abs=2)
    assert len(sound) == pytest.approx((0.015 + 0.5 + 0.02 + 0.12) * RATE_HZ, abs=130)
    assert not sound[-int(0.12 * RATE_HZ) :].any()


def test_sound_that_begins_at_once_is_faded_in_and_out() -> None:
    sound, cut = trimmed(tone(0.2, 0.5) + np.float32(0.3), 0)
    assert cut == 0
    assert abs(sound[0]) < 0.01
    assert abs(sound[-1]) < 0.01
    assert np.abs(np.diff(sound)).max() < 0.05


@pytest.mark.parametrize("wave", [silence(0.2), silence(0)])
def test_a_wave_without_sound_is_the_pause_alone(wave: np.ndarray) -> None:
    sound, cut = trimmed(wave, 50)
    assert (len(sound), cut) == (1200, len(wave))
    assert not leveled(sound).any()


def test_quiet_and_loud_clauses_come_out_alike_and_unclipped() -> None:
    quiet, loud = (leveled(tone(0.3, amplitude)) for amplitude in (0.02, 0.6))
    assert np.abs(quiet).max() == pytest.approx(np.abs(loud).max(), rel=0.01)
    click = tone(0.3, 0.05)
    click[100] = 1.0
    assert np.abs(leveled(click).astype(int)).max() <= 0.97 * 32767 + 1
