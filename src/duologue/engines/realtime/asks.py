"""Asks as the upstream takes them: `session.update` and the settings of `response.create`.

The session is told all; a response only where its ask differs from what the session was told,
so that the upstream's cached prefix serves it.
"""

from typing import Any

from duologue.core.talk import Ask, Tool, Truncation
from duologue.errors import EngineFault

FORMAT = {"type": "audio/pcm", "rate": 24000}

OWN_VOICE = "voice_"
"""How the id of a voice begins that the upstream's owner has had made (reference, section 2.1)."""


def session_of(ask: Ask, told: Ask | None) -> dict[str, Any]:
    """The whole session: our server owns the floor, so the upstream detects no turns.

    `told` is what it was told before, None if nothing. What it shall write down of the user is not
    in it, see `hearing.py`.
    """
    return {
        "type": "realtime",
        **_settings(ask, told),
        "audio": {
            "input": {"format": FORMAT, "turn_detection": None},
            "output": {"format": FORMAT, "speed": ask.speed, **_voice(ask)},
        },
        "truncation": _truncation(ask.truncation),
    }


def response_of(ask: Ask, told: Ask | None) -> dict[str, Any]:
    """What `response.create` says of an ask, where the session was `told` another (None: none)."""
    wanted, known = _settings(ask, told), _settings(told, None) if told else {}
    changed = {key: value for key, value in wanted.items() if known.get(key) != value}
    output: dict[str, Any] = {}
    if told is None or ask.voice != told.voice:
        output |= _voice(ask)
    if ask.speed != (told.speed if told else 1.0):
        output["speed"] = ask.speed
    if output:
        changed["audio"] = {"output": output}
    if not ask.keep:
        changed["conversation"] = "none"
    return changed


def check_kind(session: Any, *, duplex: bool) -> None:
    """Raise `EngineFault` where an upstream shows a model of another kind than the talk is for."""
    try:
        shown = session["duologue"]["traits"]["duplex"]
    except (KeyError, TypeError):
        return  # it does not say
    if shown is not duplex:
        kind = "listens while it speaks" if shown else "does not listen while it speaks"
        raise EngineFault(
            f"The upstream's model {kind}, other than when this session began: begin it anew."
        )


def _settings(ask: Ask, told: Ask | None) -> dict[str, Any]:
    """What only some models know is said where it differs from what they would do anyway."""
    settings: dict[str, Any] = {
        "output_modalities": ["audio"] if ask.speak else ["text"],
        "instructions": ask.instructions,
        "tools": [_tool(tool) for tool in ask.tools],
        "tool_choice": _choice(ask.tool_choice),
        "max_output_tokens": ask.max_tokens or "inf",
    }
    if ask.parallel_calls != (told.parallel_calls if told else True):
        settings["parallel_tool_calls"] = ask.parallel_calls
    if ask.reasoning is not None:
        settings["reasoning"] = {"effort": ask.reasoning}
    return settings


def _voice(ask: Ask) -> dict[str, Any]:
    if ask.voice.startswith(OWN_VOICE):
        return {"voice": {"id": ask.voice}}
    return {"voice": ask.voice} if ask.voice else {}


def _tool(tool: Tool) -> dict[str, Any]:
    shown = {"type": "function", "name": tool.name, "parameters": tool.parameters}
    return {**shown, "description": tool.description} if tool.description else shown


def _choice(choice: str) -> Any:
    name = choice.removeprefix("function:")
    return {"type": "function", "name": name} if name != choice else choice


def _truncation(truncation: Truncation) -> Any:
    if not truncation.allowed:
        return "disabled"
    if truncation.kept_share is None:
        return "auto"
    shown = {"type": "retention_ratio", "retention_ratio": truncation.kept_share}
    if truncation.limit_tokens is not None:
        shown["token_limits"] = {"post_instructions": truncation.limit_tokens}
    return shown
