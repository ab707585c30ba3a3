"""What clients may leave untidy: nulls, old spellings, and values no JSON writer could repeat.

Between the JSON reader and the typed structs: a parsed client event goes in, one that the
structs can judge comes out. Refused here are only nesting too deep and numbers too large.
"""

from typing import Any

from duologue.errors import Refusal

DEEPEST = 64
"""Levels of nesting in one event; the deepest of the protocol's own is 8."""

_NULL_MEANS_OFF = frozenset(
    ("noise_reduction", "transcription", "turn_detection", "tracing", "prompt", "include")
) | {"language"}
"""Settings that null clears. Everywhere else a null is a key that was left out: several
clients write their unset options as nulls."""

_OPAQUE = frozenset(("parameters", "metadata", "headers", "input_schema", "annotations"))
"""Keys whose values are the client's own and are kept to the letter."""


def tidy(event: dict[str, Any]) -> dict[str, Any]:
    """`event` without meaningless nulls; raises `Refusal` when it is nested too deeply."""
    return {
        key: _tidied(value, 1, key not in _OPAQUE)
        for key, value in event.items()
        if value is not None
    }


def _tidied(value: Any, depth: int, ours: bool) -> Any:
    kind = type(value)
    if kind is dict:
        _check_depth(depth)
        return {
            key: inner
            if type(inner) is str  # most are, and a call costs more than the rest of the work
            else _tidied(inner, depth + 1, ours and key not in _OPAQUE)
            for key, inner in value.items()
            if inner is not None or not ours or key in _NULL_MEANS_OFF
        }
    if kind is list:
        _check_depth(depth)
        return [one if type(one) is str else _tidied(one, depth + 1, ours) for one in value]
    if kind is int and not ours and not -(2**63) <= value < 2**64:
        return _as_float(value)
    return value


def _as_float(value: int) -> float:
    """An integer of more than 64 bits, which could be read here but never be written again."""
    try:
        return float(value)
    except OverflowError:
        raise Refusal("invalid_value", "The event holds a number that is too large.") from None


def _check_depth(depth: int) -> None:
    if depth >= DEEPEST:
        raise Refusal("invalid_value", f"The event is nested more than {DEEPEST} levels deep.")


def accept_old_spellings(event: dict[str, Any]) -> None:
    """Rewrite, in place, what clients of the beta protocol still say in GA events."""
    session, response, item = (event.get(key) for key in ("session", "response", "item"))
    if isinstance(session, dict):
        _flatten_tool_choice(session)
    if isinstance(item, dict):
        _rename_content(item)
    if isinstance(response, dict):
        _flatten_tool_choice(response)
        modalities = response.get("modalities")
        if isinstance(modalities, list) and "output_modalities" not in response:
            # "text and audio" was the old name of a spoken reply.
            response["output_modalities"] = ["audio"] if "audio" in modalities else modalities
        entries = response.get("input")
        for entry in entries if isinstance(entries, list) else ():
            if isinstance(entry, dict):
                _rename_content(entry)


def _flatten_tool_choice(settings: dict[str, Any]) -> None:
    match settings.get("tool_choice"):
        case {"type": "function", "function": {"name": name}}:
            settings["tool_choice"] = {"type": "function", "name": name}


def _rename_content(item: dict[str, Any]) -> None:
    match item:
        case {"role": "assistant", "content": [*parts]}:
            for part in parts:
                match part:
                    case {"type": "text" | "audio" as old}:
                        part["type"] = f"output_{old}"
