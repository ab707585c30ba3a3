"""The chunks of a streamed chat completion in, thoughts and calls out. Pure.

Servers differ in small things, and this takes them as they are: calls that come whole or in
pieces, several calls under one index, arguments as an object, thinking aloud between `<think>`
tags (which is not said), usage with or without details, or none, null for what is empty, an
answer that is not streamed. Calls that the reply was not to make are passed over (`calls.py`).
"""

import json
from collections.abc import Iterator
from typing import Any

import msgspec

from duologue.arguments import is_object
from duologue.core.talk import Ask, Call
from duologue.engines.calls import is_wanted
from duologue.engines.composed.parts import Thought
from duologue.text import TextStream, well_formed

OPEN, CLOSE = "<think>", "</think>"


class FunctionDelta(msgspec.Struct, frozen=True):
    """A piece of a call's name and arguments."""

    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class ToolCallDelta(msgspec.Struct, frozen=True):
    """A piece of a call; `id` is at its beginning, with some servers everywhere."""

    index: int | None = None
    id: str | None = None
    function: FunctionDelta | None = None


class Delta(msgspec.Struct, frozen=True):
    """What is new in a choice."""

    content: str | None = None
    refusal: str | None = None
    tool_calls: list[ToolCallDelta] | None = None
    reasoning: Any = None
    reasoning_content: Any = None

    @property
    def says_something(self) -> bool:
        """Whether the model got on, be it with what nobody is told."""
        said = self.content or self.refusal or self.tool_calls
        return bool(said or self.reasoning or self.reasoning_content)


class Choice(msgspec.Struct, frozen=True):
    """The one choice; `message` is that of an answer which is not streamed."""

    delta: Delta | None = None
    message: Delta | None = None
    finish_reason: str | None = None


class PromptDetails(msgspec.Struct, frozen=True):
    """Of the prompt's tokens, those that a prefix cache had, and those that are sound."""

    cached_tokens: int | None = None
    audio_tokens: int | None = None


class ChatUsage(msgspec.Struct, frozen=True):
    """What the completion cost."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: PromptDetails | None = None


class Chunk(msgspec.Struct, frozen=True):
    """One event of the stream; what else is in it is passed over."""

    choices: list[Choice] | None = None
    usage: Any = None


def _usage(told: Any) -> ChatUsage | None:
    """A usage that can be; one that cannot is none, for what was said is worth more."""
    try:
        usage = msgspec.convert(told, ChatUsage) if told else None
    except msgspec.ValidationError:
        return None
    if usage is None or min(usage.prompt_tokens, usage.completion_tokens) < 0:
        return None
    return usage


class ChatStream:
    """Feed it chunks of the answer to `ask`, get thoughts; `flush` at the end.

    Raises `ValueError` on a call that is broken, or of what was not offered.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self.finish_reason: str | None = None
        self.usage: ChatUsage | None = None
        self.got_on = False
        """Whether the newest chunk said something, or why it was the last to."""
        self._aloud = _Aloud()
        self._text = TextStream()
        self._written = TextStream()
        self._calls = 0
        self._key: tuple[int | None, str | None] | None = None
        self._is_wanted = False
        self._arguments = ""

    def take(self, data: object) -> Iterator[Thought]:
        """What is new with a chunk. Raises `msgspec.ValidationError` where it is none."""
        chunk = msgspec.convert(data, Chunk)
        self.usage = _usage(chunk.usage) or self.usage
        self.got_on = False
        for choice in (chunk.choices or [])[:1]:
            delta = choice.delta or choice.message or Delta()
            self.got_on = delta.says_something or bool(
                choice.finish_reason and not self.finish_reason
            )
            if said := (delta.content or "") + (delta.refusal or ""):
                yield Thought(self._aloud.push(self._text.push(said)))
            for piece in delta.tool_calls or ():
                yield from self._call(piece)
            self.finish_reason = choice.finish_reason or self.finish_reason

    def flush(self) -> Iterator[Thought]:
        """What was held back, and the end of the last call."""
        if text := self._aloud.push(self._text.flush()) + self._aloud.flush():
            yield Thought(text, tokens=0)
        yield from self._end_call()

    def _call(self, piece: ToolCallDelta) -> Iterator[Thought]:
        function = piece.function or FunctionDelta()
        name = well_formed(function.name or "")
        if self._begins(piece, name):
            yield from self._end_call()
            if not name:
                raise ValueError("a function call without a name")
            self._key = (piece.index, piece.id)
            self._is_wanted = is_wanted(self._ask, name, self._calls)
            self._calls += self._is_wanted
            yield self._told(name=name)
        arguments = function.arguments or ""
        if isinstance(arguments, dict):
            arguments = json.dumps(arguments, ensure_ascii=False)
        if arguments:
            yield self._written_on(self._written.push(arguments))

    def _begins(self, piece: ToolCallDelta, name: str) -> bool:
        """Whether it is a piece of another call than the one under way."""
        if self._key is None:
            return True
        index, call_id = self._key
        if None not in (piece.index, index) and piece.index != index:
            return True
        # Some servers give each piece an id of its own.
        return bool(name) and (piece.id != call_id if piece.id else piece.index is None)

    def _written_on(self, delta: str, tokens: int = 1) -> Thought:
        self._arguments += delta
        return self._told(delta=delta, tokens=tokens)

    def _told(
        self, *, name: str = "", delta: str = "", final: bool = False, tokens: int = 1
    ) -> Thought:
        """A piece of the call under way; of one that is passed over only what it costs."""
        if not self._is_wanted:
            return Thought(tokens=tokens)
        return Thought(call=Call(self._calls - 1, name, delta, final), tokens=tokens)

    def _end_call(self) -> Iterator[Thought]:
        if self._key is None:
            return
        if rest := self._written.flush():
            yield self._written_on(rest, tokens=0)
        arguments, self._arguments, self._key = self._arguments, "", None
        if not arguments.strip():
            yield self._told(delta="{}", tokens=0)
        elif self._is_wanted and not is_object(arguments):
            raise ValueError("the arguments of a function call are no JSON object")
        yield self._told(final=True, tokens=0)


class _Aloud:
    """Text without the thinking that it may begin with."""

    def __init__(self) -> None:
        self._held = ""
        self._silent: bool | None = None

    def push(self, text: str) -> str:
        if self._silent is False:
            return text
        self._held += text
        if self._silent is None:
            beginning = self._held.lstrip()
            if not beginning.startswith(OPEN) and OPEN.startswith(beginning):
                return ""  # not enough to tell
            self._silent = beginning.startswith(OPEN)
        if self._silent:
            _, close, rest = self._held.partition(CLOSE)
            if not close:
                return ""
            self._held = rest.lstrip()
            self._silent = False
        text, self._held = self._held, ""
        return text

    def flush(self) -> str:
        text, self._held = self._held, ""
        return "" if self._silent else text
