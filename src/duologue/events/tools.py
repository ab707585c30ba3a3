"""Tools a session may call, and the choice between them: both directions of the wire.

A client sends `FunctionTool` and `McpTool`. The server echoes `FunctionTool` and
`McpToolEcho`, which has no room for the secrets an `McpTool` may carry.
"""

from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType

from duologue.events.scalars import Id


class FunctionTool(Struct, frozen=True, kw_only=True, tag_field="type", tag="function"):
    """A function that the client runs; `parameters` is its JSON Schema."""

    name: Id
    description: str | UnsetType = UNSET
    parameters: dict[str, Any] | UnsetType = UNSET


class McpToolFilter(Struct, frozen=True, kw_only=True):
    """A selection of the tools of one MCP server."""

    tool_names: tuple[str, ...] | UnsetType = UNSET
    read_only: bool | UnsetType = UNSET


class McpApprovalFilter(Struct, frozen=True, kw_only=True):
    """Which tools of an MCP server need the client's approval and which never do."""

    always: McpToolFilter | UnsetType = UNSET
    never: McpToolFilter | UnsetType = UNSET


AllowedTools = tuple[str, ...] | McpToolFilter
RequireApproval = Literal["always", "never"] | McpApprovalFilter
Connector = Literal[
    "connector_dropbox",
    "connector_gmail",
    "connector_googlecalendar",
    "connector_googledrive",
    "connector_microsoftteams",
    "connector_outlookcalendar",
    "connector_outlookemail",
    "connector_sharepoint",
]
AllowedCaller = Literal["direct", "programmatic"]


class McpToolEcho(Struct, frozen=True, kw_only=True, tag_field="type", tag="mcp"):
    """An MCP server as the session object shows it: without authorization and headers."""

    server_label: str
    server_url: str | UnsetType = UNSET
    connector_id: Connector | UnsetType = UNSET
    tunnel_id: str | UnsetType = UNSET
    server_description: str | UnsetType = UNSET
    allowed_tools: AllowedTools | UnsetType = UNSET
    require_approval: RequireApproval | UnsetType = UNSET
    allowed_callers: tuple[AllowedCaller, ...] | UnsetType = UNSET
    defer_loading: bool | UnsetType = UNSET


class McpTool(Struct, frozen=True, kw_only=True, tag_field="type", tag="mcp"):
    """An MCP server as a client defines it; a later mention may give only its label."""

    server_label: str
    server_url: str | UnsetType = UNSET
    connector_id: Connector | UnsetType = UNSET
    tunnel_id: str | UnsetType = UNSET
    server_description: str | UnsetType = UNSET
    allowed_tools: AllowedTools | UnsetType = UNSET
    require_approval: RequireApproval | UnsetType = UNSET
    allowed_callers: tuple[AllowedCaller, ...] | UnsetType = UNSET
    defer_loading: bool | UnsetType = UNSET
    authorization: str | UnsetType = UNSET
    headers: dict[str, str] | UnsetType = UNSET

    def echo(self) -> McpToolEcho:
        """This tool as it may be shown: every field except the secret ones."""
        return McpToolEcho(**{name: getattr(self, name) for name in McpToolEcho.__struct_fields__})


Tool = FunctionTool | McpTool
ToolEcho = FunctionTool | McpToolEcho


def echo_tools(tools: tuple[Tool, ...]) -> tuple[ToolEcho, ...]:
    """`tools` as a session object may show them."""
    return tuple(tool.echo() if isinstance(tool, McpTool) else tool for tool in tools)


class FunctionChoice(Struct, frozen=True, kw_only=True, tag_field="type", tag="function"):
    """The model must call this function."""

    name: str


class McpChoice(Struct, frozen=True, kw_only=True, tag_field="type", tag="mcp"):
    """The model must call a tool of this MCP server."""

    server_label: str
    name: str | UnsetType = UNSET


ToolChoice = Literal["none", "auto", "required"] | FunctionChoice | McpChoice
