"""The stock `openai` SDK against a whole server: only the base URL is ours."""

import base64
import json
from typing import Any

from openai import AsyncOpenAI

from duologue.engines.scripted import tone
from live_server import KEY, scripted, serving
from oracle import validate_server_event

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


async def speak(connection: Any, pcm: bytes) -> None:
    for start in range(0, len(pcm), 960):
        audio = base64.b64encode(pcm[start : start + 960]).decode()
        await connection.input_audio_buffer.append(audio=audio)


async def test_a_voice_turn_a_tool_and_a_barge_in() -> None:
    async with serving(scripted(script=SCRIPT)) as base_url:
        client = AsyncOpenAI(api_key=KEY, base_url=base_url)
        async with client.realtime.connect(model="gpt-realtime") as connection:
            await connection.session.update(
                session={
                    "type": "realtime",
                    "instructions": "Be brief.",
                    "tools": [TOOL],
                    "audio": {"input": {"transcription": {"model": "whisper-1"}}},
                }
            )
            await speak(connection, SILENCE + tone(800) + SILENCE)
            seen: list[Any] = []
            responses: list[Any] = []
            async for event in connection:
                validate_server_event(json.dumps(event.to_dict()))
                seen.append(event)
                if event.type == "error":
                    raise AssertionError(event)
                if event.type == "response.done":
                    responses.append(event.response)
                    if len(responses) == 1:
                        call = event.response.output[-1]
                        assert (call.name, json.loads(call.arguments)) == (
                            "get_weather",
                            {"city": "Paris"},
                        )
                        await connection.conversation.item.create(
                            item={
                                "type": "function_call_output",
                                "call_id": call.call_id,
                                "output": "sunny",
                            }
                        )
                        await connection.response.create()
                    if len(responses) == 2:
                        spoken = event.response.output[0]
                        assert event.response.status == "cancelled"
                        await connection.conversation.item.truncate(
                            item_id=spoken.id, content_index=0, audio_end_ms=240
                        )
                    if len(responses) == 3:
                        break
                if event.type == "response.output_audio.delta" and len(responses) == 1:
                    await speak(connection, tone(400) + SILENCE)
                if event.type == "conversation.item.truncated":
                    await connection.conversation.item.retrieve(item_id=event.item_id)
                if event.type == "conversation.item.retrieved":
                    assert event.item.content[0].transcript == "It"
            assert [response.status for response in responses] == [
                "completed",
                "cancelled",
                "completed",
            ]
            transcripts = [
                event.transcript
                for event in seen
                if event.type == "conversation.item.input_audio_transcription.completed"
            ]
            assert transcripts == ["What is the weather in Paris?", "Stop."]


async def test_text_turns_and_metadata_out_of_band() -> None:
    async with serving(scripted()) as base_url:
        client = AsyncOpenAI(api_key=KEY, base_url=base_url)
        async with client.realtime.connect(model="gpt-realtime") as connection:
            await connection.conversation.item.create(
                item={
                    "type": "message",
                    "role": "user",
                    "content": [{"type": "input_text", "text": "Good day"}],
                }
            )
            await connection.response.create(
                response={
                    "output_modalities": ["text"],
                    "conversation": "none",
                    "metadata": {"topic": "greeting"},
                }
            )
            async for event in connection:
                validate_server_event(json.dumps(event.to_dict()))
                if event.type == "response.done":
                    assert event.response.metadata == {"topic": "greeting"}
                    assert event.response.output[0].content[0].text == "You said: Good day"
                    break
