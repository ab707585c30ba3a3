"""The stock `client.beta.realtime.connect` helper, as old applications use it, against a server."""

import base64
import json
from typing import Any

import pytest
from openai import AsyncOpenAI

from beta_oracle import validate_beta_event
from duologue.engines.scripted import tone
from live_server import KEY, scripted, serving

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
MODEL = "gpt-4o-realtime-preview"
TOOL: Any = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}


def client_of(base_url: str, key: str = KEY) -> AsyncOpenAI:
    """The beta helper makes `wss` of any base URL; a plain socket has to be named."""
    plain = "ws" + base_url.removeprefix("http")
    return AsyncOpenAI(api_key=key, base_url=base_url, websocket_base_url=plain)


async def speak(connection: Any, pcm: bytes) -> None:
    for start in range(0, len(pcm), 960):
        audio = base64.b64encode(pcm[start : start + 960]).decode()
        await connection.input_audio_buffer.append(audio=audio)


async def heard(connection: Any) -> Any:
    """The next event, if strict clients accept it, as the helper gives it to applications."""
    frame = await connection.recv_bytes()
    validate_beta_event(frame.decode())
    event = connection.parse_event(frame)
    assert event.type != "error", event
    return event


@pytest.mark.conformance("C-200", "C-202", "C-211")
async def test_a_voice_turn_a_tool_and_a_barge_in() -> None:
    async with serving(scripted(script=SCRIPT)) as base_url:
        async with client_of(base_url).beta.realtime.connect(model=MODEL) as connection:
            await connection.session.update(
                session={
                    "instructions": "Be brief.",
                    "modalities": ["text", "audio"],
                    "voice": "sage",
                    "input_audio_format": "pcm16",
                    "output_audio_format": "pcm16",
                    "tools": [TOOL],
                    "tool_choice": "auto",
                    "temperature": 0.9,
                    "input_audio_transcription": {"model": "whisper-1"},
                    "turn_detection": {"type": "server_vad", "silence_duration_ms": 400},
                }
            )
            await speak(connection, SILENCE + tone(800) + SILENCE)
            seen: list[Any] = []
            responses: list[Any] = []
            kept = None
            while len(responses) < 3 or kept is None:
                event = await heard(connection)
                seen.append(event)
                if event.type == "session.updated":
                    assert (event.session.temperature, event.session.voice) == (0.9, "sage")
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
                        await connection.conversation.item.truncate(
                            item_id=spoken.id, content_index=0, audio_end_ms=240
                        )
                if event.type == "response.audio.delta" and len(responses) == 1:
                    await speak(connection, tone(400) + SILENCE)
                if event.type == "conversation.item.truncated":
                    await connection.conversation.item.retrieve(item_id=event.item_id)
                if event.type == "conversation.item.retrieved":
                    kept = event.item.content[0]
            names = [event.type for event in seen]
            assert names[:3] == ["session.created", "conversation.created", "session.updated"]
            assert {response.conversation_id for response in responses} == {seen[1].conversation.id}
            assert [response.status for response in responses] == [
                "completed",
                "cancelled",
                "completed",
            ]
            assert (kept.type, kept.transcript) == ("audio", "It")
            items = [e.item.id for e in seen if e.type == "conversation.item.created"]
            assert len(items) == len(set(items)) == 7, "each item is created once"
            transcripts = [
                event.transcript
                for event in seen
                if event.type == "conversation.item.input_audio_transcription.completed"
            ]
            assert transcripts == ["What is the weather in Paris?", "Stop."]


@pytest.mark.conformance("C-201", "C-202", "C-211")
async def test_text_turns_and_metadata_out_of_band() -> None:
    async with serving(scripted()) as base_url:
        async with client_of(base_url).beta.realtime.connect(model=MODEL) as connection:
            await connection.session.update(session={"modalities": ["text"]})
            await connection.conversation.item.create(
                item={
                    "type": "message",
                    "role": "user",
                    "content": [{"type": "input_text", "text": "Good day"}],
                }
            )
            await connection.conversation.item.create(
                item={
                    "type": "message",
                    "role": "assistant",
                    "content": [{"type": "text", "text": "Hello."}],
                }
            )
            await connection.response.create(
                response={
                    "conversation": "none",
                    "metadata": {"topic": "greeting"},
                    "temperature": 1.0,
                    "max_response_output_tokens": 50,
                }
            )
            names: list[str] = []
            text = ""
            while not names or names[-1] != "response.done":
                event = await heard(connection)
                names.append(event.type)
                if event.type == "response.text.delta":
                    text += event.delta
            assert text == "You said: Good day"
            assert event.response.metadata == {"topic": "greeting"}
            assert event.response.output[0].content[0].to_dict() == {"type": "text", "text": text}
            assert (event.response.temperature, event.response.max_output_tokens) == (1.0, 50)
            assert names.count("conversation.item.created") == 2
