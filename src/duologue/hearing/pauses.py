"""Where speech pauses: 16 kHz sound in, the places where it may be cut out, in samples. Pure."""

import numpy as np
import numpy.typing as npt

from duologue.hearing.resampling import Samples

WINDOW = 800
"""Samples that loudness is measured over: 50 ms."""

VOICE_LEVEL = 0.1
"""A window is voice when it is louder than this share of the loud ones (-20 dB)."""

LEAST_PAUSE = 3200
LEAST_VOICE = 8000
"""A pause that sentences are heard apart at: 200 ms, with half a second of voice on both sides."""


def voice(sound: Samples) -> npt.NDArray[np.bool_]:
    """Whether each `WINDOW` of a sound is as loud as voice."""
    windows = sound[: len(sound) // WINDOW * WINDOW].reshape(-1, WINDOW)
    rms = np.sqrt((windows**2).mean(axis=1))
    return np.asarray(rms > VOICE_LEVEL * np.quantile(rms, 0.95))


def longest_pause(is_voice: npt.NDArray[np.bool_]) -> int:
    """The middle of the longest pause between two stretches of voice, 0 where there is none."""
    voiced = np.flatnonzero(is_voice)
    gaps = np.diff(voiced)
    enough = LEAST_VOICE // WINDOW
    inner = gaps[enough - 1 : len(gaps) - enough + 1]
    if not len(inner) or (inner.max() - 1) * WINDOW < LEAST_PAUSE:
        return 0
    before = enough - 1 + int(inner.argmax())
    return int(voiced[before] + 1 + voiced[before + 1]) * WINDOW // 2


def quiet_place(sound: Samples) -> int:
    """The middle of the quietest `WINDOW` of a stretch of sound."""
    windows = sound[: len(sound) // WINDOW * WINDOW].reshape(-1, WINDOW)
    return int(np.argmin((windows**2).mean(axis=1))) * WINDOW + WINDOW // 2
