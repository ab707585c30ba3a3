"""Real replies go first: a guess of any talk begins to think only while no reply is thinking.

One per engine. It orders beginnings only: a guess under way is short (a reply thinks a few
clauses ahead of its reader, no further) and is not stopped for others.
"""

import asyncio


class Precedence:
    """How many real replies are thinking, and which guesses wait until there is none."""

    def __init__(self) -> None:
        self._real = 0
        self._waiting: set[asyncio.Event] = set()

    def begin(self) -> None:
        """A real reply begins to think."""
        self._real += 1

    def end(self) -> None:
        """A real reply has thought to its end, or was stopped."""
        self._real -= 1
        if not self._real:
            for go in self._waiting:
                go.set()

    async def wait(self, go: asyncio.Event) -> None:
        """Wait until no real reply thinks, or the guess is adopted: its owner then sets `go`."""
        while self._real and not go.is_set():
            self._waiting.add(go)
            try:
                await go.wait()
            finally:
                self._waiting.discard(go)
