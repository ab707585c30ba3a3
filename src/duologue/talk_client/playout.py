"""When each sample of an answer is heard: deltas arrive early, a loudspeaker plays in time."""

import numpy as np

from duologue.talk_client.recording import RATE_HZ

SOUND = 300
"""Samples beyond this (about -41 dB of full scale) can be heard."""


class Playout:
    """A loudspeaker on paper: sound starts as it arrives, or after what came before it."""

    def __init__(self) -> None:
        self.ends = 0.0
        """When the last sample so far has been played, in the clock of `now`."""
        self.first_sound: float | None = None
        """When the first sample that can be heard is played."""

    def add(self, pcm: bytes, now: float) -> None:
        """Sound arrived at `now`, in monotonic seconds."""
        starts = max(now, self.ends)
        self.ends = starts + len(pcm) / 2 / RATE_HZ
        if self.first_sound is None:
            audible = np.abs(np.frombuffer(pcm, "<i2").astype(np.int32)) > SOUND
            if audible.any():
                self.first_sound = starts + float(audible.argmax()) / RATE_HZ
