"""Quiet: a window of sound in which nobody can be speaking, whatever a model says of it.

A window in, yes or no out. It is asked thirty times a second of every line.
"""

import numpy as np

QUIET_PEAK = 100
"""A window with no sample beyond this (-50 dBFS) is quiet."""


def is_quiet(window: bytes) -> bool:
    """Whether no sample of s16le `window` is beyond `QUIET_PEAK`."""
    # High bytes of some samples tell most loud windows: of -256 to 255 they are one of two.
    if window[1::64].strip(b"\x00\xff"):
        return False
    samples = np.frombuffer(window, np.int16)
    return bool(samples.max() <= QUIET_PEAK and samples.min() >= -QUIET_PEAK)
