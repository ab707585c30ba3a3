"""Events the server sends, as a union tagged by `type`. `codec.py` makes text frames of them.

Class names are the wire names in CamelCase. A key the protocol sends as null is None here, a
key it leaves out is UNSET; `event_id` is unique in the session.
"""

from typing import get_args

from msgspec import UNSET, Struct, UnsetType

from duologue.events.items import Item
from duologue.events.replies import (
    ResponseContentPartAdded,
    ResponseContentPartDone,
    ResponseCreated,
    ResponseDone,
    ResponseFunctionCallArgumentsDelta,
    ResponseFunctionCallArgumentsDone,
    ResponseMcpCallArgumentsDelta,
    ResponseMcpCallArgumentsDone,
    ResponseMcpCallCompleted,
    ResponseMcpCallFailed,
    ResponseMcpCallInProgress,
    ResponseOutputAudioDelta,
    ResponseOutputAudioDone,
    ResponseOutputAudioTranscriptDelta,
    ResponseOutputAudioTranscriptDone,
    ResponseOutputItemAdded,
    ResponseOutputItemDone,
    ResponseOutputTextDelta,
    ResponseOutputTextDone,
)
from duologue.events.responses import (
    Conversation,
    ErrorDetail,
    LogProb,
    RateLimit,
    TranscriptionError,
    TranscriptionLanguage,
    TranscriptionUsage,
)
from duologue.events.session import Session


class SessionCreated(Struct, frozen=True, kw_only=True, tag_field="type", tag="session.created"):
    """First event of every session."""

    event_id: str
    session: Session


class SessionUpdated(Struct, frozen=True, kw_only=True, tag_field="type", tag="session.updated"):
    """The whole effective session, after each accepted update."""

    event_id: str
    session: Session


class Error(Struct, frozen=True, kw_only=True, tag_field="type", tag="error"):
    """A refused client event, or a fault that belongs to no response."""

    event_id: str
    error: ErrorDetail


class ConversationCreated(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="conversation.created"
):
    """The session's conversation exists."""

    event_id: str
    conversation: Conversation


class ConversationItemAdded(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="conversation.item.added"
):
    """`previous_item_id` is null for the first item."""

    event_id: str
    previous_item_id: str | None
    item: Item


class ConversationItemDone(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="conversation.item.done"
):
    """An item of the conversation is final; it carries no sound."""

    event_id: str
    previous_item_id: str | None
    item: Item


class ConversationItemRetrieved(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="conversation.item.retrieved"
):
    """The item with its sound."""

    event_id: str
    item: Item


class ConversationItemDeleted(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="conversation.item.deleted"
):
    """An item was taken out of the conversation."""

    event_id: str
    item_id: str


class ConversationItemTruncated(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="conversation.item.truncated"
):
    """An assistant's item was cut to its first `audio_end_ms`."""

    event_id: str
    item_id: str
    content_index: int
    audio_end_ms: int


class ConversationItemInputAudioTranscriptionDelta(
    Struct,
    frozen=True,
    kw_only=True,
    tag_field="type",
    tag="conversation.item.input_audio_transcription.delta",
):
    """More of the transcript of a user's speech."""

    event_id: str
    item_id: str
    content_index: int
    delta: str
    logprobs: tuple[LogProb, ...] | None | UnsetType = UNSET


class ConversationItemInputAudioTranscriptionCompleted(
    Struct,
    frozen=True,
    kw_only=True,
    tag_field="type",
    tag="conversation.item.input_audio_transcription.completed",
):
    """The whole transcript of a user's speech."""

    event_id: str
    item_id: str
    content_index: int
    transcript: str
    usage: TranscriptionUsage
    languages: tuple[TranscriptionLanguage, ...] | UnsetType = UNSET
    logprobs: tuple[LogProb, ...] | None | UnsetType = UNSET


class ConversationItemInputAudioTranscriptionFailed(
    Struct,
    frozen=True,
    kw_only=True,
    tag_field="type",
    tag="conversation.item.input_audio_transcription.failed",
):
    """A user's speech could not be transcribed."""

    event_id: str
    item_id: str
    content_index: int
    error: TranscriptionError


class ConversationItemInputAudioTranscriptionSegment(
    Struct,
    frozen=True,
    kw_only=True,
    tag_field="type",
    tag="conversation.item.input_audio_transcription.segment",
):
    """`start` and `end` are in seconds."""

    event_id: str
    item_id: str
    content_index: int
    id: str
    text: str
    speaker: str
    start: float
    end: float


