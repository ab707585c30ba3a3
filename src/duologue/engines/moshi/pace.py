"""What a step takes lately: whether the machine keeps up, and may let somebody in.

    clock ──note(took, now)──► Pace ──step_s(now)──► lease

Pure, with time as an argument (seconds of any clock that only goes on).
"""

from collections import deque
from statistics import median

MEASURED_STEPS = 25
FRESH_S = 5.0
"""What was measured before a pause as long as this says nothing about now: the machine had other
things to do then, or has none now."""


class Pace:
    """The latest steps, as long as they follow one another."""

    def __init__(self) -> None:
        self._steps_s: deque[float] = deque(maxlen=MEASURED_STEPS)
        self._noted_s = 0.0

    def note(self, took_s: float, now_s: float) -> None:
        """A step has ended now."""
        self._forget_old(now_s - took_s)
        self._steps_s.append(took_s)
        self._noted_s = now_s

    def step_s(self, now_s: float) -> float:
        """What a step takes; 0 where too little is known."""
        self._forget_old(now_s)
        return median(self._steps_s) if len(self._steps_s) == MEASURED_STEPS else 0.0

    def clear(self) -> None:
        """Nothing is known any more."""
        self._steps_s.clear()

    def _forget_old(self, now_s: float) -> None:
        if now_s - self._noted_s > FRESH_S:
            self.clear()
