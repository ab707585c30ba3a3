"""The stock `openai` SDK against the real `light` engine with the small weights."""

import asyncio
import base64
import json
from typing import Any, Literal

import pytest
from agents import function_tool
from agents.realtime import RealtimeAgent, RealtimeRunner
from openai import AsyncOpenAI
from openai.types.responses import ToolChoiceFunction

from duologue.config import ServerConfig
from e2e.microphone import speak
from judging import Judge
from live_server import KEY, serving, until_free, ws_url
from pictures import data_uri, drawn, file
from recordings import recording
from weights import weights

pytestmark = [pytest.mark.weights, pytest.mark.timeout(180)]
SILENCE = bytes(48_000)
BRIEFLY = 64
"""Tokens: small models can repeat themselves without end, for minutes."""


judge = Judge()


async def until(connection: Any, kind: str, seen: list[Any]) -> Any:
    """The next event of a kind; strict clients accept it and all before it."""
    while True:
        frame = await connection.recv_bytes()
        judge(json.loads(frame))
        event = connection.parse_event(frame)
        assert event.type != "error", event
        seen.append(event)
        if event.type == kind:
            return event


@pytest.mark.client("openai Python", "connection", "voice turn", "transcript", "interruption")
async def test_spoken_questions_get_spoken_answers_and_can_be_interrupted(
    serve_weights: Any,
) -> None:
    for name in ("silero-vad", "whisper-tiny.en", "smollm2-135m-instruct-q4_1"):
        weights(name)
    config = ServerConfig(engine="light", profile="small", port=0, api_key=KEY, max_sessions=2)
    async with serve_weights(config) as base_url:
        client = AsyncOpenAI(api_key=KEY, base_url=base_url)
        async with client.realtime.connect(model="gpt-realtime") as connection:
            await connection.session.update(
                session={
                    "type": "realtime",
                    "max_output_tokens": BRIEFLY,
                    "audio": {"input": {"transcription": {"model": "whisper-1"}}},
                }
            )
            seen: list[Any] = []
            question = recording("06_af_nova.wav").pcm + SILENCE + SILENCE
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(speak(connection, question))
                done = await until(connection, "response.done", seen)
            assert done.response.status in ("completed", "incomplete")  # the limit may cut it
            heard = next(e for e in seen if e.type.endswith("transcription.completed"))
            assert "ounces" in heard.transcript
            sound = sum(
                len(base64.b64decode(e.delta))
                for e in seen
                if e.type == "response.output_audio.delta"
            )
            said = done.response.output[0].content[0].transcript
            assert said and sound > 48 * 200
            assert done.response.usage.output_token_details.audio_tokens > 0

            item_id = done.response.output[0].id
            await connection.conversation.item.truncate(
                item_id=item_id, content_index=0, audio_end_ms=sound // 48 // 2
            )
            await connection.conversation.item.retrieve(item_id=item_id)
            kept = (await until(connection, "conversation.item.retrieved", seen)).item
            assert said.startswith(kept.content[0].transcript)
            assert len(kept.content[0].transcript) < len(said)

            await connection.response.create(response={"instructions": "Tell a long story."})
            await until(connection, "response.output_audio.delta", seen)
            interruption = recording("05_am_puck.wav").pcm + SILENCE + SILENCE
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(speak(connection, interruption))
                await until(connection, "response.done", seen)
                await until(connection, "input_audio_buffer.committed", seen)
                await until(connection, "response.done", seen)


@pytest.mark.client("openai Python", "refusal at the door")
async def test_more_conversations_than_places_are_refused_at_the_door(serve_weights: Any) -> None:
    weights("smollm2-135m-instruct-q4_1")
    config = ServerConfig(engine="light", profile="small", port=0, api_key=KEY, max_sessions=1)
    async with serve_weights(config) as base_url:
        client = AsyncOpenAI(api_key=KEY, base_url=base_url)
        async with client.realtime.connect(model="gpt-realtime") as first:
            await until(first, "session.created", [])
            async with client.realtime.connect(model="gpt-realtime") as second:
                refused = await second.recv()
                assert refused.type == "error" and refused.error.code == "session_limit_reached"


