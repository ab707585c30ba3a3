"""The pieces of an upstream's stream put together, without a server."""

import json

import pytest

from duologue.core.talk import Ask, ReplyEvent, Tool
from duologue.engines.chat.composer import Composer
from duologue.engines.pace import Pace
from duologue.errors import EngineFault

ASK = Ask(tools=(Tool("get_weather"), Tool("get_time")), speak=False)


def piece(name: str | None = None, arguments: str = "", **key: object) -> dict[str, object]:
    return {**key, "function": {"name": name, "arguments": arguments}}


async def composed(ask: Ask, *pieces: dict[str, object]) -> list[ReplyEvent]:
    """The events of an answer that is these pieces of calls, one to a chunk."""
    composer = Composer(ask, {"text": 1}, Pace(), 4096)
    deltas = [{"delta": {"tool_calls": [piece]}} for piece in pieces]
    end = {"delta": {}, "finish_reason": "tool_calls"}
    events: list[ReplyEvent] = []
    for choice in (*deltas, end):
        events += await composer.take(json.dumps({"choices": [choice]}).encode())
    return [*events, *await composer.end()]


async def test_arguments_that_are_nested_too_deeply_are_a_fault() -> None:
    nested = piece("get_weather", '{"x":' + "[" * 3000 + "]" * 3000 + "}", id="a")
    with pytest.raises(EngineFault, match="not a JSON object"):
        await composed(ASK, nested)
