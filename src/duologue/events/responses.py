"""Responses: what a client asks for, the response object, its usage, and limits and errors.

`ResponseCreateParams` comes in; everything else goes out. Where the protocol sends null the
field is None; where it leaves a key out the field is UNSET.
"""

from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from duologue.events.items import InputItem, Item
from duologue.events.scalars import (
    MaxOutputTokens,
    Metadata,
    OutputModalities,
    ResponseStatus,
)
from duologue.events.session import AudioFormat, AudioOutputUpdate, Prompt, Reasoning
from duologue.events.tools import Tool, ToolChoice


class ResponseAudioUpdate(Struct, frozen=True, kw_only=True):
    """The audio settings one response may have for itself."""

    output: AudioOutputUpdate | UnsetType = UNSET


class ResponseCreateParams(Struct, frozen=True, kw_only=True):
    """Settings of one response; an UNSET field is the session's.

    `input` present is the whole context, even when it is empty; `conversation` "none" is an
    out-of-band response.
    """

    output_modalities: OutputModalities | UnsetType = UNSET
    instructions: str | UnsetType = UNSET
    audio: ResponseAudioUpdate | UnsetType = UNSET
    tools: tuple[Tool, ...] | UnsetType = UNSET
    tool_choice: ToolChoice | UnsetType = UNSET
    parallel_tool_calls: bool | UnsetType = UNSET
    reasoning: Reasoning | UnsetType = UNSET
    max_output_tokens: MaxOutputTokens | UnsetType = UNSET
    conversation: Literal["auto", "none"] = "auto"
    metadata: Metadata | None = None
    prompt: Prompt | None | UnsetType = UNSET
    input: tuple[InputItem, ...] | UnsetType = UNSET


class CancelledDetails(Struct, frozen=True, kw_only=True, tag_field="type", tag="cancelled"):
    """Why a response was cancelled."""

    reason: Literal["turn_detected", "client_cancelled"]


class IncompleteDetails(Struct, frozen=True, kw_only=True, tag_field="type", tag="incomplete"):
    """Why a response stopped short."""

    reason: Literal["max_output_tokens", "content_filter"]


class ResponseError(Struct, frozen=True, kw_only=True):
    """Why a response failed."""

    type: str
    code: str | None = None
    message: str


class FailedDetails(Struct, frozen=True, kw_only=True, tag_field="type", tag="failed"):
    """That a response failed, and of what."""

    error: ResponseError


StatusDetails = CancelledDetails | IncompleteDetails | FailedDetails


class CachedTokensDetails(Struct, frozen=True, kw_only=True):
    """The cached part of the input tokens, by modality."""

    text_tokens: int = 0
    audio_tokens: int = 0
    image_tokens: int = 0


class InputTokenDetails(Struct, frozen=True, kw_only=True):
    """Input tokens by modality, and how many of them were cached."""

    text_tokens: int = 0
    audio_tokens: int = 0
    image_tokens: int = 0
    cached_tokens: int = 0
    cached_tokens_details: CachedTokensDetails = CachedTokensDetails()


class OutputTokenDetails(Struct, frozen=True, kw_only=True):
    """Output tokens by modality."""

    text_tokens: int = 0
    audio_tokens: int = 0


class Usage(Struct, frozen=True, kw_only=True):
    """Tokens of one response: total = input + output; cached tokens are part of the input."""

    total_tokens: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    input_token_details: InputTokenDetails = InputTokenDetails()
    output_token_details: OutputTokenDetails = OutputTokenDetails()


class ResponseAudioOutput(Struct, frozen=True, kw_only=True):
    """`voice` is a plain name even where the session has a voice by id."""

    format: AudioFormat
    voice: str | None


class ResponseAudio(Struct, frozen=True, kw_only=True):
    """The audio settings a response was made with."""

    output: ResponseAudioOutput


class ResponseExtension(Struct, frozen=True, kw_only=True):
    """What duologue adds under its own key: when the stages of a voice turn were reached.

    `stages_ms` counts from the end of the user's speech: decision, transcript, first_token,
    first_clause, first_audio. A stage reached before the decision was worked ahead.
    """

    stages_ms: dict[str, int]


class Response(Struct, frozen=True, kw_only=True):
    """The response object; `conversation_id` is null out of band, `usage` while in progress."""

    object: Literal["realtime.response"] = "realtime.response"
    id: str
    status: ResponseStatus = "in_progress"
    status_details: StatusDetails | None = None
    output: tuple[Item, ...] = ()
    conversation_id: str | None = None
    output_modalities: OutputModalities = ("audio",)
    max_output_tokens: MaxOutputTokens = "inf"
    audio: ResponseAudio
    usage: Usage | None = None
    metadata: dict[str, str] | None = None
    duologue: ResponseExtension | UnsetType = UNSET


class TextPart(Struct, frozen=True, kw_only=True, tag_field="type", tag="text"):
    """A part in `response.content_part.*`, where it is not called `output_text`."""

    text: str = ""


class AudioPart(Struct, frozen=True, kw_only=True, tag_field="type", tag="audio"):
    """A part in `response.content_part.*`, where it is not called `output_audio`."""

    transcript: str = ""


Part = TextPart | AudioPart


class RateLimit(Struct, frozen=True, kw_only=True):
    """One limit and what is left of it."""

    name: Literal["requests", "tokens"]
    limit: int
    remaining: int
    reset_seconds: float


class ErrorDetail(Struct, frozen=True, kw_only=True):
    """The inside of an `error` event; `event_id` is that of the client event at fault."""

    type: str
    code: str | None = None
    message: str
    param: str | None = None
    event_id: str | None = None


class Conversation(Struct, frozen=True, kw_only=True):
    """The default conversation of a session."""

    object: Literal["realtime.conversation"] = "realtime.conversation"
    id: str


class TranscriptionTokenDetails(Struct, frozen=True, kw_only=True):
    """Input tokens of a transcription by modality."""

    text_tokens: int = 0
    audio_tokens: int = 0


class TranscriptionTokens(Struct, frozen=True, kw_only=True, tag_field="type", tag="tokens"):
    """Usage of a transcription model that is counted in tokens."""

    total_tokens: int
    input_tokens: int
    input_token_details: TranscriptionTokenDetails
    output_tokens: int


class TranscriptionDuration(Struct, frozen=True, kw_only=True, tag_field="type", tag="duration"):
    """Usage of a transcription model that is counted in seconds of sound."""

    seconds: float


TranscriptionUsage = TranscriptionTokens | TranscriptionDuration


class TranscriptionError(Struct, frozen=True, kw_only=True):
    """Why a transcription failed; an absent code or param is left out, never null."""

    type: str
    message: str
    code: str | UnsetType = UNSET
    param: str | UnsetType = UNSET


class TranscriptionLanguage(Struct, frozen=True, kw_only=True):
    """A language found in transcribed speech."""

    code: str


class LogProb(Struct, frozen=True, kw_only=True):
    """The log probability of one token; `bytes` are its UTF-8 bytes as numbers."""

    token: str
    logprob: float
    bytes: tuple[int, ...]
