"""How much of a reply's words has been voiced, where the upstream gives no timing.

Text and the length of its sound come in, a number of characters goes out. The estimate is
slow on purpose: a word must not count as heard before it sounded. How fast a voice really
speaks is learned from each reply that came to its end. Silences count where they are not told
apart, which makes it slower still.
"""

import unicodedata

SLOW_UNITS_PER_S = 10.0
"""Of a voice that is not known yet: 100 words a minute in English."""

LEARNED_UNITS_PER_S = (5.0, 30.0)
CAUTION = 0.95
LEAST_SPOKEN_S = 1.0
"""Of a reply from which a pace is learned."""

WIDE_UNITS = 3
"""A Chinese, Japanese or Korean character takes as long as three letters."""


class Pace:
    """The pace of one voice, for all its replies, in units (letters) a second."""

    def __init__(self) -> None:
        self.units_per_s = SLOW_UNITS_PER_S

    def learn(self, text: str, spoken_s: float) -> None:
        """Note how long the sound of a whole reply was, without its silences."""
        if spoken_s < LEAST_SPOKEN_S:
            return
        low, high = LEARNED_UNITS_PER_S
        pace = CAUTION * sum(map(_units, text)) / spoken_s
        # A slower reply counts at once, a faster one by halves.
        smooth = pace if pace < self.units_per_s else (pace + self.units_per_s) / 2
        self.units_per_s = max(low, min(smooth, high))


class Voiced:
    """Characters of one message that have been voiced."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self.text = ""
        self.spoken_s = 0.0
        self._chars = 0
        self._units = 0

    def say(self, text: str) -> None:
        """More text, which is yet to be voiced."""
        self.text += text

    def sound(self, spoken_s: float) -> int:
        """The characters that are voiced when so much more sound, silences apart, has played."""
        self.spoken_s += spoken_s
        reach = self.spoken_s * self._pace.units_per_s
        while self._chars < len(self.text):
            units = _units(self.text[self._chars])
            if self._units + units > reach:
                break
            self._units += units
            self._chars += 1
        return self._chars

    def end(self) -> int:
        """All of them: the reply is whole."""
        self._pace.learn(self.text, self.spoken_s)
        return len(self.text)


def _units(character: str) -> int:
    return WIDE_UNITS if unicodedata.east_asian_width(character) in "WF" else 1
