"""Items and an ask in, the messages and tools of a chat-completions request out. Pure.

The shapes are those of the hosted API, which every server of this kind takes. Their order is
strict there: a call must be followed by its result. A result that came late, or never, is
told in words instead, so that history is only ever added to and a server's prefix cache
keeps its use.

To a model that `hears`, the user's sound is sent as sound and its words, if any are known, are
not; what is sent once as sound stays sound until the window drops it, for the same reason.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

from duologue.core.talk import Ask, CallPart, Item, Part
from duologue.engines.completions import Message, called, input_audio, tool_choice, tool_of
from duologue.engines.sizes import AUDIO_TOKENS_PER_S, sound_tokens

SPOKEN = (
    "You are the voice of a live spoken conversation: what you write is spoken aloud. Answer "
    "in one or two short sentences, in plain words without lists, markdown or emoji, unless "
    "told otherwise below. (unintelligible) means that you could not hear; ask to repeat."
)
PENDING = "(The function has not answered yet; go on talking and do not call it again.)"
UNSEEN_IMAGE = "(an image that you cannot see)"

Content = str | list[Message]
"""Of a message: text alone is a string, for not every template takes a list."""

FRAME_TOKENS = 8
"""About what a message costs beside its words."""


def request(ask: Ask, items: Sequence[Item], *, hears: bool = False) -> dict[str, Any]:
    """`messages`, and `tools` with how they are to be called."""
    body: dict[str, Any] = {"messages": [*head(ask), *_joined(messages(items, hears=hears))]}
    if hears:  # some of these models have a voice of their own, which is not asked for
        body["modalities"] = ["text"]
    if ask.reasoning is not None:
        body["reasoning_effort"] = ask.reasoning
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


def messages(items: Sequence[Item], *, hears: bool = False) -> Iterator[Message]:
    """One message an item; calls in a row are one, their results follow it at once."""
    index = 0
    names = {item.call.call_id: item.call.name for item in items if item.call}
    while index < len(items):
        item = items[index]
        if item.call is None:
            yield from _message(item, names, hears=hears)
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
            joined[-1] = {**message, "content": _both(last["content"], message["content"])}
        else:
            joined.append(message)
    return joined


def _both(first: Content | None, second: Content | None) -> Content:
    """Two contents as one: text as long as there is nothing else, for older templates."""
    if isinstance(first, list) or isinstance(second, list):
        return [*_listed(first), *_listed(second)]
    return "\n".join(filter(None, (first, second)))


def _listed(content: Content | None) -> list[Message]:
    if isinstance(content, list):
        return content
    return [{"type": "text", "text": content}] if content else []


def _message(item: Item, names: dict[str, str], *, hears: bool) -> Iterator[Message]:
    text = text_of(item)
    if item.role == "result":
        name = names.get(item.call_id or "", "function")
        yield {"role": "user", "content": f"(The function {name} answered: {text})"}
    elif hears and is_heard(item):
        parts = ([input_audio(p.pcm)] if p.pcm else _listed(_words(p)) for p in item.parts)
        yield {"role": item.role, "content": list(chain.from_iterable(parts))}
    elif text:
        yield {"role": item.role, "content": text}


def text_of(item: Item) -> str:
    """The words of an item."""
    return " ".join(filter(None, map(_words, item.parts)))


def _words(part: Part) -> str:
    return part.text or (UNSEEN_IMAGE if part.image_url else "")


def is_heard(item: Item) -> bool:
    """Whether a model that hears gets sound of it: the user's is, what it said itself is text."""
    return item.role == "user" and any(part.pcm for part in item.parts)


def tokens(text: str) -> int:
    """About how many tokens a text has: rather too many, for no tokenizer is known here."""
    return -(-len(text.encode()) // 3)


def sizes(item: Item, *, hears: bool = False, per_s: float = AUDIO_TOKENS_PER_S) -> dict[str, int]:
    """About how many tokens an item has as a message, by modality; its frame is text.

    `per_s` are those of a second of sound, where the model `hears`.
    """
    if hears and is_heard(item):
        text = " ".join(_words(part) for part in item.parts if not part.pcm)
        sound = sum(sound_tokens(part.pcm, per_s) for part in item.parts if part.pcm)
        return {"text": tokens(text) + FRAME_TOKENS, "audio": sound}
    call = item.call.name + item.call.arguments if item.call else ""
    return {"text": tokens(call + text_of(item)) + FRAME_TOKENS}


def size(item: Item, *, hears: bool = False, per_s: float = AUDIO_TOKENS_PER_S) -> int:
    """About how many tokens an item has as a message."""
    return sum(sizes(item, hears=hears, per_s=per_s).values())


def head_size(ask: Ask) -> int:
    """About how many tokens stand before the history."""
    described = [json.dumps(tool_of(tool), ensure_ascii=False) for tool in ask.tools]
    return sum(tokens(message["content"]) + 8 for message in head(ask)) + sum(
        map(tokens, described)
    )
