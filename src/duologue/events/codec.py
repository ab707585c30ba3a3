"""Text frames to client events and server events to text frames.

In: JSON → tidied → typed struct → rules; a fault at any step is a `Refusal` with the code of
the error catalogue and the path of the bad field. Appended sound, fifty frames a second from
each caller, goes straight from bytes to struct. Out: one encoder, which never fails: what is no
Unicode text is made some on the way.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from duologue.errors import Refusal
from duologue.events.client import CLIENT_EVENTS, ClientEvent, InputAudioBufferAppend
from duologue.events.faults import bad_choice, refusal_of
from duologue.events.rules import (
    check_idle_timeout,
    check_items,
    check_no_unknown_keys,
    check_transcription_keys,
)
from duologue.events.tidy import accept_old_spellings, tidy
from duologue.text import well_formed


class _Named(msgspec.Struct):
    event_id: Any = None


_Body = TypeVar("_Body", bound=msgspec.Struct)

decode_append = msgspec.json.Decoder(InputAudioBufferAppend).decode
"""Appended sound straight from its frame; anything else raises one of `NOT_AN_APPEND`."""

NOT_AN_APPEND = (msgspec.MsgspecError, UnicodeError, RecursionError)

_named = msgspec.json.Decoder(_Named)
_anything = msgspec.json.Decoder()
_encoder = msgspec.json.Encoder()


def decode_client_event(data: str | bytes, *, strict: bool = False) -> ClientEvent:
    """The event of one text frame; raises `Refusal` and nothing else, whatever the frame holds.

    Unknown keys are ignored and old spellings understood, unless `strict`.
    """
    if not strict:
        try:
            return decode_append(data)
        except NOT_AN_APPEND:
            pass  # another event, or a fault that the careful way below can name
    raw = parse(data)
    if not strict:
        accept_old_spellings(raw)
    check_transcription_keys(raw)
    event: ClientEvent = typed(raw, CLIENT_EVENTS, strict=strict)
    check_idle_timeout(raw, event)
    check_items(event)
    return event


def appended_sound(data: bytes) -> bytes | None:
    """The sound of a frame that appends some; None for any other, and for any fault."""
    try:
        return decode_append(data).audio
    except NOT_AN_APPEND:
        return None


def decode_body(data: bytes, kind: type[_Body], *, strict: bool = False) -> _Body:
    """The JSON body of an HTTP request as a `kind`, judged as client events are.

    No body is an empty object. Raises `Refusal` with the path of the bad field.
    """
    raw = parse(data or b"{}", "body")
    if not strict:
        accept_old_spellings(raw)
    return converted(raw, kind, strict=strict)


def parse(data: str | bytes, what: str = "frame") -> dict[str, Any]:
    """The JSON object of a frame or a body, tidied; raises `Refusal`."""
    return tidy(_parse(data, what))


def typed(raw: dict[str, Any], kinds: Mapping[str, type[Any]], *, strict: bool) -> Any:
    """The event among `kinds` (by wire name) that `raw` names, made from it, or a `Refusal`."""
    return converted(raw, _kind_of(raw, kinds), strict=strict)


def converted(raw: dict[str, Any], kind: type[_Body], *, strict: bool) -> _Body:
    """The `kind` made from `raw`, or a `Refusal`; `strict` refuses keys that are not known."""
    try:
        made = msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        raise refusal_of(error, kind, raw) from None
    if strict:
        check_no_unknown_keys(raw, made)
    return made


def event_id_of(data: str | bytes) -> str | None:
    """The `event_id` of a refused frame, for its error to echo; None where there is none."""
    try:
        name = _named.decode(data).event_id
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    return name if isinstance(name, str) and len(name) <= 512 else None


def encode_server_event(event: msgspec.Struct) -> str:
    """One text frame; half a surrogate pair, wherever it came from, is U+FFFD in it."""
    try:
        return _encoder.encode(event).decode()
    except UnicodeEncodeError:
        return _encoder.encode(_well_formed(msgspec.to_builtins(event))).decode()


def _well_formed(value: Any) -> Any:
    """Plain data in which all text is text."""
    match value:
        case str():
            return well_formed(value)
        case list() | tuple():
            return [_well_formed(each) for each in value]
        case dict():
            return {well_formed(key): _well_formed(each) for key, each in value.items()}
    return value


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


def _kind_of(raw: dict[str, Any], kinds: Mapping[str, type[Any]]) -> type[Any]:
    name = raw.get("type")
    if name is None:
        raise Refusal("invalid_event", "An event must have a 'type'.")
    if not isinstance(name, str):
        raise Refusal("invalid_type", "Invalid type for 'type': expected a string.", "type")
    if name not in kinds:
        raise bad_choice(name, tuple(kinds), "type")
    return kinds[name]
