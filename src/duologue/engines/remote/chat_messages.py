"""Items and an ask in, the messages and tools of a chat-completions request out. Pure.

The shapes are those of the hosted API, which every server of this kind takes. Their order is
strict there: a call must be followed by its result. A result that came late, or never, is
told in words instead, so that history is only ever added to and a server's prefix cache
keeps its use.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from duologue.core.talk import Ask, CallPart, Item
from duologue.engines.completions import Message, called, tool_choice, tool_of

SPOKEN = (
    "You are the voice of a live spoken conversation: what you write is spoken aloud. Answer "
    "in one or two short sentences, in plain words without lists, markdown or emoji, unless "
    "told otherwise below. (unintelligible) means that you could not hear; ask to repeat."
)
PENDING = "(The function has not answered yet; go on talking and do not call it again.)"
UNSEEN_IMAGE = "(an image that you cannot see)"

FRAME_TOKENS = 8
"""About what a message costs beside its words."""


def request(ask: Ask, items: Sequence[Item]) -> dict[str, Any]:
    """`messages`, and `tools` with how they are to be called."""
    body: dict[str, Any] = {"messages": [*head(ask), *_joined(messages(items))]}
    if ask.tools:
        body["tools"] = [tool_of(tool) for tool in ask.tools]
        body["tool_choice"] = tool_choice(ask.tool_choice)
        if not ask.parallel_calls:
            body["parallel_tool_calls"] = False
    return body


def head(ask: Ask) -> list[Message]:
    """One system message, for templates that know no second."""
    rules = SPOKEN if ask.speak else ""
    text = "\n\n".join(filter(None, (rules, ask.instructions.strip())))
    return [{"role": "system", "content": text}] if text else []


def messages(items: Sequence[Item]) -> Iterator[Message]:
    """One message an item; calls in a row are one, their results follow it at once."""
    index = 0
    names = {item.call.call_id: item.call.name for item in items if item.call}
    while index < len(items):
        item = items[index]
        if item.call is None:
            yield from _message(item, names)
            index += 1
            continue
        calls: list[CallPart] = []
        results: dict[str | None, str] = {}
        while index < len(items) and (item := items[index]).role in ("call", "result"):
            if item.call is not None:
                if results:
                    break
                calls.append(item.call)
            elif item.call_id in {call.call_id for call in calls}:
                results[item.call_id] = text_of(item)
            else:
                break
            index += 1
        yield from called("", calls, results, PENDING)


def _joined(messages: Iterable[Message]) -> list[Message]:
    """What one side said in a row is one message: many templates want the sides to alternate."""
    joined: list[Message] = []
    for message in messages:
        last = joined[-1] if joined else {}
        if message["role"] == last.get("role") != "tool" and "tool_calls" not in last:
            texts = filter(None, (last["content"], message["content"]))
            joined[-1] = {**message, "content": "\n".join(texts)}
        else:
            joined.append(message)
    return joined


def _message(item: Item, names: dict[str, str]) -> Iterator[Message]:
    text = text_of(item)
    if item.role == "result":
        name = names.get(item.call_id or "", "function")
        yield {"role": "user", "content": f"(The function {name} answered: {text})"}
    elif text:
        yield {"role": item.role, "content": text}


def text_of(item: Item) -> str:
    """The words of an item."""
    parts = [part.text or (UNSEEN_IMAGE if part.image_url else "") for part in item.parts]
    return " ".join(filter(None, parts))


def tokens(text: str) -> int:
    """About how many tokens a text has: rather too many, for no tokenizer is known here."""
    return -(-len(text.encode()) // 3)


def size(item: Item) -> int:
    """About how many tokens an item has as a message, its frame included."""
    call = item.call.name + item.call.arguments if item.call else ""
    return tokens(call + text_of(item)) + FRAME_TOKENS


def head_size(ask: Ask) -> int:
    """About how many tokens stand before the history."""
    described = [json.dumps(tool_of(tool), ensure_ascii=False) for tool in ask.tools]
    return sum(tokens(message["content"]) + 8 for message in head(ask)) + sum(
        map(tokens, described)
    )
