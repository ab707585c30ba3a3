"""Resampling of streams: no seams, nothing lost, nothing folded back into the voice."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from duologue.audio.resampling import Resampler, Samples, resample, to_s16

PAIRS = [(8000, 24_000), (24_000, 8000), (24_000, 48_000), (48_000, 24_000)]


def tone(hz: float, rate_hz: int, seconds: float = 1.0) -> Samples:
    times = np.arange(int(seconds * rate_hz)) / rate_hz
    return np.sin(2 * np.pi * hz * times).astype(np.float32)


def level_db(samples: Samples) -> float:
    middle = samples[len(samples) // 4 : -len(samples) // 4]
    return float(10 * np.log10(np.mean(middle**2) * 2 + 1e-12))


@pytest.mark.parametrize(("from_hz", "to_hz"), PAIRS)
@settings(max_examples=20)
@given(sizes=st.lists(st.integers(0, 700), max_size=12))
def test_where_a_stream_is_cut_cannot_be_heard(from_hz: int, to_hz: int, sizes: list[int]) -> None:
    sound = tone(440, from_hz)[: sum(sizes)]
    whole = Resampler(from_hz, to_hz).push(sound)
    stream = Resampler(from_hz, to_hz)
    pieces = [stream.push(piece) for piece in np.split(sound, np.cumsum(sizes)[:-1])]
    together = np.concatenate([*pieces, np.zeros(0, np.float32)])
    assert len(together) == len(whole) == len(sound) * to_hz // from_hz
    assert np.allclose(together, whole, atol=1e-5)


@pytest.mark.parametrize(("from_hz", "to_hz"), PAIRS)
def test_a_voice_keeps_its_shape_and_its_place(from_hz: int, to_hz: int) -> None:
    wanted = tone(1000, to_hz)
    heard = resample(tone(1000, from_hz), from_hz, to_hz)
    assert len(heard) == len(wanted)
    assert np.abs(heard - wanted)[to_hz // 100 : -to_hz // 100].max() < 0.002


@pytest.mark.parametrize(("from_hz", "to_hz"), PAIRS)
def test_a_stream_lags_by_its_delay_alone(from_hz: int, to_hz: int) -> None:
    stream = Resampler(from_hz, to_hz)
    lag = stream.delay_samples * to_hz // from_hz
    heard = stream.push(tone(300, from_hz))[lag:]
    assert np.abs(heard - tone(300, to_hz)[: len(heard)])[to_hz // 50 :].max() < 0.002
    assert stream.delay_samples / from_hz <= 0.002


@pytest.mark.parametrize("hz", [300, 1000, 2000, 3400])
def test_what_a_telephone_carries_passes(hz: int) -> None:
    assert abs(level_db(resample(tone(hz, 24_000), 24_000, 8000))) < 0.1


@pytest.mark.parametrize("hz", [4400, 5000, 6500, 8000, 11_000])
def test_what_a_telephone_cannot_carry_is_not_folded_into_it(hz: int) -> None:
    assert level_db(resample(tone(hz, 24_000), 24_000, 8000)) < -55


def test_loud_samples_are_clipped_not_wrapped() -> None:
    loud = np.array([40_000, -40_000, 0.6, -0.6], np.float32)
    assert to_s16(loud).tolist() == [32_767, -32_768, 1, -1]


@pytest.mark.parametrize(
    ("from_hz", "to_hz"), [(24_001, 24_000), (767_999, 24_000), (0, 24_000), (24_000, -1)]
)
def test_rates_that_would_take_the_machine_are_refused(from_hz: int, to_hz: int) -> None:
    with pytest.raises(ValueError, match="Hz"):
        resample(tone(440, 24_000), from_hz, to_hz)
