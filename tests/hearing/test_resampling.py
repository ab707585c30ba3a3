"""24 kHz to 16 kHz: tones keep their pitch and height, what cannot be kept is gone."""

import numpy as np
import pytest

from duologue.hearing.resampling import CARRY_SAMPLES, WindowResampler, resample


def sine(hz: float, seconds: float = 0.5) -> np.ndarray:
    return np.sin(2 * np.pi * hz * np.arange(int(24_000 * seconds)) / 24_000) * 16_384


@pytest.mark.parametrize("hz", [100, 1000, 3000, 6000])
def test_an_utterance_keeps_its_tones(hz: float) -> None:
    out = resample(sine(hz).astype(np.int16).tobytes())
    assert len(out) == 8000
    expected = np.sin(2 * np.pi * hz * np.arange(8000) / 16_000) / 2
    assert np.abs(out[200:-200] - expected[200:-200]).max() < 0.01


def test_what_16_khz_cannot_hold_is_filtered_out() -> None:
    out = resample(sine(10_000).astype(np.int16).tobytes())
    assert np.abs(out[200:-200]).max() < 0.005


def test_an_odd_byte_and_nothing_at_all_are_no_fault() -> None:
    assert len(resample(b"\0")) == 0
    assert len(resample(b"\0" * 7)) == 2


@pytest.mark.parametrize("hz", [200, 1000, 3000])
def test_windows_join_without_a_seam(hz: float) -> None:
    sound = sine(hz, 0.4)[: 768 * 12].astype(np.float32)
    resampler = WindowResampler()
    carry = np.zeros(CARRY_SAMPLES, np.float32)
    pieces = []
    for start in range(0, len(sound), 768):
        window = np.concatenate([carry, sound[start : start + 768]])
        pieces.append(resampler(window[None])[0])
        carry = window[-CARRY_SAMPLES:]
    joined = np.concatenate(pieces)
    delay_s = CARRY_SAMPLES / 2 / 24_000
    expected = np.sin(2 * np.pi * hz * (np.arange(len(joined)) / 16_000 - delay_s)) / 2
    assert np.abs(joined[600:-600] - expected[600:-600]).max() < 0.02
