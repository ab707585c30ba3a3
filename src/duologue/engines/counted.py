"""What a server says a reply has cost, held against what it can have cost.

Its counts come in, whether they are believed goes out; where they are not, our own estimate
stands. They are what a client is billed, and what a key's limits are made of: one that is a
billion would lock the key out.
"""

import logging

log = logging.getLogger(__name__)

MOST_SHOWN = 10**12


class Counted:
    """Of one server, called `name` in the log, which is told once that it cannot be believed."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._told = False

    def is_believed(self, read: int, made: int, *, context_tokens: int, max_tokens: int) -> bool:
        """Whether `read` tokens fit into the window, and `made` into the limit of the reply."""
        if 0 < read <= context_tokens and 0 <= made <= max_tokens:
            return True
        if not self._told:
            self._told = True
            log.warning(
                "%s says that a reply read %d and made %d tokens, where %d and %d were the most: "
                "its usage is estimated here when it cannot be",
                self._name,
                min(read, MOST_SHOWN),
                min(made, MOST_SHOWN),
                context_tokens,
                max_tokens,
            )
        return False
