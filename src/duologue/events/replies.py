"""Server events of one response, from `response.created` to `response.done`, and its MCP calls.

They join the union in `server.py`; its rules for keys hold here too.
"""

from msgspec import Struct

from duologue.events.items import Item
from duologue.events.responses import Part, Response


class ResponseCreated(Struct, frozen=True, kw_only=True, tag_field="type", tag="response.created"):
    """A response was accepted and is in progress."""

    event_id: str
    response: Response


class ResponseDone(Struct, frozen=True, kw_only=True, tag_field="type", tag="response.done"):
    """The last event of a response, sent exactly once, whatever its end."""

    event_id: str
    response: Response


class ResponseOutputItemAdded(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="response.output_item.added"
):
    """An output item begins."""

    event_id: str
    response_id: str
    output_index: int
    item: Item


class ResponseOutputItemDone(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="response.output_item.done"
):
    """An output item is final."""

    event_id: str
    response_id: str
    output_index: int
    item: Item


class ResponseContentPartAdded(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="response.content_part.added"
):
    """A content part begins."""

    event_id: str
    response_id: str
    item_id: str
    output_index: int
    content_index: int
    part: Part


class ResponseContentPartDone(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="response.content_part.done"
):
    """A content part is final."""

    event_id: str
    response_id: str
    item_id: str
    output_index: int
    content_index: int
    part: Part


class ResponseOutputTextDelta(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="response.output_text.delta"
):
    """More text of a written reply."""

    event_id: str
    response_id: str
    item_id: str
    output_index: int
    content_index: int
    delta: str


class ResponseOutputTextDone(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="response.output_text.done"
):
    """The whole text: the deltas joined."""

    event_id: str
    response_id: str
    item_id: str
    output_index: int
    content_index: int
    text: str


class ResponseOutputAudioDelta(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="response.output_audio.delta"
):
    """`delta` is sound in the response's output format."""

    event_id: str
    response_id: str
    item_id: str
    output_index: int
    content_index: int
    delta: bytes


class ResponseOutputAudioDone(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="response.output_audio.done"
):
    """No more sound of this part follows."""

    event_id: str
    response_id: str
    item_id: str
    output_index: int
    content_index: int


class ResponseOutputAudioTranscriptDelta(
    Struct,
    frozen=True,
    kw_only=True,
    tag_field="type",
    tag="response.output_audio_transcript.delta",
):
    """More of the words that are spoken."""

    event_id: str
    response_id: str
    item_id: str
    output_index: int
    content_index: int
    delta: str


class ResponseOutputAudioTranscriptDone(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="response.output_audio_transcript.done"
):
    """The whole transcript: the deltas joined."""

    event_id: str
    response_id: str
    item_id: str
    output_index: int
    content_index: int
    transcript: str


class ResponseFunctionCallArgumentsDelta(
    Struct,
    frozen=True,
    kw_only=True,
    tag_field="type",
    tag="response.function_call_arguments.delta",
):
    """More of the JSON text of a call's arguments."""

    event_id: str
    response_id: str
    item_id: str
    output_index: int
    call_id: str
    delta: str


class ResponseFunctionCallArgumentsDone(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="response.function_call_arguments.done"
):
    """The whole JSON text of a call's arguments."""

    event_id: str
    response_id: str
    item_id: str
    output_index: int
    call_id: str
    name: str
    arguments: str


class ResponseMcpCallArgumentsDelta(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="response.mcp_call_arguments.delta"
):
    """Strict clients want `obfuscation` to be present."""

    event_id: str
    response_id: str
    item_id: str
    output_index: int
    delta: str
    obfuscation: str = ""


class ResponseMcpCallArgumentsDone(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="response.mcp_call_arguments.done"
):
    """The whole JSON text of an MCP call's arguments."""

    event_id: str
    response_id: str
    item_id: str
    output_index: int
    arguments: str


class ResponseMcpCallInProgress(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="response.mcp_call.in_progress"
):
    """An MCP call has been sent to its server."""

    event_id: str
    item_id: str
    output_index: int


class ResponseMcpCallCompleted(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="response.mcp_call.completed"
):
    """An MCP call returned."""

    event_id: str
    item_id: str
    output_index: int


class ResponseMcpCallFailed(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="response.mcp_call.failed"
):
    """An MCP call failed; the item has the error."""

    event_id: str
    item_id: str
    output_index: int
