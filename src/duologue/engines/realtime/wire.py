"""Upstream events as one wide struct: what is not known is ignored, what is missing is empty.

A frame comes in, an `UpstreamEvent` or None goes out; only a frame that cannot be an event is a
fault. Upstreams differ in what they send besides the essential, and in old and new names.
"""

from typing import Any

import msgspec
from msgspec import Struct

from duologue.errors import EngineFault


class Fault(Struct, frozen=True):
    """The inside of an `error` event or of a failed response."""

    type: str | None = None
    code: str | None = None
    message: str | None = None
    event_id: str | None = None
    param: Any = None
    """Only read for the names of fields in it, so its shape may be any."""


class Details(Struct, frozen=True):
    """Why a response ended as it did."""

    reason: str | None = None
    error: Fault | None = None


class Tokens(Struct, frozen=True):
    """Tokens by modality; `cached_tokens_details` are the same of the cached part."""

    text_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None
    cached_tokens_details: "Tokens | None" = None


class Usage(Struct, frozen=True):
    """What a response has used."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    input_token_details: Tokens | None = None
    output_token_details: Tokens | None = None


def usage_of(told: Any) -> Usage | None:
    """A usage that can be; one of another shape is none, for the reply is worth more."""
    try:
        return msgspec.convert(told, Usage) if told else None
    except msgspec.ValidationError:
        return None


class UpstreamItem(Struct, frozen=True):
    """An item of the upstream's conversation."""

    id: str = ""
    type: str = ""
    status: str | None = None
    name: str | None = None
    call_id: str | None = None
    arguments: str | None = None
    content: tuple[Any, ...] | None = None

    @property
    def text(self) -> str:
        """The words of all its parts."""
        parts = (part for part in self.content or () if isinstance(part, dict))
        return "".join(str(part.get("transcript") or part.get("text") or "") for part in parts)


class UpstreamResponse(Struct, frozen=True):
    """A response object."""

    id: str = ""
    status: str | None = None
    status_details: Details | None = None
    usage: Any = None
    """See `usage_of`."""
    metadata: dict[str, Any] | None = None


class UpstreamEvent(Struct, frozen=True):
    """Any event: the fields that are looked at."""

    type: str
    response_id: str = ""
    item_id: str = ""
    output_index: int = 0
    content_index: int = 0
    delta: str | None = None
    sample_rate_hz: Any = None
    """Of the sound in `delta` (vLLM-Omni)."""
    transcript: str | None = None
    audio_start_ms: int | None = None
    audio_end_ms: int | None = None
    arguments: str | None = None
    name: str | None = None
    item: UpstreamItem | None = None
    response: UpstreamResponse | None = None
    error: Fault | str | None = None
    code: str | None = None
    session: Any = None
    languages: Any = None
    logprobs: Any = None

    @property
    def fault(self) -> Fault:
        """Of an `error`, or of what failed; vLLM-Omni tells some as bare text beside a code."""
        if isinstance(self.error, str):
            return Fault(code=self.code, message=self.error)
        return self.error or Fault()

    @property
    def call(self) -> UpstreamItem | None:
        """The function call that is whole with this event, where it is one that awaits a result."""
        item = self.item
        if item is None or self.type != "response.output_item.done" or not item.call_id:
            return None
        return item if item.type == "function_call" and item.status != "incomplete" else None


class _Named(Struct, frozen=True):
    type: str


OLD_NAMES = {
    "response.audio.delta": "response.output_audio.delta",
    "response.audio_transcript.delta": "response.output_audio_transcript.delta",
    "response.text.delta": "response.output_text.delta",
}
"""Beta names of what matters, and their names of today."""

_PREFIXES = ("response.", "error", "session.", "conversation.item.input_audio_transcription.")

_decode = msgspec.json.Decoder(UpstreamEvent).decode
_decode_named = msgspec.json.Decoder(_Named).decode
_encoder = msgspec.json.Encoder()


def decode(frame: str | bytes) -> UpstreamEvent | None:
    """The event of a frame; None for one that says nothing to us. Raises `EngineFault`."""
    try:
        event = _decode(frame)
    except (msgspec.ValidationError, RecursionError):
        _check_unimportant(frame)
        return None
    except (msgspec.DecodeError, UnicodeError):
        raise EngineFault("The upstream sent something that is no JSON.") from None
    if name := OLD_NAMES.get(event.type):
        return msgspec.structs.replace(event, type=name)
    return event


def _check_unimportant(frame: str | bytes) -> None:
    try:
        name = _decode_named(frame).type
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise EngineFault("The upstream sent something that is no event.") from None
    if name.startswith(_PREFIXES):
        raise EngineFault(f"The upstream sent '{name[:80]}' in an unknown shape.")


def encode(event: dict[str, Any]) -> str:
    """A frame; bytes in the event become base64."""
    return _encoder.encode(event).decode()
