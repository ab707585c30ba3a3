"""The pieces of an upstream's stream put together, without a server."""

import json

import pytest
from msgspec import structs

from duologue.core.talk import Ask, Call, ReplyEvent, Tool
from duologue.engines.chat.composer import MOST_PASSED, Composer
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


@pytest.mark.parametrize(
    ("first", "second", "later"),
    [
        ({"id": "a"}, {"id": "b"}, {}),
        ({"id": "a"}, {"id": "b"}, {"id": "b"}),
        ({}, {}, {}),
        ({"index": 0}, {"index": 1}, {"index": 1}),
        ({"index": 0, "id": "a"}, {"index": 0, "id": "b"}, {"index": 0}),
    ],
)
async def test_a_call_too_many_does_not_spoil_the_first(
    first: dict[str, object], second: dict[str, object], later: dict[str, object]
) -> None:
    events = await composed(
        structs.replace(ASK, parallel_calls=False),
        piece("get_weather", **first),
        piece(None, '{"x":1}', **({"index": first["index"]} if "index" in first else {})),
        piece("get_time", **second),
        piece(None, '{"x":', **later),
        piece(None, "2}", **later),
        piece("get_time", "{}", **({**second, "id": "c"} if second else {})),
        piece(None, " ", **({"id": "c"} if "id" in second else later)),
    )
    made = [event for event in events if isinstance(event, Call)]
    assert {call.index for call in made} == {0} and made[-1].final
    assert "".join(call.name for call in made) == "get_weather"
    assert "".join(call.delta for call in made) == '{"x":1}'


async def test_words_without_sound_are_a_fault_beside_a_call_that_is_passed_over() -> None:
    composer = Composer(Ask(tools=ASK.tools, tool_choice="none"), {"text": 1}, Pace(), 4096)
    call = {"tool_calls": [piece("get_time", "{}", index=0)]}
    for delta in ({"content": "Hello there."}, call):
        await composer.take(json.dumps({"choices": [{"delta": delta}]}).encode())
    await composer.take(b'{"choices": [{"delta": {}, "finish_reason": "stop"}]}')
    with pytest.raises(EngineFault, match="words without sound"):
        await composer.end()


async def test_a_model_that_loops_in_calls_is_not_remembered_for_ever() -> None:
    ask = structs.replace(ASK, parallel_calls=False)
    composer = Composer(ask, {"text": 1}, Pace(), 4096)
    held = []
    for number in range(4 * MOST_PASSED):
        call = {"tool_calls": [piece("get_time", "{}", index=number)]}
        await composer.take(json.dumps({"choices": [{"delta": call}]}).encode())
        held.append(len(composer._calls))
    assert held[-1] == max(held) == 1 + MOST_PASSED
    await composer.take(b'{"choices": [{"delta": {}, "finish_reason": "tool_calls"}]}')
    made = [event for event in await composer.end() if isinstance(event, Call) and event.final]
    assert len(made) == 1
