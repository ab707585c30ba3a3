"""From msgspec's complaint to the protocol's error: code, path in wire form, plain message.

msgspec says what is wrong and where (`Expected `int` >= 1 - at `$.session.speed``); the
error catalogue wants a code of its own, the path without `$`, and for a bad choice the
values that would have done. Those are read off the type annotations along the path.
"""

import re
import types
import typing
from collections.abc import Iterator
from typing import Any

import msgspec

from duologue.errors import Refusal

_PLACE = re.compile(r" - at (?:`key` in )?`\$\.?([^`]*)`$")
_STEP = re.compile(r"[^.\[\]]+")
_MISSING = re.compile(r"Object missing required field `(.+)`")
_BOUND = re.compile(r"Expected `(int|float)` ([<>]=) (\S+)")
_LENGTH = re.compile(r"Expected `(str|bytes)` of length <= (\d+)")
_KIND = re.compile(r"Expected `([^`]+)`(?:, got `([^`]+)`)?$")
_WORDS = {
    "str": "a string",
    "bytes": "a base64 string",
    "int": "an integer",
    "float": "a number",
    "bool": "a boolean",
    "object": "an object",
    "array": "an array",
    "null": "null",
}


def refusal_of(
    error: msgspec.ValidationError, kind: type[msgspec.Struct], event: dict[str, Any]
) -> Refusal:
    """The refusal that says what `error` found in `event`, which should have been a `kind`."""
    text = str(error)
    place = _PLACE.search(text)
    # A value of a mapping is `[...]`: its key is the client's own and not part of the path.
    path, inside, _ = (place[1] if place else "").partition("[...]")
    text = text[: place.start()] if place else text

    if missing := _MISSING.match(text):
        if not inside:
            path = f"{path}.{missing[1]}" if path else missing[1]
        return Refusal("missing_required_parameter", f"Missing required parameter: '{path}'.", path)
    value = _value_at(event, path)
    if bound := _BOUND.match(text):
        sort = "integer" if bound[1] == "int" else "decimal"
        side = "below_min" if bound[2] == ">=" else "above_max"
        message = f"Invalid '{path}': expected a value {bound[2]} {bound[3]}, got {_shown(value)}."
        return Refusal(f"{sort}_{side}_value", message, path)
    if length := _LENGTH.match(text):
        message = f"Invalid '{path}': too long, expected at most {length[2]} {_unit(length[1])}."
        return Refusal("string_above_max_length", message, path)
    if text.startswith(("Invalid enum value", "Invalid value")):
        return bad_choice(value, _choices(kind, path), path)
    if text.startswith("Invalid base64"):
        return Refusal("invalid_value", f"Invalid '{path}': expected valid base64.", path)
    if (wrong := _KIND.match(text)) and "of length" not in text:
        expected = " or ".join(_WORDS.get(word, word) for word in wrong[1].split(" | "))
        got = f", got {_WORDS.get(wrong[2], wrong[2])}" if wrong[2] else ""
        message = f"Invalid type for '{path}': expected {expected}{got}."
        return Refusal("invalid_type", message, path)
    message = f"Invalid '{path}': {text[:1].lower()}{text[1:].replace('`', '')}."
    if choices := _choices(kind, f"{path}[0]"):
        message += f" {_supported(choices)}"
    return Refusal("invalid_value", message, path)


def bad_choice(value: Any, choices: tuple[Any, ...], path: str) -> Refusal:
    """The refusal of a `value` that is none of `choices`."""
    message = f"Invalid value: {_shown(value)}. {_supported(choices)}"
    return Refusal("invalid_value", message, path)


def _supported(choices: tuple[Any, ...]) -> str:
    return f"Supported values are: {', '.join(_shown(choice) for choice in choices)}."


def _unit(kind: str) -> str:
    return "characters" if kind == "str" else "bytes of sound"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _value_at(event: Any, path: str) -> Any:
    for step in _STEP.findall(path):
        try:
            event = event[int(step)] if isinstance(event, list) else event[step]
        except (KeyError, IndexError, ValueError, TypeError):
            return None
    return event


def _choices(kind: type[msgspec.Struct], path: str) -> tuple[Any, ...]:
    """What may stand at `path` of a `kind`: literals, or the tags of a union's structs."""
    found: list[Any] = [kind]
    before = found
    steps = _STEP.findall(path)
    for step in steps:
        before, found = found, [inner for one in found for inner in _inside(one, step)]
    allowed: list[Any] = []
    for one in found:
        if typing.get_origin(one) is typing.Literal:
            allowed += typing.get_args(one)
    if not allowed and steps and steps[-1] == "type":
        allowed = [one.__struct_config__.tag for one in before if _is_struct(one)]
    return tuple(dict.fromkeys(allowed))


def _inside(one: Any, step: str) -> Iterator[Any]:
    """The types at one step into `one`: a field of a struct, or an element of an array."""
    if typing.get_origin(one) is tuple:
        yield from _alternatives(typing.get_args(one)[0])
    elif _is_struct(one) and step in one.__struct_fields__:
        yield from _alternatives(typing.get_type_hints(one, include_extras=False)[step])


def _alternatives(hint: Any) -> Iterator[Any]:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        for one in typing.get_args(hint):
            yield from _alternatives(one)
    else:
        yield hint


def _is_struct(one: Any) -> bool:
    return isinstance(one, type) and issubclass(one, msgspec.Struct)
