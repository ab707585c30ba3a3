"""Grammars: which tools a choice admits; what llama.cpp makes of them is in test_mind."""

import json
import logging
from typing import Any

import pytest
from llguidance import LLMatcher

from duologue.core.talk import Ask, Tool
from duologue.engines.light.grammar import grammar

TOOLS = (Tool("f", "", {"type": "object"}), Tool("g"))


def calls(made: str | None) -> list[dict[str, Any]]:
    """What a grammar admits as a call, by its JSON Schemas; llguidance takes it as a whole."""
    assert made is not None and LLMatcher.validate_grammar(made) == ""
    line = next(line for line in made.splitlines() if line.startswith("call: %json "))
    choices = json.loads(line.removeprefix("call: %json "))["anyOf"]
    return [choice["properties"] for choice in choices]


def schema(made: str | None) -> list[str]:
    """The tool names that a grammar admits."""
    return [choice["name"]["const"] for choice in calls(made)]


@pytest.mark.conformance("C-153")
def test_without_tools_anything_may_be_said() -> None:
    assert grammar(Ask()) is None
    assert grammar(Ask(tools=TOOLS, tool_choice="none")) is None


def test_auto_admits_words_or_any_tool() -> None:
    made = grammar(Ask(tools=TOOLS))
    assert made is not None and "start: TEXT |" in made and schema(made) == ["f", "g"]


@pytest.mark.conformance("C-153")
def test_required_admits_no_words() -> None:
    made = grammar(Ask(tools=TOOLS, tool_choice="required"))
    assert made is not None and "TEXT" not in made and schema(made) == ["f", "g"]


@pytest.mark.conformance("C-153")
def test_a_function_is_the_only_one() -> None:
    assert schema(grammar(Ask(tools=TOOLS, tool_choice="function:g"))) == ["g"]


@pytest.mark.parametrize("choice", ["auto", "required"])
def test_calls_in_parallel_can_be_forbidden(choice: str) -> None:
    several = grammar(Ask(tools=TOOLS, tool_choice=choice))
    one = grammar(Ask(tools=TOOLS, tool_choice=choice, parallel_calls=False))
    assert several is not None and one is not None
    assert "{0,3}" in several and "{0,3}" not in one and calls(one) == calls(several)


BROKEN = [
    {"type": "object", "properties": {"a": {"type": "strin"}}},
    {"type": "object", "properties": {"a": {"$ref": "#/nowhere"}}},
    {"type": "object", "properties": {"a": {"$ref": "https://example.com/schema"}}},
    {"type": "object", "properties": {"a": {"type": "string", "pattern": "^(?=x)y"}}},
    {"type": "object", "properties": "a"},
    {"type": "string"},
]


@pytest.mark.parametrize("parameters", BROKEN)
def test_a_schema_that_cannot_be_held_frees_its_own_tool_alone(
    parameters: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    tool = Tool(f"f{BROKEN.index(parameters)}", "", parameters)
    held = Tool("g", "", {"type": "object", "properties": {"day": {"enum": ["today"]}}})
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            f, g = calls(grammar(Ask(tools=(tool, held))))
    assert f["name"] == {"const": tool.name} and f["arguments"] == {"type": "object"}
    assert g["arguments"]["properties"] == {"day": {"enum": ["today"]}}
    assert len([r for r in caplog.records if tool.name in r.getMessage()]) == 1


def test_references_inside_a_schema_are_right_wherever_the_tool_stands() -> None:
    parameters = {
        "type": "object",
        "$defs": {"Day": {"enum": ["today", "tomorrow"]}},
        "properties": {"day": {"$ref": "#/$defs/Day"}},
    }
    made = grammar(Ask(tools=(Tool("f"), Tool("g", "", parameters))))
    reference = calls(made)[1]["arguments"]["properties"]["day"]["$ref"]
    assert reference == "#/anyOf/1/properties/arguments/$defs/Day"
