"""Sounds that tests speak with."""

import numpy as np

from duologue.talk_client.recording import RATE_HZ


def tone(ms: int, amplitude: int = 8000, rate_hz: int = RATE_HZ) -> bytes:
    """A sine of 220 Hz."""
    time_s = np.arange(ms * rate_hz // 1000) / rate_hz
    return (amplitude * np.sin(2 * np.pi * 220 * time_s)).astype("<i2").tobytes()


def silence(ms: int) -> bytes:
    return bytes(ms * RATE_HZ // 1000 * 2)
