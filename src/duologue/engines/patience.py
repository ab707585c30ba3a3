"""How long an upstream that says nothing is waited for: seconds waited in, a bound out.

Only time that was spent waiting for it counts: a reader may take its own between two events.
"""


class Patience:
    """`timeout_s` of waiting, all of it again whenever the upstream gets on with its answer.

    Bytes are not enough: comments, empty lines and chunks without anything in them come from
    servers, and proxies before them, whose model is stuck.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self.left_s = timeout_s

    def spend(self, waited_s: float) -> None:
        """Note that so long was waited."""
        self.left_s -= waited_s

    def renew(self) -> None:
        """The upstream got on."""
        self.left_s = self._timeout_s