@pytest.mark.client("openai Python", "function call")
async def test_a_tool_is_called_by_its_schema_and_its_answer_is_spoken(serve_weights: Any) -> None:
    weights("smollm2-135m-instruct-q4_1")
    parameters = {
        "type": "object",
        "properties": {"day": {"type": "string", "enum": ["today", "tomorrow"]}},
        "required": ["day"],
    }
    tool: Any = {"type": "function", "name": "get_weather", "parameters": parameters}
    config = ServerConfig(engine="light", profile="small", port=0, api_key=KEY, max_sessions=1)
    async with serve_weights(config) as base_url:
        client = AsyncOpenAI(api_key=KEY, base_url=base_url)
        async with client.realtime.connect(model="gpt-realtime") as connection:
            seen: list[Any] = []
            await connection.session.update(
                session={"type": "realtime", "tools": [tool], "max_output_tokens": BRIEFLY}
            )
            content: Any = [{"type": "input_text", "text": "What will the weather be tomorrow?"}]
            await connection.conversation.item.create(
                item={"type": "message", "role": "user", "content": content}
            )
            await connection.response.create(response={"tool_choice": "required"})
            done = await until(connection, "response.done", seen)
            call = done.response.output[0]
            assert (call.type, call.name, call.status) == (
                "function_call",
                "get_weather",
                "completed",
            )
            assert json.loads(call.arguments)["day"] in ("today", "tomorrow")
            await connection.conversation.item.create(
                item={
                    "type": "function_call_output",
                    "call_id": call.call_id,
                    "output": "sunny, 21 degrees",
                }
            )
            await connection.response.create(response={"tool_choice": "none"})
            spoken = (await until(connection, "response.done", seen)).response
            assert spoken.status in ("completed", "incomplete")
            assert spoken.output[0].content[0].transcript


@pytest.mark.client("openai Python", "text turn", "image")
async def test_what_is_written_in_an_image_reaches_the_model(serve_weights: Any) -> None:
    weights("smollm2-135m-instruct-q4_1")
    image = data_uri(file(drawn("Platform 9 departs at 14:25", "Bring your passport")))
    config = ServerConfig(engine="light", profile="small", port=0, api_key=KEY, max_sessions=1)
    async with serve_weights(config) as base_url:
        client = AsyncOpenAI(api_key=KEY, base_url=base_url)
        async with client.realtime.connect(model="gpt-realtime") as connection:
            content: Any = [
                {"type": "input_image", "image_url": image},
                {"type": "input_text", "text": "When does it leave?"},
            ]
            await connection.conversation.item.create(
                item={"type": "message", "role": "user", "content": content}
            )
            await connection.response.create(response={"output_modalities": ["text"]})
            done = await until(connection, "response.done", [])
            assert done.response.status == "completed"
            details = done.response.usage.input_token_details
            # '(an image; text read in it: "…")' with those two lines: some thirty tokens.
            assert 20 < details.image_tokens < 50
            assert details.image_tokens + details.text_tokens == done.response.usage.input_tokens


async def test_the_small_model_is_not_asked_what_it_cannot_see(serve_weights: Any) -> None:
    weights("smollm2-135m-instruct-q4_1")
    page = data_uri(file(drawn("Platform 9 departs at 14:25", "Bring your passport")))
    blank = data_uri(file(drawn(paper="steelblue")))
    config = ServerConfig(engine="light", profile="small", port=0, api_key=KEY, max_sessions=1)
    async with serve_weights(config) as base_url:
        client = AsyncOpenAI(api_key=KEY, base_url=base_url)
        async with client.realtime.connect(model="gpt-realtime") as connection:

            async def ask(question: str, image: str | None = None) -> str:
                content: Any = [{"type": "input_text", "text": question}]
                if image is not None:
                    content.append({"type": "input_image", "image_url": image})
                await connection.conversation.item.create(
                    item={"type": "message", "role": "user", "content": content}
                )
                await connection.response.create(response={"output_modalities": ["text"]})
                done = await until(connection, "response.done", [])
                text: str = done.response.output[0].content[0].text
                return text

            blind = "I can't see pictures, I can only read text in them"
            read = f"{blind}. What I read is: Platform 9 departs at 14:25 Bring your passport."
            assert await ask("What colour is the car?", page) == read
            assert await ask("And what animal is beside it?") == read
            nothing = f"{blind}, and there is none in this one."
            assert await ask("What is in this picture?", blank) == nothing


