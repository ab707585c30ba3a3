"""The official clients as judges of what the server sends.

The SDK itself is lenient: it builds models without validating and takes the first class for
a type it does not know. Here the same models validate strictly, and the class must be the
one the SDK maps the event's `type` to. The agents SDK has a validator of its own, and its
view of items is narrower.
"""

import json
from typing import Any, get_args

from agents.realtime.openai_realtime import get_server_event_type_adapter
from openai.types.realtime import RealtimeServerEvent
from pydantic import BaseModel

_MODELS: dict[str, type[BaseModel]] = {
    get_args(model.model_fields["type"].annotation)[0]: model
    for model in get_args(get_args(RealtimeServerEvent)[0])
}

KNOWN_SERVER_EVENTS = frozenset(_MODELS)
"""The wire names of every server event that the SDK knows."""


def validate_server_event(text: str) -> BaseModel:
    """The SDK's view of a text frame; raises where a strict client would not accept it."""
    raw = json.loads(text)
    model = _MODELS[raw["type"]]
    seen = model.model_validate_json(text, strict=True)
    check_values_kept(raw, seen, raw["type"])
    by_agents = get_server_event_type_adapter().validate_python(raw)
    assert type(by_agents) is model, f"{type(by_agents).__name__} instead of {model.__name__}"
    return seen


def check_values_kept(raw: Any, seen: Any, path: str) -> None:
    """The SDK must find each value that it has a field for under that very field."""
    if isinstance(seen, BaseModel):
        for name in type(seen).model_fields:
            if name in raw:
                check_values_kept(raw[name], getattr(seen, name), f"{path}.{name}")
    elif isinstance(seen, list):
        assert len(raw) == len(seen), path
        for index, one in enumerate(seen):
            check_values_kept(raw[index], one, f"{path}[{index}]")
    elif isinstance(seen, dict):
        assert set(raw) == set(seen), path
        for key, one in seen.items():
            check_values_kept(raw[key], one, f"{path}.{key}")
    else:
        assert raw == seen, f"{path}: sent {raw!r}, seen {seen!r}"
