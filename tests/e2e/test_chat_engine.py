"""The stock `openai` SDK against a whole server whose engine is `chat`, with a stand-in upstream.

The user's voice is real: it goes through Silero, and Whisper writes it down for the client.
"""

import asyncio
import base64
import io
import json
import wave
from typing import Any

import pytest
from openai import AsyncOpenAI

from duologue.config import ServerConfig
from duologue.testing.chat_stand_in import Answer, ChatStandIn, standing_in
from e2e.microphone import speak
from e2e.tool_and_barge_in import TOOL
from live_server import KEY, http_get, serving
from oracle import validate_server_event
from recordings import recording
from weights import weights

pytestmark = [pytest.mark.weights, pytest.mark.timeout(180)]

UPSTREAM_KEY = "sk-upstream-secret"
SILENCE = bytes(48_000)
LONG = "It is sunny in Paris today and it will stay so for all of the week, with some wind."


def chat(url: str, **settings: Any) -> ServerConfig:
    for name in ("silero-vad", "whisper-tiny.en"):
        weights(name)
    given = {
        "engine": "chat",
        "profile": "small",
        "port": 0,
        "api_key": KEY,
        "upstream": url,
        "upstream_key": UPSTREAM_KEY,
        "upstream_model": "qwen3-omni",
        "upstream_voices": "ethan, chelsie",
    }
    return ServerConfig(**{**given, **settings})


async def until(connection: Any, kind: str, seen: list[Any]) -> Any:
    async for event in connection:
        validate_server_event(json.dumps(event.to_dict()))
        assert event.type != "error", event
        assert UPSTREAM_KEY not in event.to_json()
        seen.append(event)
        if event.type == kind:
            return event
    raise AssertionError(f"the connection ended before {kind}")


def user(text: str) -> Any:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


async def test_a_spoken_turn_a_tool_a_barge_in_and_the_history_that_follows() -> None:
    stand_in = ChatStandIn(
        Answer(text="Let me look.", calls=(("get_weather", '{"city":"Paris"}'),)),
        Answer(text=LONG, sound_ms=30_000, chunk_ms=200, chunk_delay_ms=50),
        Answer(text="Fine.", dialect="openai"),
    )
    loop = asyncio.get_running_loop()
    async with standing_in(stand_in) as url, serving(chat(url)) as base_url:
        client = AsyncOpenAI(api_key=KEY, base_url=base_url)
        async with client.realtime.connect(model="gpt-realtime") as connection:
            await connection.session.update(
                session={
                    "type": "realtime",
                    "instructions": "Be brief.",
                    "tools": [TOOL],
                    "audio": {
                        "input": {"transcription": {"model": "whisper-1"}},
                        "output": {"voice": "chelsie"},
                    },
                }
            )
            seen: list[Any] = []
            question = recording("06_af_nova.wav").pcm
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(speak(connection, question + SILENCE))
                first = (await until(connection, "response.done", seen)).response
            assert [item.type for item in first.output] == ["message", "function_call"]
            assert first.output[0].content[0].transcript == "Let me look."
            call = first.output[1]
            assert (call.name, json.loads(call.arguments)) == ("get_weather", {"city": "Paris"})
            await connection.conversation.item.create(
                item={"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
            )
            await connection.response.create()
            await until(connection, "response.output_audio.delta", seen)
            assert not stand_in.abort_times
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(speak(connection, question + SILENCE))
                second = (await until(connection, "response.done", seen)).response
                told_at = loop.time()
                assert second.status == "cancelled"
                async with asyncio.timeout(5):
                    await stand_in.until(lambda it: bool(it.abort_times))
                assert abs(stand_in.abort_times[0] - told_at) < 0.05
                spoken = second.output[0]
                await connection.conversation.item.truncate(
                    item_id=spoken.id, content_index=0, audio_end_ms=1000
                )
                await connection.conversation.item.retrieve(item_id=spoken.id)
                kept = (await until(connection, "conversation.item.retrieved", seen)).item
                third = (await until(connection, "response.done", seen)).response
            assert third.output[0].content[0].transcript == "Fine."
            if not any("transcription.completed" in event.type for event in seen):
                await until(
                    connection, "conversation.item.input_audio_transcription.completed", seen
                )
    heard = next(e for e in seen if e.type.endswith("input_audio_transcription.completed"))
    assert "ounces" in heard.transcript
    words = kept.content[0].transcript
    assert words == "It is sunny"  # ten letters a second, and most of the word counts
    requests = [request["messages"] for request in stand_in.requests]
    assert [m["role"] for m in requests[2]] == [
        "system",
        "user",
        "assistant",
        "tool",
        "assistant",
        "user",
    ]
    assert requests[2][4]["content"] == words
    assert requests[1] == requests[2][:4]
    sound = base64.b64decode(requests[0][1]["content"][0]["input_audio"]["data"])
    with wave.open(io.BytesIO(sound)) as file:
        assert file.getframerate() == 24_000 and file.getnframes() > 24_000
    assert stand_in.requests[0]["voice"] == "chelsie"
    assert stand_in.keys == [f"Bearer {UPSTREAM_KEY}"] * 3
    assert len(stand_in.abort_times) == 1


async def test_a_fault_upstream_fails_the_response_and_the_next_turn_works() -> None:
    stand_in = ChatStandIn(
        Answer(status=401, raw=f"no such key: {UPSTREAM_KEY}".encode()),
        Answer(text="Half a sentence and", drop_after=7),
        Answer(text="All is well."),
    )
    async with standing_in(stand_in) as url, serving(chat(url)) as base_url:
        status, _, models = await http_get(f"{base_url}/models")
        assert status == 200 and UPSTREAM_KEY not in json.dumps(models)
        client = AsyncOpenAI(api_key=KEY, base_url=base_url)
        async with client.realtime.connect(model="gpt-realtime") as connection:
            seen: list[Any] = []
            await connection.conversation.item.create(item=user("Good day"))
            statuses = []
            for _ in range(3):
                await connection.response.create()
                done = (await until(connection, "response.done", seen)).response
                statuses.append(done.status)
                if done.status == "failed":
                    assert done.status_details.error.code == "engine_error"
            assert statuses == ["failed", "failed", "completed"]
            assert done.output[0].content[0].transcript == "All is well."
            assert done.usage.output_token_details.audio_tokens == 12
