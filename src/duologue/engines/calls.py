"""Which function calls of a server may be passed on: what was asked and what it calls in, a verdict
out. Pure.

What a reply was not to call (others than `tool_choice` names, a second one where one at a time
was asked for) is passed over. Any other call of what nobody has is a fault, as is an answer to its
end without the call that was required. Arguments must be a JSON object (`duologue.arguments`), and
are an empty one where there are none.
"""

from duologue.core.talk import Ask, Tool

UNCALLED = "answered without the function call that was required (tool_choice)"


def allowed(ask: Ask) -> list[Tool]:
    """The functions that a reply may call."""
    kind, _, name = ask.tool_choice.partition(":")
    if kind == "none":
        return []
    return [tool for tool in ask.tools if kind != "function" or tool.name == name]


def is_required(ask: Ask) -> bool:
    """Whether the reply must be a function call."""
    return bool(ask.tools) and ask.tool_choice not in ("auto", "none")


def is_wanted(ask: Ask, name: str, before: int) -> bool:
    """Whether a call is one to make, after so many `before`.

    `ValueError` for an unknown name, but of one too many no name matters.
    """
    if before and not ask.parallel_calls:
        return False
    if name not in {tool.name for tool in ask.tools}:
        raise ValueError(f"a call of a function that was not offered: {name[:64]!r}")
    return name in {tool.name for tool in allowed(ask)}
