"""What a reply may look like, as a grammar for llama.cpp's llguidance: words, or calls.

The session's tools go in, a Lark grammar comes out, or None where there is nothing to call. It
keeps names, argument keys and enums to what the tools' JSON Schemas allow. llama.cpp drops a
whole grammar without a word when one schema in it cannot be held (an unknown type, a reference
to nowhere, a lookahead), so every schema is tried first, and a tool whose schema fails may have
any object for its arguments; names and the other tools are held all the same.
"""

import json
import logging
from functools import lru_cache
from typing import Any

from llguidance import LLMatcher

from duologue.core.talk import Ask, Tool

log = logging.getLogger(__name__)

TEXT = r"TEXT: /[^{\[<`\s][^{<`]*/"
MOST_CALLS = 4
FREE = {"type": "object"}
GUIDANCE = {"whitespace_flexible": False, "lenient": True}


def grammar(ask: Ask) -> str | None:
    """The grammar of replies to `ask`: `tool_choice` and the number of calls are enforced by it.

    Not for the event loop: schemas that were not seen before are compiled to see if they can be.
    """
    tools = [tool for tool in ask.tools if ask.tool_choice in _choices(tool)]
    if not tools or ask.tool_choice == "none":
        return None
    several = ask.parallel_calls and not ask.tool_choice.startswith("function:")
    calls = f'call ("\\n" call){{0,{MOST_CALLS - 1}}}' if several else "call"
    lines = [] if ask.tool_choice != "auto" else [TEXT]
    start = f"TEXT | {calls}" if lines else calls
    return _lark(start, [_call(tool, place) for place, tool in enumerate(tools)], *lines)


def _choices(tool: Tool) -> tuple[str, ...]:
    return ("auto", "required", f"function:{tool.name}")


def _call(tool: Tool, place: int) -> dict[str, Any]:
    parameters = FREE | dict(tool.parameters)
    fault = _fault(json.dumps(parameters))
    if fault:
        _warn(tool.name, fault)
        parameters = FREE
    return _schema(tool.name, parameters, place)


def _schema(name: str, parameters: Any, place: int) -> dict[str, Any]:
    arguments = _moved(parameters, f"#/anyOf/{place}/properties/arguments")
    return {
        "type": "object",
        "properties": {"name": {"const": name}, "arguments": arguments},
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }


def _moved(schema: Any, root: str) -> Any:
    """A schema whose references into itself are right where it stands inside another."""
    if isinstance(schema, list):
        return [_moved(one, root) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: root + value[1:]
        if key == "$ref" and isinstance(value, str) and value.startswith("#")
        else _moved(value, root)
        for key, value in schema.items()
    }


def _lark(start: str, calls: list[dict[str, Any]], *more: str) -> str:
    held = json.dumps({"anyOf": calls, "x-guidance": GUIDANCE})
    return "\n".join(["%llguidance {}", f"start: {start}", f"call: %json {held}", *more]) + "\n"


@lru_cache(1024)
def _fault(parameters: str) -> str:
    """Why llguidance cannot hold these parameters, or ""."""
    schema = json.loads(parameters)
    if schema["type"] != "object":
        return "it is not the schema of an object"
    made = _lark("call", [_schema("f", schema, 0)])
    return LLMatcher.validate_grammar(made).split("\n")[0]


@lru_cache(1024)
def _warn(name: str, fault: str) -> None:
    """Once for each tool, not for every reply."""
    log.warning("the arguments of function %s are not held to their schema: %s", name, fault)
