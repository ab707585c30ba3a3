"""The stock beta helper against the real `light` engine with the small weights, in one session."""

import asyncio
import base64
import json
from typing import Any

import pytest
from openai import AsyncOpenAI

from beta_oracle import validate_beta_event
from duologue.config import ServerConfig
from e2e.microphone import speak
from live_server import KEY, Serve
from recordings import recording
from weights import weights

pytestmark = [pytest.mark.weights, pytest.mark.timeout(180)]
SILENCE = bytes(48_000)
TOOL: Any = {
    "type": "function",
    "name": "get_weather",
    "parameters": {
        "type": "object",
        "properties": {"day": {"type": "string", "enum": ["today", "tomorrow"]}},
        "required": ["day"],
    },
}


async def until(connection: Any, kind: str, seen: list[Any]) -> Any:
    """The next event of a kind; strict beta clients accept it and all before it."""
    while True:
        frame = await connection.recv_bytes()
        validate_beta_event(frame.decode())
        event = connection.parse_event(frame)
        assert event.type != "error", event
        seen.append(event)
        if event.type == kind:
            return event


async def say(connection: Any, text: str) -> None:
    content: Any = [{"type": "input_text", "text": text}]
    await connection.conversation.item.create(
        item={"type": "message", "role": "user", "content": content}
    )


@pytest.mark.slow
@pytest.mark.conformance("C-200", "C-211")
@pytest.mark.client(
    "openai Python beta",
    "connection",
    "text turn",
    "voice turn",
    "transcript",
    "function call",
    "interruption",
)
async def test_text_voice_a_tool_and_an_interruption(serve_weights: Serve) -> None:
    for name in ("silero-vad", "whisper-tiny.en", "smollm2-135m-instruct-q4_1"):
        weights(name)
    config = ServerConfig(engine="light", profile="small", port=0, api_key=KEY, max_sessions=1)
    async with serve_weights(config) as base_url:
        plain = "ws" + base_url.removeprefix("http")
        client = AsyncOpenAI(api_key=KEY, base_url=base_url, websocket_base_url=plain)
        connect = client.beta.realtime.connect(model="gpt-4o-realtime-preview")
        async with connect as connection:
            seen: list[Any] = []
            await connection.session.update(
                session={
                    "modalities": ["text", "audio"],
                    "input_audio_format": "pcm16",
                    "input_audio_transcription": {"model": "whisper-1"},
                    "turn_detection": {"type": "server_vad", "silence_duration_ms": 500},
                    "tools": [TOOL],
                    "temperature": 0.8,
                    # Small models can repeat themselves without end.
                    "max_response_output_tokens": 64,
                }
            )
            await until(connection, "session.updated", seen)

            # A text turn.
            await say(connection, "What is the capital of France?")
            await connection.response.create(
                response={"modalities": ["text"], "tool_choice": "none"}
            )
            done = await until(connection, "response.done", seen)
            (part,) = done.response.output[0].content
            assert done.response.status in ("completed", "incomplete")  # the limit may cut it
            assert part.type == "text" and part.text

            # A call of a tool, and its answer spoken.
            await say(connection, "What will the weather be tomorrow?")
            await connection.response.create(response={"tool_choice": "required"})
            done = await until(connection, "response.done", seen)
            call = done.response.output[0]
            assert (call.type, call.name) == ("function_call", "get_weather")
            assert json.loads(call.arguments)["day"] in ("today", "tomorrow")
            output: Any = {
                "type": "function_call_output",
                "call_id": call.call_id,
                "output": "sunny, 21 degrees",
            }
            await connection.conversation.item.create(item=output)
            await connection.response.create(response={"tool_choice": "none"})
            done = await until(connection, "response.done", seen)
            assert done.response.output[0].content[0].transcript

            # A spoken question, found by the server's own turn detection.
            await connection.session.update(session={"tool_choice": "none"})
            await until(connection, "session.updated", seen)
            start = len(seen)
            async with asyncio.TaskGroup() as tasks:
                question = recording("06_af_nova.wav").pcm + SILENCE + SILENCE
                tasks.create_task(speak(connection, question))
                done = await until(connection, "response.done", seen)
            turn = seen[start:]
            heard = next(e for e in turn if e.type.endswith("input_audio_transcription.completed"))
            assert "ounces" in heard.transcript
            sound = sum(
                len(base64.b64decode(e.delta)) for e in turn if e.type == "response.audio.delta"
            )
            assert done.response.output[0].content[0].transcript and sound > 48 * 200

            # An interruption, and what was heard of the interrupted reply.
            await connection.response.create(response={"instructions": "Tell a long story."})
            delta = await until(connection, "response.audio.delta", seen)
            interruption = recording("05_am_puck.wav").pcm + SILENCE + SILENCE
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(speak(connection, interruption))
                await until(connection, "input_audio_buffer.speech_started", seen)
                await connection.conversation.item.truncate(
                    item_id=delta.item_id, content_index=0, audio_end_ms=100
                )
                truncated = await until(connection, "conversation.item.truncated", seen)
                assert truncated.item_id == delta.item_id
                await until(connection, "input_audio_buffer.committed", seen)
                await until(connection, "response.done", seen)
            created = [e.item.id for e in seen if e.type == "conversation.item.created"]
            assert len(created) == len(set(created))
