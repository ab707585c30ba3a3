"""A talk whose memory is the log of what it was told: what an engine of others may begin from.

Notes come in and edit the log; `read` gives what one reply is made from, cut to the model's window.
Left to write is `reply`. This is for models that are given the whole history each time; one that
keeps it in a state of its own is a `Talk` of its own.
"""

from collections.abc import Callable

from duologue.core.talk import Ask, Item
from duologue.engines.history import History
from duologue.engines.window import Window


class LogTalk:
    """All of `Talk` but `reply`. Whoever reads ahead or leases something overrides the rest."""

    def __init__(self) -> None:
        self.history = History()
        self.window = Window()

    def configure(self, ask: Ask) -> None:
        """Nothing is read ahead."""

    async def admit(self, ask: Ask) -> None:
        """Whether instructions and tools leave room shows when it replies."""

    def expect(self, item: Item | None) -> None:
        """Nothing is begun early."""

    def put(self, item: Item, after: str | None = None) -> None:
        """See `Talk.put`."""
        self.history.put(item, after)

    def drop(self, item_id: str) -> None:
        """See `Talk.drop`."""
        self.history.drop(item_id)
        self.window.forget(item_id)

    def cut(self, item_id: str, end_ms: int, text: str) -> None:
        """See `Talk.cut`."""
        self.history.cut(item_id, text)

    def read(self, ask: Ask, room_tokens: int, size: Callable[[Item], int]) -> list[Item]:
        """The items that a reply by `ask` is made from: at most `room_tokens` by `size`.

        They are those of the conversation or, in its place, `ask.context`; only a reply that is
        kept moves the window. Raises `EngineFault` with the code `context_length_exceeded`.
        """
        if ask.context is not None:
            return Window().fit(ask.context, room_tokens, ask.truncation, size)
        window = self.window if ask.keep else self.window.copy()
        return window.fit(self.history.items, room_tokens, ask.truncation, size)

    async def aclose(self) -> None:
        """Nothing is leased."""
