"""Text frames to client events and server events to text frames.

In: JSON → tidied → typed struct → rules; a fault at any step is a `Refusal` with the code of
the error catalogue and the path of the bad field. Appended sound, fifty frames a second from
each caller, goes straight from bytes to struct. Out: one encoder.
"""

from typing import Any, TypeVar

import msgspec

from duologue.errors import Refusal
from duologue.events.client import CLIENT_EVENTS, ClientEvent, InputAudioBufferAppend
from duologue.events.faults import bad_choice, refusal_of
from duologue.events.rules import check_items, check_no_unknown_keys
from duologue.events.server import ServerEvent
from duologue.events.tidy import accept_old_spellings, tidy


class _Named(msgspec.Struct):
    event_id: Any = None


_Body = TypeVar("_Body", bound=msgspec.Struct)

_append = msgspec.json.Decoder(InputAudioBufferAppend)
_named = msgspec.json.Decoder(_Named)
_anything = msgspec.json.Decoder()
_encoder = msgspec.json.Encoder()


def decode_client_event(data: str | bytes, *, strict: bool = False) -> ClientEvent:
    """The event of one text frame; raises `Refusal` and nothing else, whatever the frame holds.

    Unknown keys are ignored and old spellings understood, unless `strict`.
    """
    if not strict:
        try:
            return _append.decode(data)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            pass  # another event, or a fault that the careful way below can name
    raw = tidy(_parse(data, "frame"))
    kind = _kind_of(raw)
    if not strict:
        accept_old_spellings(raw)
    try:
        event = msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        raise refusal_of(error, kind, raw) from None
    if strict:
        check_no_unknown_keys(raw, event)
    check_items(event)
    return event


def decode_body(data: bytes, kind: type[_Body], *, strict: bool = False) -> _Body:
    """The JSON body of an HTTP request as a `kind`, judged as client events are.

    No body is an empty object. Raises `Refusal` with the path of the bad field.
    """
    raw = tidy(_parse(data or b"{}", "body"))
    if not strict:
        accept_old_spellings(raw)
    try:
        body = msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        raise refusal_of(error, kind, raw) from None
    if strict:
        check_no_unknown_keys(raw, body)
    return body


def event_id_of(data: str | bytes) -> str | None:
    """The `event_id` of a refused frame, for its error to echo; None where there is none."""
    try:
        name = _named.decode(data).event_id
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    return name if isinstance(name, str) and len(name) <= 512 else None


def encode_server_event(event: ServerEvent) -> str:
    """One text frame."""
    return _encoder.encode(event).decode()


def _parse(data: str | bytes, what: str) -> dict[str, Any]:
    try:
        raw = _anything.decode(data)
    except RecursionError:
        raise Refusal("invalid_json", "The JSON is nested too deeply.") from None
    except UnicodeError:
        raise Refusal("invalid_json", f"The {what} is not valid UTF-8.") from None
    except msgspec.DecodeError as error:
        raise Refusal("invalid_json", f"The {what} is not valid JSON: {error}.") from None
    if not isinstance(raw, dict):
        subject = "An event" if what == "frame" else "The body"
        raise Refusal("invalid_event", f"{subject} must be a JSON object.")
    return raw


def _kind_of(raw: dict[str, Any]) -> type[ClientEvent]:
    name = raw.get("type")
    if name is None:
        raise Refusal("invalid_event", "An event must have a 'type'.")
    if not isinstance(name, str):
        raise Refusal("invalid_type", "Invalid type for 'type': expected a string.", "type")
    if name not in CLIENT_EVENTS:
        raise bad_choice(name, tuple(CLIENT_EVENTS), "type")
    return CLIENT_EVENTS[name]
