"""The prompt: an ask and the history in, ChatML text out, and out of that as little as need be.

What the mind has read once stays in its cache as long as the prompt goes on from there, so
rendering is append-only: the prompt of a turn begins with the whole prompt and reply of the
turn before, unless history was edited. `Prompts` trims a history that has grown too long in
one large step and keeps that cut for the turns that follow.

Words of users and tools cannot end their own message: control tokens are broken up.
"""

import json
from collections.abc import Callable, Iterable, Sequence

from duologue.core.talk import Ask, Item, Tool
from duologue.engines.light.examples import PLAIN_EXAMPLES, TOOL_EXAMPLES

RULES = (
    "You are the voice of a live spoken conversation. Answer in one short sentence, two at "
    "most, in plain words without lists or markdown, and begin with a few words that can "
    "stand alone. You can only talk: you have no clock, no calendar, no internet, no location "
    "and no devices. Asked for the time, the date, the weather, news or anything of the "
    "moment, or to do something, say that you can't. Never claim to have done anything. "
    "(unintelligible) means that you could not hear; ask to repeat."
)
TOOL_RULES = (
    "You have these functions, and with them you can know and do more than talk:\n{tools}\n"
    "When one of them fits the request, even loosely, call it instead of saying that you "
    'can\'t: reply with only {{"name":...,"arguments":{{...}}}}, one per line if several are '
    "needed. For greetings, small talk and general knowledge, just answer in words and call "
    "nothing."
)
PENDING = "The function {names} has not answered yet; go on talking and do not call it again."
REQUIRED = "Call one of the functions now."

STOP = ("<|im_end|>", "<|im_start|>", "<|endoftext|>")
BEGIN, END = "<|im_start|>", "<|im_end|>\n"

KEPT_SHARE = 0.5
"""What is left of the room for history after it was trimmed."""


class Prompts:
    """The prompts of one talk. `count` gives the tokens of a text, `context_tokens` the room."""

    def __init__(self, count: Callable[[str], int], context_tokens: int) -> None:
        self._count = count
        self._context_tokens = context_tokens
        self._first_id: str | None = None

    def render(self, ask: Ask, items: Sequence[Item], reply_tokens: int) -> str:
        """The whole prompt, up to where the assistant speaks; room is left for its reply."""
        head = _head(ask)
        items = self._fit(head, items, reply_tokens)
        return head + "".join(_messages(items)) + _nudge(ask, items) + f"{BEGIN}assistant\n"

    def ahead(self, ask: Ask, items: Sequence[Item], reply_tokens: int) -> str:
        """What the next prompt will begin with, whatever the user says next."""
        head = _head(ask)
        items = self._fit(head, items, reply_tokens)
        return head + "".join(_messages(items)) + f"{BEGIN}user\n"

    def _fit(self, head: str, items: Sequence[Item], reply_tokens: int) -> Sequence[Item]:
        items = self._from_cut(items)
        room = self._context_tokens - reply_tokens - self._count(head) - 64
        sizes = [self._count(text) + 8 for text in map(_plain, items)]
        if sum(sizes) <= room:
            return items
        kept = sum(sizes)
        start = 0
        while start < len(items) - 1 and (kept > room * KEPT_SHARE or _is_half(items[start])):
            kept -= sizes[start]
            start += 1
        self._first_id = items[start].id
        return items[start:]

    def _from_cut(self, items: Sequence[Item]) -> Sequence[Item]:
        for index, item in enumerate(items):
            if item.id == self._first_id:
                return items[index:]
        return items


def _is_half(item: Item) -> bool:
    """A result must not be the first of what is kept: its call would be gone."""
    return item.role == "result"


def _plain(item: Item) -> str:
    return item.call.name + item.call.arguments if item.call else _text(item)


def _text(item: Item) -> str:
    parts = [
        p.text or ("(an image that you cannot see)" if p.image_url else "") for p in item.parts
    ]
    return guard(" ".join(filter(None, parts)))


def guard(text: str) -> str:
    """`text` without control tokens: it can say them, not use them."""
    return text.replace("<|", "< |").replace("|>", "| >")


def _message(role: str, text: str) -> str:
    return f"{BEGIN}{role}\n{text}{END}"


def _examples(examples: Sequence[tuple[str, str]]) -> str:
    return "".join(_message("user", u) + _message("assistant", a) for u, a in examples)


COMMON = _message("system", RULES) + _examples(PLAIN_EXAMPLES)
"""How every prompt begins, whatever the session: read once, before any session is there."""


def _head(ask: Ask) -> str:
    """What stands before the history: what is common, the session's instructions, its tools."""
    instructions = guard(ask.instructions.strip())
    if not ask.tools or ask.tool_choice == "none":
        return COMMON + (_message("system", instructions) if instructions else "")
    tools = TOOL_RULES.format(tools="\n".join(guard(_tool_line(tool)) for tool in ask.tools))
    both = f"{instructions}\n\n{tools}" if instructions else tools
    return COMMON + _message("system", both) + _examples(TOOL_EXAMPLES)


def _tool_line(tool: Tool) -> str:
    known = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return json.dumps(known, separators=(",", ":"), ensure_ascii=False)


def _messages(items: Iterable[Item]) -> Iterable[str]:
    """One message an item; what the assistant said and called in a row is one message."""
    names = {item.call.call_id: item.call.name for item in items if item.call}
    said: list[str] = []
    for item in items:
        if item.role in ("assistant", "call"):
            text = _call_line(item) if item.call else _text(item)
            if text:
                said.append(text)
            continue
        if said:
            yield _message("assistant", "\n".join(said))
            said = []
        if item.role == "result":
            name = names.get(item.call_id or "", "function")
            yield _message("user", f"(The function {name} answered: {_text(item)})")
        elif text := _text(item):
            yield _message(item.role, text)
    if said:
        yield _message("assistant", "\n".join(said))


def _call_line(item: Item) -> str:
    assert item.call is not None
    return f'{{"name":{json.dumps(item.call.name)},"arguments":{guard(item.call.arguments)}}}'


def _nudge(ask: Ask, items: Sequence[Item]) -> str:
    """What the model must know just now and history need not keep."""
    answered = {item.call_id for item in items if item.role == "result"}
    pending = [i.call.name for i in items if i.call and i.call.call_id not in answered]
    notes = [PENDING.format(names=", ".join(pending))] if pending else []
    if ask.tools and ask.tool_choice not in ("auto", "none"):
        notes.append(REQUIRED)
    return "".join(_message("system", note) for note in notes)
