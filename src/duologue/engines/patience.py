"""How long an upstream that says nothing is waited for: seconds waited in, a bound out.

Only time that was spent waiting for it counts: a reader may take its own between two events.
"""

SLOWEST_BYTES_PER_S = 64_000
"""What 24 kHz sound takes as base64: who carries it more slowly could not be listened to."""

MOMENT_S = 2.0
"""What the first event after a long wait has at least: its model is at work, not stuck."""


def carrying_s(size_bytes: int) -> float:
    """How long so many bytes may take on their way."""
    return size_bytes / SLOWEST_BYTES_PER_S


class Patience:
    """`timeout_s` of waiting, all of it again whenever the upstream gets on with its answer.

    Bytes are not enough: comments, empty lines and chunks without anything in them come from
    servers, and proxies before them, whose model is stuck. Those of an event that is still coming
    bring the time that they may take, and no more.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self.left_s = timeout_s
        self._has_moment = True

    def spend(self, waited_s: float) -> None:
        """Note that so long was waited."""
        self.left_s -= waited_s

    def begin(self) -> None:
        """An event begins to come. Once until the upstream gets on there is a moment for it."""
        if self._has_moment:
            self._has_moment = False
            self.left_s = max(self.left_s, min(MOMENT_S, self._timeout_s))

    def carried(self, size_bytes: int) -> None:
        """More of an event came."""
        self.left_s = min(self._timeout_s, self.left_s + carrying_s(size_bytes))

    def renew(self) -> None:
        """The upstream got on."""
        self.left_s = self._timeout_s
        self._has_moment = True
