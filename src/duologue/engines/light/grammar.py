"""What a reply may look like, as a grammar for llama.cpp's llguidance: words, or calls.

The session's tools go in, a Lark grammar comes out, or None where anything may be said. It
keeps names, argument keys and enums to what the tools' JSON Schemas allow. A schema that
llguidance cannot hold leaves the reply free; the session checks that arguments are JSON.
"""

import json
from typing import Any

from duologue.core.talk import Ask, Tool

TEXT = r"TEXT: /[^{\[<`\s][^{<`]*/"


def grammar(ask: Ask) -> str | None:
    """The grammar of replies to `ask`: `tool_choice` is enforced by it."""
    tools = [tool for tool in ask.tools if ask.tool_choice in _choices(tool)]
    if not tools or ask.tool_choice == "none":
        return None
    calls = "call" if ask.tool_choice.startswith("function:") else 'call ("\\n" call){0,3}'
    start = calls if ask.tool_choice != "auto" else f"TEXT | {calls}"
    schema = {
        "anyOf": [_call(tool) for tool in tools],
        "x-guidance": {"whitespace_flexible": False, "lenient": True},
    }
    lines = ["%llguidance {}", f"start: {start}", f"call: %json {json.dumps(schema)}"]
    return "\n".join([*lines, TEXT] if ask.tool_choice == "auto" else lines) + "\n"


def _choices(tool: Tool) -> tuple[str, ...]:
    return ("auto", "required", f"function:{tool.name}")


def _call(tool: Tool) -> dict[str, Any]:
    parameters = dict(tool.parameters) or {"type": "object"}
    return {
        "type": "object",
        "properties": {"name": {"const": tool.name}, "arguments": parameters},
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }
