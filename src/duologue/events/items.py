"""Conversation items and their content parts: one struct per item type, both directions.

`id` and `status` are absent (UNSET) while a client has not named them; the session fills
them in before the item goes out. `audio` is bytes here and base64 on the wire; it and
`image_url` are absent except where a client sends them or retrieves an item.
"""

from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType

from duologue.events.scalars import Id, ItemStatus, Sound, StatusCode

ItemObject = Literal["realtime.item"]


class InputText(Struct, frozen=True, kw_only=True, tag_field="type", tag="input_text"):
    """Text of the user or the system."""

    text: str


class InputAudio(Struct, frozen=True, kw_only=True, tag_field="type", tag="input_audio"):
    """Sound of the user; `transcript` is null until one is known."""

    audio: Sound | UnsetType = UNSET
    transcript: str | None = None


class InputImage(Struct, frozen=True, kw_only=True, tag_field="type", tag="input_image"):
    """An image as a data URI; it is absent except where a client sends or retrieves it."""

    image_url: str | UnsetType = UNSET
    detail: Literal["auto", "low", "high"] = "auto"


class OutputText(Struct, frozen=True, kw_only=True, tag_field="type", tag="output_text"):
    """Text of the assistant."""

    text: str


class OutputAudio(Struct, frozen=True, kw_only=True, tag_field="type", tag="output_audio"):
    """Sound of the assistant; `transcript` is absent once a truncation has deleted it."""

    audio: Sound | UnsetType = UNSET
    transcript: str | UnsetType = UNSET


Content = InputText | InputAudio | InputImage | OutputText | OutputAudio


class MessageItem(Struct, frozen=True, kw_only=True, tag_field="type", tag="message"):
    """A message; which parts a role may have is checked when a client sends one."""

    id: Id | UnsetType = UNSET
    object: ItemObject = "realtime.item"
    status: ItemStatus | UnsetType = UNSET
    role: Literal["system", "user", "assistant"]
    content: tuple[Content, ...]


class FunctionCallItem(Struct, frozen=True, kw_only=True, tag_field="type", tag="function_call"):
    """A function call; `arguments` is the JSON text as the model wrote it."""

    id: Id | UnsetType = UNSET
    object: ItemObject = "realtime.item"
    status: ItemStatus | UnsetType = UNSET
    name: str
    call_id: Id | UnsetType = UNSET
    arguments: str


class FunctionCallOutputItem(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="function_call_output"
):
    """What a function call returned, as text."""

    id: Id | UnsetType = UNSET
    object: ItemObject = "realtime.item"
    status: ItemStatus | UnsetType = UNSET
    call_id: Id
    output: str


class McpListedTool(Struct, frozen=True, kw_only=True):
    """A tool that an MCP server offers; the description is "" rather than absent."""

    name: str
    input_schema: Any
    description: str = ""
    annotations: Any | UnsetType = UNSET


class McpListToolsItem(Struct, frozen=True, kw_only=True, tag_field="type", tag="mcp_list_tools"):
    """The tools that an MCP server offers."""

    id: Id | UnsetType = UNSET
    object: ItemObject = "realtime.item"
    status: ItemStatus | UnsetType = UNSET
    server_label: str
    tools: tuple[McpListedTool, ...]


class McpProtocolError(Struct, frozen=True, kw_only=True, tag_field="type", tag="protocol_error"):
    """The MCP server spoke the protocol wrongly."""

    code: StatusCode
    message: str


class McpHttpError(Struct, frozen=True, kw_only=True, tag_field="type", tag="http_error"):
    """The MCP server answered with an HTTP error."""

    code: StatusCode
    message: str


class McpToolExecutionError(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="tool_execution_error"
):
    """The tool itself failed."""

    message: str


McpError = McpProtocolError | McpHttpError | McpToolExecutionError


class McpCallItem(Struct, frozen=True, kw_only=True, tag_field="type", tag="mcp_call"):
    """A call of an MCP tool by the server; `output` or `error` is null until it is known."""

    id: Id
    object: ItemObject = "realtime.item"
    status: ItemStatus | UnsetType = UNSET
    server_label: str
    name: str
    arguments: str
    output: str | None = None
    error: McpError | None = None
    approval_request_id: str | None = None


class McpApprovalRequestItem(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="mcp_approval_request"
):
    """The server asks whether it may make this MCP call."""

    id: Id
    object: ItemObject = "realtime.item"
    status: ItemStatus | UnsetType = UNSET
    server_label: str
    name: str
    arguments: str


class McpApprovalResponseItem(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="mcp_approval_response"
):
    """The client's answer to an approval request."""

    id: Id | UnsetType = UNSET
    object: ItemObject = "realtime.item"
    status: ItemStatus | UnsetType = UNSET
    approval_request_id: str
    approve: bool
    reason: str | UnsetType = UNSET


class ItemReference(Struct, frozen=True, kw_only=True, tag_field="type", tag="item_reference"):
    """An item of the conversation by its id; only inside `response.create.input`."""

    id: Id


ClientItem = MessageItem | FunctionCallItem | FunctionCallOutputItem | McpApprovalResponseItem
"""What a client may add to the conversation."""

Item = (
    MessageItem
    | FunctionCallItem
    | FunctionCallOutputItem
    | McpListToolsItem
    | McpCallItem
    | McpApprovalRequestItem
    | McpApprovalResponseItem
)
InputItem = Item | ItemReference
"""What `response.create.input` may hold."""
