"""How much of a text has been voiced, for upstreams that do not say.

Words and sound of a reply come as two streams. Another duologue sends the words of each piece
of sound just before it; of any other upstream only the length of what came is known. Then the
voice is taken to be slow until a whole message has shown its pace: words whose sound has not
come must not be claimed.
"""

SLOW_CHARACTERS_PER_S = 10.0
"""Slower than nearly all speech in an alphabet."""


class Pace:
    """The pace of one talk's voice. `aligned`: words come with their sound."""

    def __init__(self, *, aligned: bool) -> None:
        self._aligned = aligned
        self._characters_per_s = SLOW_CHARACTERS_PER_S

    def voiced(self, characters: int, seconds: float) -> int:
        """Of `characters` that have come, those voiced once `seconds` of sound have played."""
        if self._aligned:
            return characters
        return min(characters, int(seconds * self._characters_per_s))

    def learn(self, characters: int, seconds: float) -> None:
        """A whole message was so long."""
        if characters and seconds > 1:
            self._characters_per_s = characters / seconds
