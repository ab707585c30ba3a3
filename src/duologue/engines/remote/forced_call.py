"""A function call that must come, for servers that do not see to it: a request in, a call out.

`tool_choice` "required" is only words to some servers: llama.cpp's grammar lets a model write
anything before the call, and so never call; a chat template that knows no tools hides them
from it. What all of them hold a model to is `response_format` with a JSON schema. So the tools
are told in words here, and the answer has the shape of one call. Pure.
"""

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from duologue.core.talk import Ask, Tool
from duologue.engines.calls import allowed
from duologue.engines.completions import Message
from duologue.engines.composed.parts import Thought

MOST_WORDS = 400
"""Characters before a call that was required; a server that says more does not see to it."""

ORDER = (
    "Now call one function. Answer with nothing but one JSON object that has the function's "
    '"name" and its "arguments". The functions, with the schemas of their arguments:'
)
DEFINITIONS = ("$defs", "definitions")


class _Call(msgspec.Struct, frozen=True):
    name: str
    arguments: dict[str, Any]


class NoCall(Exception):
    """A server answered with words where a function call was required."""


class Held:
    """Holds words back until a call has begun, where one is required; else lets all through.

    Raises `NoCall` once there are too many words before it, or at the end. Words that wait for
    a call are counted in `tokens`.
    """

    def __init__(self, *, is_required: bool) -> None:
        self._is_waiting = is_required
        self._text, self.tokens = "", 0

    def take(self, thought: Thought) -> list[Thought]:
        """What may be said with a thought."""
        if not self._is_waiting:
            return [thought]
        if thought.call is None:
            self._text += thought.text
            self.tokens += thought.tokens
            if len(self._text) > MOST_WORDS:
                raise NoCall
            return []
        self._is_waiting = False
        return [Thought(self._text, tokens=self.tokens), thought]

    def end(self) -> None:
        """There is no more."""
        if self._is_waiting:
            raise NoCall


def forced(body: Mapping[str, Any], ask: Ask) -> dict[str, Any]:
    """A request that can be answered by nothing but a call; `body` is the one with tools."""
    left_out = ("tools", "tool_choice", "parallel_tool_calls")
    kept = {key: value for key, value in body.items() if key not in left_out}
    schema = {"name": "call", "schema": _schema(allowed(ask))}
    return kept | {
        "messages": _told(body["messages"], order(ask)),
        "response_format": {"type": "json_schema", "json_schema": schema},
    }


def order(ask: Ask) -> str:
    """What the model is told in words."""
    tools = [
        {"name": tool.name, "description": tool.description, "arguments": tool.parameters}
        for tool in allowed(ask)
    ]
    return "\n".join([ORDER, *(json.dumps(tool, ensure_ascii=False) for tool in tools)])


def parse(text: str, ask: Ask) -> tuple[str, str]:
    """Name and arguments (JSON) of the call that an answer is. Raises `ValueError`."""
    call = msgspec.json.decode(text, type=_Call)
    if call.name not in {tool.name for tool in allowed(ask)}:
        raise ValueError("a call of a function that was not offered")
    return call.name, json.dumps(call.arguments, ensure_ascii=False)


def _told(messages: list[Message], text: str) -> list[Message]:
    """The order stands in the one system message, as the last that is in it."""
    first, *rest = messages if messages[:1] and messages[0]["role"] == "system" else [{}, *messages]
    known = first.get("content")
    return [{"role": "system", "content": f"{known}\n\n{text}" if known else text}, *rest]


def _schema(tools: list[Tool]) -> dict[str, Any]:
    """Of one call; what the schemas of the tools refer to stands at its root.

    There a definition has its tool's number before its name: two tools may use one name.
    """
    shared: dict[str, Any] = {}
    calls = []
    for number, tool in enumerate(tools):
        arguments = _numbered(tool.parameters, number) or {"type": "object"}
        for key in DEFINITIONS:
            if isinstance(known := arguments.pop(key, None), dict):
                named = {f"{number}.{name}": schema for name, schema in known.items()}
                shared.setdefault(key, {}).update(named)
        calls.append(
            {
                "type": "object",
                "properties": {"name": {"const": tool.name}, "arguments": arguments},
                "required": ["name", "arguments"],
                "additionalProperties": False,
            }
        )
    return (calls[0] if len(calls) == 1 else {"anyOf": calls}) | shared


def _numbered(schema: Any, number: int) -> Any:
    """A copy, in which what refers to a definition has the tool's number before its name."""
    if isinstance(schema, list):
        return [_numbered(each, number) for each in schema]
    if not isinstance(schema, Mapping):
        return schema
    return {
        key: _referring(value, number)
        if key == "$ref" and isinstance(value, str)
        else _numbered(value, number)
        for key, value in schema.items()
    }


def _referring(ref: str, number: int) -> str:
    for key in DEFINITIONS:
        if ref.startswith(head := f"#/{key}/"):
            return f"{head}{number}.{ref[len(head) :]}"
    return ref
