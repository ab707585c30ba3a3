"""One conversation that both dialects of the `openai` SDK must come through.

A spoken question, a function call and its late answer, speech into the reply, truncation to the
heard words and the reply to the interruption. The server is `scripted` with `SCRIPT`.
"""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from duologue.engines.scripted import tone
from e2e.microphone import append

SCRIPT = """
transcripts = ["What is the weather in Paris?", "Stop."]
[[replies]]
when = "weather"
text = "Let me look."
calls = [{ name = "get_weather", arguments = '{"city":"Paris"}' }]
[[replies]]
when = "sunny"
text = "It is sunny in Paris today and it will stay so."
word_delay_ms = 100
[[replies]]
text = "Fine."
"""
SILENCE = bytes(48_000)
TOOL: Any = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}


async def converse(connection: Any, heard: Callable[[Any], Awaitable[Any]]) -> list[Any]:
    """Talk over a connection whose session has `TOOL`; every event that `heard` gave."""
    await append(connection, SILENCE + tone(800) + SILENCE)
    seen: list[Any] = []
    responses: list[Any] = []
    kept = None
    while len(responses) < 3 or kept is None:
        event = await heard(connection)
        seen.append(event)
        if event.type == "response.done":
            responses.append(event.response)
            if len(responses) == 1:
                await _answer(connection, event.response.output[-1])
            if len(responses) == 2:
                await connection.conversation.item.truncate(
                    item_id=event.response.output[0].id, content_index=0, audio_end_ms=240
                )
        if event.type.endswith("audio.delta") and len(responses) == 1:
            await append(connection, tone(400) + SILENCE)
        if event.type == "conversation.item.truncated":
            await connection.conversation.item.retrieve(item_id=event.item_id)
        if event.type == "conversation.item.retrieved":
            kept = event.item.content[0]
    assert [response.status for response in responses] == ["completed", "cancelled", "completed"]
    assert kept.transcript == "It"
    transcripts = [
        event.transcript
        for event in seen
        if event.type == "conversation.item.input_audio_transcription.completed"
    ]
    assert transcripts == ["What is the weather in Paris?", "Stop."]
    return seen


async def _answer(connection: Any, call: Any) -> None:
    assert (call.name, json.loads(call.arguments)) == ("get_weather", {"city": "Paris"})
    await connection.conversation.item.create(
        item={"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    )
    await connection.response.create()