@pytest.mark.slow
async def test_the_default_model_answers_from_an_image_and_says_that_it_cannot_see() -> None:
    for name in ("whisper-base", "qwen2.5-coder-1.5b-instruct-q4_k_m"):
        weights(name)
    page = data_uri(file(drawn("Platform 9 departs at 14:25", "Bring your passport")))
    blank = data_uri(file(drawn(paper="steelblue")))
    config = ServerConfig(engine="light", port=0, api_key=KEY, max_sessions=1)
    async with serving(config) as base_url:
        client = AsyncOpenAI(api_key=KEY, base_url=base_url)

        async def ask(image: str, question: str) -> str:
            async with client.realtime.connect(model="gpt-realtime") as connection:
                content: Any = [
                    {"type": "input_image", "image_url": image},
                    {"type": "input_text", "text": question},
                ]
                await connection.conversation.item.create(
                    item={"type": "message", "role": "user", "content": content}
                )
                await connection.response.create(response={"output_modalities": ["text"]})
                done = await until(connection, "response.done", [])
                text: str = done.response.output[0].content[0].text
            await until_free(base_url)
            return text

        assert "14:25" in await ask(page, "When does the train leave?")
        assert "passport" in await ask(page, "What do I need to bring?")
        for question in ("What animal is in this picture?", "What colour is the car?"):
            assert "can't see" in await ask(blank, question)


@pytest.mark.client("openai-agents Python", "connection", "voice turn", "transcript")
async def test_the_agents_sdk_talks_with_it_turn_after_turn(serve_weights: Any) -> None:
    weights("whisper-tiny.en")
    config = ServerConfig(engine="light", profile="small", port=0, api_key=KEY, max_sessions=1)
    async with serve_weights(config) as base_url:
        model_config: Any = {
            "api_key": KEY,
            "url": ws_url(base_url),
            "initial_model_settings": {
                "model_name": "gpt-realtime",
                "max_output_tokens": BRIEFLY,
            },
        }
        agent = RealtimeAgent(name="Ava", instructions="Be brief.")
        session = await RealtimeRunner(agent).run(model_config=model_config)
        async with session, asyncio.timeout(120):
            await session.send_audio(recording("06_af_nova.wav").pcm + SILENCE + SILENCE)
            turns = 0
            async for event in session:
                assert event.type != "error", event
                if event.type == "agent_end":
                    turns += 1
                    if turns == 2:
                        break
                    await session.send_audio(recording("00_af_heart.wav").pcm + SILENCE + SILENCE)
            said: list[Any] = [item for item in session._history if item.type == "message"]
            assert [item.role for item in said] == ["user", "assistant"] * 2
            assert "ounces" in said[0].content[0].transcript
            assert "Tokyo" in said[2].content[0].transcript


@pytest.mark.client("openai-agents Python", "text turn", "function call")
async def test_the_agents_sdk_runs_the_tool_that_the_engine_calls_by_its_schema(
    serve_weights: Any,
) -> None:
    weights("smollm2-135m-instruct-q4_1")
    config = ServerConfig(engine="light", profile="small", port=0, api_key=KEY, max_sessions=1)
    asked: list[str] = []

    @function_tool
    def get_weather(day: Literal["today", "tomorrow"]) -> str:
        """The weather of a day."""
        asked.append(day)
        return "sunny, 21 degrees"

    async with serve_weights(config) as base_url:
        model_config: Any = {
            "api_key": KEY,
            "url": ws_url(base_url),
            "initial_model_settings": {
                "model_name": "gpt-realtime",
                "tool_choice": ToolChoiceFunction(type="function", name="get_weather"),
                "max_output_tokens": 64,
            },
        }
        agent = RealtimeAgent(name="Ava", instructions="Be brief.", tools=[get_weather])
        session = await RealtimeRunner(agent).run(model_config=model_config)
        async with session, asyncio.timeout(120):
            await session.send_message("What will the weather be tomorrow?")
            async for event in session:
                assert event.type != "error", event
                if event.type == "tool_end":
                    break
            assert event.output == "sunny, 21 degrees"
            assert asked[0] in ("today", "tomorrow")
            roles = [getattr(item, "role", item.type) for item in session._history]
            assert roles[:2] == ["user", "function_call"]
