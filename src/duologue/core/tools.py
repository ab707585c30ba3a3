"""A session's tools and which of them a reply must call: wire objects in, the engine's out.

A `tool_choice` is a promise, so one that the tools beside it cannot keep is refused. But clients
set the choice and the tools in updates of their own, in either order (LiveKit: the choice first),
so while a session has no tools at all, what it chose waits and replies are in words. A response
is asked for once: what it chooses itself must be there.
"""

from collections.abc import Sequence

from duologue.core.talk import Tool
from duologue.errors import Refusal
from duologue.events import FunctionChoice, FunctionTool, McpChoice, McpTool, ToolChoice, ToolEcho
from duologue.events import Tool as WireTool


def check_tools(tools: tuple[WireTool, ...], param: str) -> tuple[ToolEcho, ...]:
    """The tools as they may be shown, if this server can offer every one of them."""
    names: set[str] = set()
    for index, tool in enumerate(tools):
        if isinstance(tool, McpTool):
            raise Refusal(
                "invalid_value",
                "Remote MCP servers are not supported by this version of the server.",
                f"{param}[{index}].type",
            )
        if tool.name in names:
            raise Refusal(
                "invalid_value", f"Duplicate tool name: '{tool.name}'.", f"{param}[{index}].name"
            )
        names.add(tool.name)
    return tuple(tool for tool in tools if isinstance(tool, FunctionTool))


def check_tool_choice(
    choice: ToolChoice, tools: Sequence[ToolEcho | WireTool], param: str, *, waits: bool
) -> None:
    """Refuse a choice that `tools` cannot satisfy; with none at all it may wait for some."""
    if isinstance(choice, McpChoice):
        raise Refusal(
            "invalid_value",
            "Remote MCP servers are not supported by this version of the server.",
            f"{param}.type",
        )
    if _is_met(choice, tools) or (waits and not tools):
        return
    if isinstance(choice, FunctionChoice):
        message = f"Tool choice '{choice.name}' is not one of the tools."
    else:
        message = f"Tool choice '{choice}' needs tools to choose from, and there are none."
    raise Refusal("invalid_value", message, param)


def kept_choice(choice: ToolChoice, tools: Sequence[ToolEcho]) -> ToolChoice:
    """The choice in force once `tools` have taken the place of others: none that is not there."""
    return choice if _is_met(choice, tools) or not tools else "auto"


def engine_tools(
    tools: Sequence[ToolEcho | WireTool], choice: ToolChoice
) -> tuple[tuple[Tool, ...], str]:
    """Tools and choice as `Ask` has them; a choice that still waits for its tool is "auto"."""
    offered = tuple(
        Tool(tool.name, tool.description or "", tool.parameters or {})
        for tool in tools
        if isinstance(tool, FunctionTool)
    )
    if not _is_met(choice, tools):
        return offered, "auto"
    if isinstance(choice, FunctionChoice):
        return offered, f"function:{choice.name}"
    assert isinstance(choice, str)
    return offered, choice


def _is_met(choice: ToolChoice, tools: Sequence[ToolEcho | WireTool]) -> bool:
    names = [tool.name for tool in tools if isinstance(tool, FunctionTool)]
    if isinstance(choice, FunctionChoice):
        return choice.name in names
    return bool(names) or choice != "required"
