"""What clients may leave untidy: nulls where they mean nothing, and old spellings.

Between the JSON reader and the typed structs: a parsed client event goes in, one that the
structs can judge comes out. Nothing is refused here except nesting too deep to be safe.
"""

from typing import Any

import msgspec

from duologue.errors import Refusal

DEEPEST = 64
"""Levels of nesting in one event; the deepest of the protocol's own is 8."""

_NULL_MEANS_OFF = frozenset(
    ("noise_reduction", "transcription", "turn_detection", "tracing", "prompt", "include")
) | {"language", "input_audio_noise_reduction", "input_audio_transcription"}
"""Settings that null clears. Everywhere else a null is a key that was left out: several
clients write their unset options as nulls."""

_OPAQUE = frozenset(("parameters", "metadata", "headers", "input_schema", "annotations"))
"""Keys whose values are the client's own and are kept to the letter."""

_encoder = msgspec.json.Encoder()


def tidy(event: dict[str, Any]) -> dict[str, Any]:
    """`event` without meaningless nulls; raises `Refusal` when it is nested too deeply."""
    return {key: _tidied(value, 1) for key, value in event.items() if value is not None}


def _tidied(value: Any, depth: int) -> Any:
    kind = type(value)
    if kind is dict:
        _check_depth(depth)
        return {
            key: inner
            if type(inner) is str  # most are, and a call costs more than the rest of the work
            else _kept(inner, depth + 1)
            if key in _OPAQUE
            else _tidied(inner, depth + 1)
            for key, inner in value.items()
            if inner is not None or key in _NULL_MEANS_OFF
        }
    if kind is list:
        _check_depth(depth)
        return [one if type(one) is str else _tidied(one, depth + 1) for one in value]
    return value


def _kept(value: Any, depth: int) -> Any:
    """The client's own `value`, walked through only where it might be nested too deeply.

    What has fewer brackets than levels are left cannot be. JSON Schemas of tools are the bulk
    of a session update, and counting is several times faster than walking.
    """
    try:
        text = _encoder.encode(value)
        brackets = text.count(b"{") + text.count(b"[")
    except RecursionError:  # read at the very edge of what the stack allows
        brackets = DEEPEST
    if depth + brackets >= DEEPEST:
        _walk(value, depth)
    return value


def _walk(value: Any, depth: int) -> None:
    if isinstance(value, dict | list):
        _check_depth(depth)
        for inner in value.values() if isinstance(value, dict) else value:
            _walk(inner, depth + 1)


def _check_depth(depth: int) -> None:
    if depth >= DEEPEST:
        raise Refusal("invalid_value", f"The event is nested more than {DEEPEST} levels deep.")


def accept_old_spellings(event: dict[str, Any]) -> None:
    """Rewrite, in place, what clients of the beta protocol still say in GA events."""
    session, response, item = (event.get(key) for key in ("session", "response", "item"))
    if isinstance(session, dict):
        flatten_tool_choice(session)
    if isinstance(item, dict):
        _rename_content(item)
    if isinstance(response, dict):
        flatten_tool_choice(response)
        modalities = response.get("modalities")
        if isinstance(modalities, list) and "output_modalities" not in response:
            # "text and audio" was the old name of a spoken reply.
            response["output_modalities"] = ["audio"] if "audio" in modalities else modalities
        entries = response.get("input")
        for entry in entries if isinstance(entries, list) else ():
            if isinstance(entry, dict):
                _rename_content(entry)


def flatten_tool_choice(settings: dict[str, Any]) -> None:
    """Rewrite, in place, a function's name from where the beta protocol nests it."""
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
