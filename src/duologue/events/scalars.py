"""Small field types that many wire objects share, with the limits the protocol gives them.

Everything here is an alias for the type checker and a limit for the codec. Limits are those
of the protocol; a value beyond one is refused with the code of that kind of fault.
"""

from typing import Annotated, Literal

from msgspec import Meta

APPEND_LIMIT_BYTES = 15 * 1024 * 1024
"""The most sound that one client event may carry, in bytes after base64."""

EventId = Annotated[str, Meta(max_length=512)]
Id = Annotated[str, Meta(max_length=64)]
Sound = Annotated[bytes, Meta(max_length=APPEND_LIMIT_BYTES)]
"""Encoded audio: bytes here, base64 on the wire."""

LARGEST_INTEGER = 2**53 - 1
"""The largest integer that every JSON reader agrees on; larger ones are refused."""

Index = Annotated[int, Meta(ge=0, le=LARGEST_INTEGER)]
Milliseconds = Annotated[int, Meta(ge=0, le=LARGEST_INTEGER)]
StatusCode = Annotated[int, Meta(ge=-LARGEST_INTEGER, le=LARGEST_INTEGER)]

Modality = Literal["audio", "text"]
OutputModalities = tuple[Modality]
"""Exactly one of the two: a reply is spoken or written, never both."""

MaxOutputTokens = Annotated[int, Meta(ge=1, le=LARGEST_INTEGER)] | Literal["inf"]
Speed = Annotated[float, Meta(ge=0.25, le=1.5)]

Metadata = Annotated[
    dict[Annotated[str, Meta(max_length=64)], Annotated[str, Meta(max_length=512)]],
    Meta(max_length=16),
]

ItemStatus = Literal["completed", "incomplete", "in_progress"]
ResponseStatus = Literal["in_progress", "completed", "cancelled", "failed", "incomplete"]
Include = Literal["item.input_audio_transcription.logprobs"]
