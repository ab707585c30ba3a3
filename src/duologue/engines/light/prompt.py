"""The prompt: an ask and the history in, ChatML text out, and out of that as little as need be.

What the mind has read once stays in its cache as long as the prompt goes on from there, so
rendering is append-only: the prompt of a turn begins with the whole prompt and reply of the
turn before, unless history was edited or cut. `Prompts` measures what there is and leaves the
cutting of a history that has grown too long to the `Window`.

Words of users and tools cannot end their own message: control tokens are broken up.
"""

import json
import threading
from collections.abc import Callable, Iterable, Sequence, Set

from duologue.core.talk import Ask, Example, Item, Tool
from duologue.engines.light.examples import (
    KNOWLEDGE_EXAMPLES,
    LONG_EXAMPLES,
    PLAIN_EXAMPLES,
    TOOL_EXAMPLES,
)
from duologue.engines.window import Window, too_long

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
    "needed. For greetings{talk}, just answer in words and call nothing."
)
PENDING = "The function {names} has not answered yet; go on talking and do not call it again."
REQUIRED = "Call one of the functions now."

STOP = ("<|im_end|>", "<|im_start|>", "<|endoftext|>")
BEGIN, END = "<|im_start|>", "<|im_end|>\n"

OPENING = f"{BEGIN}assistant\n"
MARGIN_TOKENS = 2
"""For what a model's tokenizer puts before every prompt."""


class Prompts:
    """The prompts of one talk. `count` gives the tokens of a text, `context_tokens` the room.

    Rendering measures text, which takes time: it is done in worker threads, one at a time.
    Raises `EngineFault` with the code `context_length_exceeded` where a prompt cannot fit.
    """

    def __init__(
        self, count: Callable[[str], int], context_tokens: int, window: Window | None = None
    ) -> None:
        self._count = count
        self._context_tokens = context_tokens
        self._window = window or Window()
        self._lock = threading.Lock()

    def copy(self) -> "Prompts":
        """Prompts for a reply that leaves no trace: the same cut, moved by nobody else."""
        return Prompts(self._count, self._context_tokens, self._window.copy())

    @property
    def dropped(self) -> Set[str]:
        """See `Window.dropped`."""
        return self._window.dropped

    def forget(self, item_id: str) -> None:
        """An item was deleted."""
        with self._lock:
            self._window.forget(item_id)

    def render(self, ask: Ask, items: Sequence[Item], reply_tokens: int) -> str:
        """The whole prompt, up to where the assistant speaks; room is left for its reply."""
        head = _head(ask)
        items = self._fit(head, ask, items, reply_tokens)
        return head + "".join(_messages(items)) + _nudge(ask, items) + OPENING

    def ahead(self, ask: Ask, items: Sequence[Item], reply_tokens: int) -> str:
        """What the next prompt will begin with, whatever the user says next."""
        head = _head(ask)
        items = self._fit(head, ask, items, reply_tokens)
        return head + "".join(_messages(items)) + f"{BEGIN}user\n"

    def _fit(self, head: str, ask: Ask, items: Sequence[Item], reply_tokens: int) -> Sequence[Item]:
        head_tokens = self._count(head)
        after = self._count(_nudge(ask, items) + OPENING) + MARGIN_TOKENS
        room = self._context_tokens - reply_tokens - head_tokens - after
        if room < 0:
            raise too_long(
                f"instructions and tools take {head_tokens} of the {self._context_tokens} tokens "
                "that the model's context has: there is no room for a conversation"
            )
        with self._lock:
            return self._window.fit(items, room, ask.truncation, self._size)

    def _size(self, item: Item) -> int:
        """The tokens of an item as a message of its own; together with others it has no more."""
        return self._count("".join(_messages([item])))


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
        told = _message("system", instructions) if instructions else ""
        return COMMON + _examples(LONG_EXAMPLES) + told
    own = [_example(tool, example) for tool in ask.tools for example in tool.examples]
    tools = TOOL_RULES.format(
        tools="\n".join(guard(_tool_line(tool)) for tool in ask.tools),
        talk=" and small talk" if own else ", small talk and general knowledge",
    )
    both = f"{instructions}\n\n{tools}" if instructions else tools
    common = [one for one in TOOL_EXAMPLES if not own or one not in KNOWLEDGE_EXAMPLES]
    return COMMON + _message("system", both) + _examples([*common, *own])


def _example(tool: Tool, example: Example) -> tuple[str, str]:
    called = f'{{"name":{json.dumps(tool.name)},"arguments":{example.arguments}}}'
    return example.said, called if example.arguments else example.words


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
