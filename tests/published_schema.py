"""The published OpenAPI schemas as a second, milder judge of what the server sends.

A server event as JSON goes in, differences come out as sentences. The schemas forbid nulls
that the service itself sends and that the SDK models allow; those are known and listed here.
The data and its licence are in tests/data/openapi.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

DATA = Path(__file__).parent / "data" / "openapi" / "realtime.json"

KNOWN_NULLS = frozenset(
    {
        "session.include",
        "session.audio.input.noise_reduction",
        "session.audio.input.transcription",
        "session.audio.input.transcription.language",
        "session.audio.input.transcription.prompt",
        "item.content.transcript",
        "response.output.content.transcript",
        "response.conversation_id",
        "response.status_details",
        "response.usage",
    }
)
"""Where captures or examples of the service have a null and its schemas have none."""


class SchemaDiffers(UserWarning):
    """An event that the published schemas do not describe."""


def differences(event: dict[str, Any], *, translation: bool = False) -> list[str]:
    """What the schema of this event's type would have otherwise."""
    validator = _validators(translation).get(event["type"])
    if validator is None:
        return [f"{event['type']}: no such server event"]
    known = _without_known_nulls(event, "")
    return [f"{event['type']}: {_sentence(error)}" for error in validator.iter_errors(known)]


def _without_known_nulls(value: Any, path: str) -> Any:
    if isinstance(value, list):
        return [_without_known_nulls(one, path) for one in value]
    if not isinstance(value, dict):
        return value
    below = {key: f"{path}.{key}" if path else key for key in value}
    return {
        key: _without_known_nulls(inner, below[key])
        for key, inner in value.items()
        if inner is not None or below[key] not in KNOWN_NULLS
    }


def _sentence(error: ValidationError) -> str:
    deepest = _deepest(error)
    path = ".".join(map(str, deepest.absolute_path))
    return f"{path or 'event'}: {deepest.message[:200]}"


def _deepest(error: ValidationError) -> ValidationError:
    """In a union, the fault of the alternative that is meant: the one with this type and role."""
    alternatives: dict[Any, list[ValidationError]] = {}
    for inner in error.context or ():
        alternatives.setdefault(inner.schema_path[0], []).append(inner)
    for faults in alternatives.values():
        if not any(fault.path and fault.path[-1] in ("type", "role") for fault in faults):
            return _deepest(faults[0])
    return error


@cache
def _validators(translation: bool) -> dict[str, Draft202012Validator]:
    """A validator for each type of server event, of the translation socket or the others."""
    whole = json.loads(DATA.read_text())
    registry = Registry().with_resource(  # type: ignore[var-annotated]
        "urn:realtime", Resource(contents=whole, specification=DRAFT202012)
    )
    prefix = f"Realtime{'Translation' if translation else ''}ServerEvent"
    found = {}
    for name, schema in whole["components"]["schemas"].items():
        if name.startswith(prefix) and name != prefix:
            reference = {"$ref": f"urn:realtime#/components/schemas/{name}"}
            kind = schema["properties"]["type"]
            for tag in [kind["const"]] if "const" in kind else kind["enum"]:
                found[tag] = Draft202012Validator(reference, registry=registry)
    return found
