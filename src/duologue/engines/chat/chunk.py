"""What one event of the upstream's stream says: JSON in, a `Piece` out.

Each dialect has its own way to send sound: base64 in `delta.content` of chunks that are marked
`"modality": "audio"` (vLLM-Omni), or `delta.audio.data` with `delta.audio.transcript` beside
it. A whole answer in place of a stream (`message` for `delta`) is read as one long chunk.
Nothing is believed: what has the wrong type is a fault, and a usage that cannot be is none.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from duologue.engines.chat.faults import nonsense, of_error


class _Audio(msgspec.Struct):
    data: str | None = None
    transcript: str | None = None
    sample_rate: Any = None


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class _ToolCall(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Delta(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None
    audio: _Audio | None = None
    tool_calls: list[_ToolCall] | None = None
    reasoning: Any = None
    reasoning_content: Any = None


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    message: _Delta | None = None
    finish_reason: str | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    modality: str | None = None
    audio_metadata: Any = None
    usage: Any = None
    error: Any = None
    object: str | None = None
    message: Any = None


class CallPiece(msgspec.Struct, frozen=True):
    """A piece of a call. Pieces of one call have its index, its id, or neither."""

    index: int | None
    id: str | None
    name: str
    arguments: str


class Tokens(msgspec.Struct, frozen=True):
    """What the upstream counted. `audio_in` and the like are None where it does not say."""

    prompt: int
    completion: int
    cached: int = 0
    audio_in: int | None = None
    image_in: int | None = None
    audio_out: int = 0


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """One chunk in plain words. `transcript` is text that came beside sound."""

    text: str = ""
    transcript: str = ""
    sound: tuple[str, ...] = ()
    rate_hz: int | None = None
    calls: tuple[CallPiece, ...] = ()
    finish: str | None = None
    tokens: Tokens | None = None
    is_last_count: bool = False
    """`tokens` came by themselves, at the end, and not beside something that was said."""
    thinks: bool = False
    """The model writes what nobody is told."""

    @property
    def says_something(self) -> bool:
        """Whether the model got on with its answer."""
        return bool(self.text or self.transcript or self.sound or self.calls or self.thinks)


_decoder = msgspec.json.Decoder(_Chunk)


def parse(data: bytes) -> Piece:
    """The piece that an event's data is. Raises `UpstreamFault`."""
    try:
        return _piece(_decoder.decode(data))
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise nonsense("sent something that is no chat completion") from None
    except RecursionError:
        raise nonsense("sent JSON that is nested too deeply") from None


def _piece(chunk: _Chunk) -> Piece:
    if chunk.error or chunk.object == "error":
        raise of_error(str(chunk.error or chunk.message))
    choices = chunk.choices or []
    said = [(choice, choice.delta or choice.message or _Delta()) for choice in choices]
    is_audio = chunk.modality == "audio"
    sound = [d.content for _, d in said if is_audio and d.content]
    sound += [d.audio.data for _, d in said if d.audio and d.audio.data]
    return Piece(
        text="".join((d.content or "") + (d.refusal or "") for _, d in said if not is_audio),
        transcript="".join(d.audio.transcript or "" for _, d in said if d.audio),
        sound=tuple(sound),
        rate_hz=_rate_hz(chunk, [d for _, d in said]) if sound else None,
        calls=tuple(piece for _, d in said for piece in _calls(d)),
        finish=next((choice.finish_reason for choice in choices if choice.finish_reason), None),
        tokens=_tokens(chunk.usage),
        is_last_count=not choices,
        thinks=any(d.reasoning or d.reasoning_content for _, d in said),
    )


def _rate_hz(chunk: _Chunk, deltas: list[_Delta]) -> int | None:
    rate = next((d.audio.sample_rate for d in deltas if d.audio and d.audio.sample_rate), None)
    if rate is None and isinstance(chunk.audio_metadata, dict):
        told = chunk.audio_metadata
        rate = told.get("sample_rate_hz", told.get("sample_rate"))
    try:
        return msgspec.convert(rate, int, strict=False)
    except msgspec.ValidationError:
        return None


def _calls(delta: _Delta) -> Iterator[CallPiece]:
    for call in delta.tool_calls or ():
        function = call.function or _Function()
        arguments = function.arguments or ""
        if not isinstance(arguments, str):
            arguments = msgspec.json.encode(arguments).decode()
        yield CallPiece(call.index, call.id or None, function.name or "", arguments)


def _tokens(usage: Any) -> Tokens | None:
    """A usage without both totals, or with a negative one, is none; `Composer` judges the rest."""
    if not isinstance(usage, dict):
        return None
    prompt, completion = _count(usage, "prompt_tokens"), _count(usage, "completion_tokens")
    if prompt is None or completion is None:
        return None
    read = usage.get("prompt_tokens_details")
    made = usage.get("completion_tokens_details")
    return Tokens(
        prompt,
        completion,
        cached=min(prompt, _count(read, "cached_tokens") or 0),
        audio_in=_count(read, "audio_tokens"),
        image_in=_count(read, "image_tokens"),
        audio_out=min(completion, _count(made, "audio_tokens") or 0),
    )


def _count(usage: Any, key: str) -> int | None:
    count = usage.get(key) if isinstance(usage, dict) else None
    is_count = isinstance(count, int) and not isinstance(count, bool) and 0 <= count < 2**63
    return count if is_count else None
