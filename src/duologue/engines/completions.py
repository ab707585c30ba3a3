"""Tools and calls in the words of the chat-completions protocol: what every request of it shares.

What else an item becomes differs: a model that hears gets sound, one that reads gets words.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from duologue.core.talk import CallPart, Tool

Message = dict[str, Any]


def tool_of(tool: Tool) -> Message:
    """A tool as it is offered."""
    shown: Message = {
        "name": tool.name,
        "parameters": dict(tool.parameters) or {"type": "object", "properties": {}},
    }
    if tool.description:
        shown["description"] = tool.description
    return {"type": "function", "function": shown}


def tool_choice(choice: str) -> str | Message:
    """`Ask.tool_choice` as it is asked for."""
    kind, _, name = choice.partition(":")
    return {"type": "function", "function": {"name": name}} if kind == "function" else choice


def called(
    text: str, calls: Sequence[CallPart], results: Mapping[str | None, str], pending: str
) -> Iterator[Message]:
    """Calls in one message with what was said before them, and their results right behind.

    The protocol wants a result for each: `pending` stands where there is none.
    """
    yield {
        "role": "assistant",
        "content": text or None,
        "tool_calls": [
            {
                "id": call.call_id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments or "{}"},
            }
            for call in calls
        ],
    }
    for call in calls:
        content = results.get(call.call_id, pending)
        yield {"role": "tool", "tool_call_id": call.call_id, "content": content}
