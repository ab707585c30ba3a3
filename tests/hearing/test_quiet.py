"""Quiet: every sample counts, at whichever place."""

import numpy as np
import pytest

from duologue.hearing.quiet import QUIET_PEAK, is_quiet


@pytest.mark.parametrize("place", [0, 1, 31, 32, 500, 767])
@pytest.mark.parametrize("sign", [1, -1])
def test_one_sample_beyond_the_peak_is_enough(place: int, sign: int) -> None:
    window = np.zeros(768, np.int16)
    assert is_quiet(window.tobytes())
    for peak, quiet in ((QUIET_PEAK, True), (QUIET_PEAK + 1, False), (20_000, False)):
        window[place] = sign * peak
        assert is_quiet(window.tobytes()) is quiet
