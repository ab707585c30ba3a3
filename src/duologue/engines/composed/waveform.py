"""The sound of one clause, from what the voice made to what is sent: edges and loudness.

In comes 24 kHz float sound, out goes s16le of the same rate.
"""

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 24_000

_WINDOW = RATE_HZ // 200  # 5 ms
_SILENT_DB = -48.0
"""Below this no listener hears anything at the level clauses are brought to."""
_LEAD_MS = 15
_TAIL_MS = 20
_FADE_MS = 5

_LEVEL_DB = -21.0
"""Loudness of speech, its gaps left out."""
_PEAK = 0.97

Float = NDArray[np.float32]


def trimmed(wave: Float, pause_ms: int) -> tuple[Float, int]:
    """The wave without its silent edges, and how many samples were cut from its beginning.

    15 ms are left before the first sound and 20 ms after the last, both faded against clicks;
    then comes `pause_ms` of digital silence. A wave without sound becomes the pause alone.
    """
    loud = np.flatnonzero(_levels_db(wave) > _SILENT_DB)
    pause = np.zeros(pause_ms * RATE_HZ // 1000, np.float32)
    if not len(loud):
        return pause, len(wave)
    start = max(0, int(loud[0]) * _WINDOW - _LEAD_MS * RATE_HZ // 1000)
    end = min(len(wave), int(loud[-1] + 1) * _WINDOW + _TAIL_MS * RATE_HZ // 1000)
    sound = wave[start:end].copy()
    fade = min(_FADE_MS * RATE_HZ // 1000, len(sound) // 2)
    ramp = np.linspace(0, 1, fade, endpoint=False, dtype=np.float32)
    sound[:fade] *= ramp
    sound[len(sound) - fade :] *= ramp[::-1]
    return np.concatenate([sound, pause]), start


def leveled(wave: Float) -> NDArray[np.int16]:
    """The wave as s16le at one loudness, never clipped."""
    powers = _powers(wave)
    speech = powers[powers > 10 ** (_SILENT_DB / 10)]
    gain = 1.0
    if len(speech):
        peak = float(np.abs(wave).max())
        gain = min(10 ** (_LEVEL_DB / 20) / float(np.sqrt(speech.mean())), _PEAK / peak)
    pcm: NDArray[np.int16] = np.rint(wave * np.float32(gain * 32767)).astype("<i2")
    return pcm


def _levels_db(wave: Float) -> Float:
    levels: Float = 10 * np.log10(_powers(wave) + 1e-12)
    return levels


def _powers(wave: Float) -> Float:
    whole = len(wave) // _WINDOW * _WINDOW
    powers: Float = np.square(wave[:whole].reshape(-1, _WINDOW)).mean(1)
    return powers
