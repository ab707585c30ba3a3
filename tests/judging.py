"""Every event that a test makes the server send is judged: here, without the test asking.

In: events as JSON, from the sockets of `live_server` and from every `Timeline`. The SDK's
models judge strictly, in the dialect of the connection; where the published schemas
(`published_schema.py`) differ, that is a warning. An event of a shape that was valid before is
passed over, so that it costs tests next to nothing.
"""

import json
import warnings
from typing import Any, Literal, get_args

import msgspec
from openai.types.realtime import RealtimeTranslationServerEvent
from pydantic import TypeAdapter

from beta_oracle import validate_beta_event
from duologue.events import encode_server_event
from oracle import KNOWN_SERVER_EVENTS, check_values_kept, validate_server_event
from published_schema import SchemaDiffers, differences

Dialect = Literal["ga", "beta", "translation"]

FREE_TEXT = frozenset(
    ("id", "event_id", "item_id", "previous_item_id", "response_id", "call_id", "conversation_id")
    + (
        "delta",
        "text",
        "transcript",
        "arguments",
        "audio",
        "instructions",
        "message",
        "obfuscation",
    )
    + ("output", "image_url", "param")
)
"""Keys whose strings mean nothing to a model: any other will do as well."""

_translation: TypeAdapter[Any] = TypeAdapter(get_args(RealtimeTranslationServerEvent)[0])
_valid: set[Any] = set()


class Judge:
    """The judge of one connection. Its dialect is that of the last session object it was sent."""

    def __init__(self) -> None:
        self.dialect: Dialect = "ga"

    def __call__(self, event: dict[str, Any]) -> None:
        """Raise if a strict client would not accept `event`."""
        if session := event.get("session"):
            # Only a flat session of the beta protocol does not say of which type it is.
            kind = session.get("type", "beta")
            self.dialect = kind if kind in ("beta", "translation") else "ga"
        shape = (self.dialect, shape_of(event))
        if shape not in _valid:
            _validate(event, self.dialect)
            _valid.add(shape)


def judge_timeline(event: msgspec.Struct) -> None:
    """The same for an event of a timeline; only translation has events that GA has not."""
    wire = msgspec.json.decode(encode_server_event(event))  # type: ignore[arg-type]
    judge = Judge()
    judge.dialect = "ga" if wire["type"] in KNOWN_SERVER_EVENTS else "translation"
    judge(wire)


def _validate(event: dict[str, Any], dialect: Dialect) -> None:
    if dialect == "beta":
        validate_beta_event(json.dumps(event))
        return
    if dialect == "translation":
        text = json.dumps(event)
        check_values_kept(event, _translation.validate_json(text, strict=True), event["type"])
    else:
        validate_server_event(json.dumps(event))
    for difference in differences(event, translation=dialect == "translation"):
        warnings.warn(f"the published schema differs: {difference}", SchemaDiffers, stacklevel=4)


def shape_of(value: Any, key: str = "") -> Any:
    """All that a model can tell about a value: keys, types, words of the protocol, signs."""
    if isinstance(value, dict):
        return tuple((name, shape_of(inner, name)) for name, inner in value.items())
    if isinstance(value, list):
        return (list, *dict.fromkeys(shape_of(one, key) for one in value))
    if isinstance(value, str):
        return str if key in FREE_TEXT else value
    if value is None or isinstance(value, bool):
        return value
    return type(value), value < 0
