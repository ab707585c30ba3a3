"""The functions that a reply may call: its ask in, `EngineFault` for what was not asked for out."""

from duologue.core.talk import Ask
from duologue.errors import EngineFault


class Offered:
    """See the module; those of one reply."""

    def __init__(self, ask: Ask) -> None:
        is_none = ask.tool_choice == "none"
        self._names = frozenset[str]() if is_none else {tool.name for tool in ask.tools}
        kind, _, name = ask.tool_choice.partition(":")
        self._required = name if kind == "function" else ""
        self.one_only = not ask.parallel_calls
        """Whether a second call is passed over."""
        self._must = bool(self._names) and ask.tool_choice != "auto"

    def check(self, name: str) -> None:
        """A call must be one of the tools, and the one that was required."""
        if name not in self._names:
            what = f"called a function that it was not offered: {name[:64]!r}"
            raise EngineFault(f"The upstream {what}.")
        if self._required and name != self._required:
            what = f"called {name} where {self._required} was required (tool_choice)"
            raise EngineFault(f"The upstream {what}.")

    def check_whole(self, calls: int) -> None:
        """A reply that came to its end has called, where that was required."""
        if self._must and not calls:
            what = "answered with words where a function call was required (tool_choice)"
            raise EngineFault(f"The upstream {what}.")
