"""The stock `client.beta.realtime.connect` helper, as old applications use it, against a server."""

from typing import Any

import pytest
from openai import AsyncOpenAI

from beta_oracle import validate_beta_event
from e2e.tool_and_barge_in import SCRIPT, TOOL, converse
from live_server import KEY, scripted
from session_kit import user

MODEL = "gpt-4o-realtime-preview"


def client_of(base_url: str, key: str = KEY) -> AsyncOpenAI:
    """The beta helper makes `wss` of any base URL; a plain socket has to be named."""
    plain = "ws" + base_url.removeprefix("http")
    return AsyncOpenAI(api_key=key, base_url=base_url, websocket_base_url=plain)


async def heard(connection: Any) -> Any:
    """The next event, if strict clients accept it, as the helper gives it to applications."""
    frame = await connection.recv_bytes()
    validate_beta_event(frame.decode())
    event = connection.parse_event(frame)
    assert event.type != "error", event
    return event


@pytest.mark.conformance("C-200", "C-202", "C-211")
@pytest.mark.client(
    "openai Python beta",
    "connection",
    "voice turn",
    "transcript",
    "function call",
    "interruption",
)
async def test_a_voice_turn_a_tool_and_a_barge_in(serve: Any) -> None:
    async with serve(scripted(script=SCRIPT)) as base_url:
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
            seen = await converse(connection, heard)
    names = [event.type for event in seen]
    assert names[:3] == ["session.created", "conversation.created", "session.updated"]
    updated = seen[2].session
    assert (updated.temperature, updated.voice) == (0.9, "sage")
    responses = [event.response for event in seen if event.type == "response.done"]
    assert {response.conversation_id for response in responses} == {seen[1].conversation.id}
    (kept,) = [e.item.content[0] for e in seen if e.type == "conversation.item.retrieved"]
    assert kept.type == "audio"
    items = [e.item.id for e in seen if e.type == "conversation.item.created"]
    assert len(items) == len(set(items)) == 7, "each item is created once"


@pytest.mark.conformance("C-201", "C-202", "C-211")
@pytest.mark.client("openai Python beta", "connection", "text turn", "out of band")
async def test_text_turns_and_metadata_out_of_band(serve: Any) -> None:
    async with serve(scripted()) as base_url:
        async with client_of(base_url).beta.realtime.connect(model=MODEL) as connection:
            await connection.session.update(session={"modalities": ["text"]})
            await connection.conversation.item.create(item=user("Good day"))
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
