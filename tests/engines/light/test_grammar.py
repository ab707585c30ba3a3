"""Grammars: which tools a choice admits; what llama.cpp makes of them is in test_mind."""

import json

from duologue.core.talk import Ask, Tool
from duologue.engines.light.grammar import grammar

TOOLS = (Tool("f", "", {"type": "object"}), Tool("g"))


def schema(made: str | None) -> list[str]:
    """The tool names that a grammar admits."""
    assert made is not None
    line = next(line for line in made.splitlines() if line.startswith("call: %json "))
    names = json.loads(line.removeprefix("call: %json "))["anyOf"]
    return [choice["properties"]["name"]["const"] for choice in names]


def test_without_tools_anything_may_be_said() -> None:
    assert grammar(Ask()) is None
    assert grammar(Ask(tools=TOOLS, tool_choice="none")) is None


def test_auto_admits_words_or_any_tool() -> None:
    made = grammar(Ask(tools=TOOLS))
    assert made is not None and "start: TEXT |" in made and schema(made) == ["f", "g"]


def test_required_admits_no_words() -> None:
    made = grammar(Ask(tools=TOOLS, tool_choice="required"))
    assert made is not None and "TEXT" not in made and schema(made) == ["f", "g"]


def test_a_function_is_the_only_one() -> None:
    assert schema(grammar(Ask(tools=TOOLS, tool_choice="function:g"))) == ["g"]
