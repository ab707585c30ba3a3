"""The retained beta models of the official SDK as judges of what a beta client is sent.

They validate strictly, the class must be the one of the event's `type`, and a key that they do
not know is a fault, unless it is listed here. Where their lists are closed to what this server
rightly says, the frame is judged with a value of theirs in its place; these are all:

- `session.model`: the hosted models of that time alone;
- `transcription_session.*`: `client_secret` is demanded, though only the REST endpoints give one,
  and the model of a transcription must be one of three;
- `transcription_session.created` has no class and is judged as `…updated`;
- `input_image` parts have no type.
"""

import json
from typing import Any, get_args

from openai.types.beta.realtime import RealtimeServerEvent
from pydantic import BaseModel

from oracle import check_values_kept

_MODELS: dict[str, type[BaseModel]] = {
    get_args(model.model_fields["type"].annotation)[0]: model
    for model in get_args(get_args(RealtimeServerEvent)[0])
}
_MODELS["transcription_session.created"] = _MODELS["transcription_session.updated"]

KNOWN_BETA_EVENTS = frozenset(_MODELS)
"""The wire names of every server event that the SDK's beta union knows, and one it forgot."""

EXTRA_KEYS = {
    *(f"session.{name}" for name in ("object", "expires_at", "prompt", "include")),
    *(f"transcription.{name}" for name in ("id", "object", "expires_at", "include")),
    "transcription.input_audio_noise_reduction",
    *(
        f"transcription.turn_detection.{name}"
        for name in ("eagerness", "create_response", "interrupt_response")
    ),
    *(f"response.usage.input_token_details.{n}" for n in ("image_tokens", "cached_tokens_details")),
    "response.duologue",
}
"""Keys that captures have or a client may set, and the one key of our own, which the SDK's
answers leave to their extras."""


def validate_beta_event(text: str) -> BaseModel:
    """The SDK's view of a text frame; raises where a strict beta client would not accept it."""
    raw = json.loads(text)
    kind = raw["type"]
    judged = _without_exceptions(raw)
    seen = _MODELS[kind].model_validate_json(json.dumps(judged), strict=True)
    check_values_kept(judged, seen, kind)
    _check_keys(judged, seen, "")
    return seen


def _without_exceptions(raw: dict[str, Any]) -> dict[str, Any]:
    judged: dict[str, Any] = json.loads(json.dumps(raw))
    session = judged.get("session")
    if session and "model" in session:
        session["model"] = "gpt-realtime"
    if judged["type"].startswith("transcription_session."):
        judged["type"] = "transcription_session.updated"
        assert "client_secret" not in session
        session["client_secret"] = {"value": "ek_1", "expires_at": 1}
        if session["input_audio_transcription"]:
            session["input_audio_transcription"]["model"] = "whisper-1"
    items = [judged.get("item"), *judged.get("response", {}).get("output", ())]
    for item in filter(None, items):
        parts = item.get("content", ())
        item["content"] = [part for part in parts if part["type"] != "input_image"]
    return judged


def _check_keys(raw: Any, seen: Any, path: str) -> None:
    """Every key must be one that the SDK has a field for, or listed above."""
    if isinstance(seen, BaseModel):
        if type(seen).__name__ == "TranscriptionSession":
            path = "transcription"
        for name, value in raw.items():
            below = f"{path}.{name}".lstrip(".")
            if name in type(seen).model_fields:
                _check_keys(value, getattr(seen, name), below)
            else:
                assert below in EXTRA_KEYS, f"{below} is no key of the beta protocol"
    elif isinstance(seen, list):
        for raw_one, seen_one in zip(raw, seen, strict=True):
            _check_keys(raw_one, seen_one, path)