class InputAudioBufferCommitted(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="input_audio_buffer.committed"
):
    """The buffered sound became a user item."""

    event_id: str
    previous_item_id: str | None
    item_id: str


class InputAudioBufferCleared(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="input_audio_buffer.cleared"
):
    """The buffered sound was thrown away."""

    event_id: str


class InputAudioBufferSpeechStarted(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="input_audio_buffer.speech_started"
):
    """`audio_start_ms` includes the prefix padding."""

    event_id: str
    audio_start_ms: int
    item_id: str


class InputAudioBufferSpeechStopped(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="input_audio_buffer.speech_stopped"
):
    """`audio_end_ms` includes the silence window."""

    event_id: str
    audio_end_ms: int
    item_id: str


class InputAudioBufferTimeoutTriggered(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="input_audio_buffer.timeout_triggered"
):
    """Nobody spoke for the idle timeout."""

    event_id: str
    audio_start_ms: int
    audio_end_ms: int
    item_id: str


class InputAudioBufferDtmfEventReceived(
    Struct,
    frozen=True,
    kw_only=True,
    tag_field="type",
    tag="input_audio_buffer.dtmf_event_received",
):
    """`received_at` is in Unix seconds."""

    event_id: str
    event: str
    received_at: int


class OutputAudioBufferStarted(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="output_audio_buffer.started"
):
    """The server began to play a response (WebRTC and SIP)."""

    event_id: str
    response_id: str


class OutputAudioBufferStopped(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="output_audio_buffer.stopped"
):
    """The server played a response to its end (WebRTC and SIP)."""

    event_id: str
    response_id: str


class OutputAudioBufferCleared(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="output_audio_buffer.cleared"
):
    """The server stopped playing a response early (WebRTC and SIP)."""

    event_id: str
    response_id: str


class McpListToolsInProgress(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="mcp_list_tools.in_progress"
):
    """The tools of an MCP server are being fetched."""

    event_id: str
    item_id: str


class McpListToolsCompleted(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="mcp_list_tools.completed"
):
    """The tools of an MCP server are known; the item has them."""

    event_id: str
    item_id: str


class McpListToolsFailed(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="mcp_list_tools.failed"
):
    """The tools of an MCP server could not be fetched."""

    event_id: str
    item_id: str


class RateLimitsUpdated(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="rate_limits.updated"
):
    """What is left of the caller's limits."""

    event_id: str
    rate_limits: tuple[RateLimit, ...]


ServerEvent = (
    SessionCreated
    | SessionUpdated
    | Error
    | ConversationCreated
    | ConversationItemAdded
    | ConversationItemDone
    | ConversationItemRetrieved
    | ConversationItemDeleted
    | ConversationItemTruncated
    | ConversationItemInputAudioTranscriptionDelta
    | ConversationItemInputAudioTranscriptionCompleted
    | ConversationItemInputAudioTranscriptionFailed
    | ConversationItemInputAudioTranscriptionSegment
    | InputAudioBufferCommitted
    | InputAudioBufferCleared
    | InputAudioBufferSpeechStarted
    | InputAudioBufferSpeechStopped
    | InputAudioBufferTimeoutTriggered
    | InputAudioBufferDtmfEventReceived
    | OutputAudioBufferStarted
    | OutputAudioBufferStopped
    | OutputAudioBufferCleared
    | ResponseCreated
    | ResponseDone
    | ResponseOutputItemAdded
    | ResponseOutputItemDone
    | ResponseContentPartAdded
    | ResponseContentPartDone
    | ResponseOutputTextDelta
    | ResponseOutputTextDone
    | ResponseOutputAudioDelta
    | ResponseOutputAudioDone
    | ResponseOutputAudioTranscriptDelta
    | ResponseOutputAudioTranscriptDone
    | ResponseFunctionCallArgumentsDelta
    | ResponseFunctionCallArgumentsDone
    | ResponseMcpCallArgumentsDelta
    | ResponseMcpCallArgumentsDone
    | ResponseMcpCallInProgress
    | ResponseMcpCallCompleted
    | ResponseMcpCallFailed
    | McpListToolsInProgress
    | McpListToolsCompleted
    | McpListToolsFailed
    | RateLimitsUpdated
)


SERVER_EVENTS: dict[str, type[ServerEvent]] = {
    str(cls.__struct_config__.tag): cls for cls in get_args(ServerEvent)
}
"""Every server event class by its wire name."""
