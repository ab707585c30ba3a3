"""The stock `openai` SDK against a whole server: only the base URL is ours."""

import base64
import json
from typing import Any

import pytest
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


def user(text: str) -> Any:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


async def until(connection: Any, kind: str) -> Any:
    """The next event of a type; each one before it must be valid and no error."""
    async for event in connection:
        validate_server_event(json.dumps(event.to_dict()))
        if event.type == kind:
            return event
        assert event.type != "error", event
    raise AssertionError(f"the connection ended before {kind}")


@pytest.mark.conformance("C-164", "C-165", "C-166", "C-167")
async def test_several_calls_are_answered_one_by_one_and_one_of_them_late() -> None:
    script = """
    [[replies]]
    when = "Compare"
    text = "Let me look."
    calls = [
      { name = "get_weather", arguments = '{"city":"Paris"}' },
      { name = "get_weather", arguments = '{"city":"Rome"}' },
    ]
    """
    async with serving(scripted(script=script + '[[replies]]\ntext = "{heard}"')) as base_url:
        client = AsyncOpenAI(api_key=KEY, base_url=base_url)
        async with client.realtime.connect(model="gpt-realtime") as connection:
            await connection.session.update(session={"type": "realtime", "tools": [TOOL]})
            await connection.conversation.item.create(item=user("Compare Paris and Rome"))
            await connection.response.create()
            indices = []
            async for event in connection:
                if event.type == "response.output_item.added":
                    indices.append((event.output_index, event.item.type))
                if event.type == "response.done":
                    break
            assert indices == [(0, "message"), (1, "function_call"), (2, "function_call")]
            paris, rome = event.response.output[1:]
            assert paris.call_id != rome.call_id
            assert [json.loads(call.arguments)["city"] for call in (paris, rome)] == [
                "Paris",
                "Rome",
            ]
            answer = {"type": "function_call_output", "call_id": rome.call_id, "output": "wet"}
            await connection.conversation.item.create(item=answer)
            await connection.response.create(response={"output_modalities": ["text"]})
            said = (await until(connection, "response.done")).response.output[0].content[0].text
            assert said == "wet"
            late = {"type": "function_call_output", "call_id": paris.call_id, "output": "dry"}
            await connection.conversation.item.create(item=late)
            await until(connection, "conversation.item.done")
            await connection.conversation.item.retrieve(item_id=paris.id)
            await until(connection, "conversation.item.retrieved")  # no response came by itself
            await connection.response.create(response={"output_modalities": ["text"]})
            said = (await until(connection, "response.done")).response.output[0].content[0].text
            assert said == "dry"


@pytest.mark.conformance("C-194")
async def test_mistakes_are_errors_that_name_their_event_and_the_talk_goes_on() -> None:
    async with serving(scripted()) as base_url:
        client = AsyncOpenAI(api_key=KEY, base_url=base_url)
        async with client.realtime.connect(model="gpt-realtime") as connection:
            await until(connection, "session.created")
            mistakes: list[tuple[Any, str]] = [
                ({"type": "conversation.item.delete", "item_id": "none"}, "item_delete"),
                ({"type": "conversation.item.retrieve", "item_id": "none"}, "item_retrieve"),
                ({"type": "input_audio_buffer.commit"}, "input_audio_buffer_commit_empty"),
                ({"type": "response.cancel"}, "response_cancel_not_active"),
                ({"type": "no.such.event"}, "invalid_value"),
            ]
            for mistake, code in mistakes:
                await connection.send({**mistake, "event_id": f"mine_{code}"})
                event = await connection.recv()
                validate_server_event(json.dumps(event.to_dict()))
                assert event.type == "error" and event.error.code.startswith(code)
                assert event.error.event_id == f"mine_{code}"
            handled = []
            connection.on("error", handled.append)
            connection.on("response.done", lambda _: connection.close())
            await connection.conversation.item.delete(item_id="none", event_id="mine")
            await connection.conversation.item.create(item=user("Good day"))
            await connection.response.create()
            await connection.dispatch_events()
            assert [error.error.event_id for error in handled] == ["mine"]


async def test_the_sdk_reconnects_by_itself_when_a_session_has_lived_its_time() -> None:
    async with serving(scripted(session_max_s=1)) as base_url:
        client = AsyncOpenAI(api_key=KEY, base_url=base_url)
        reasons: list[Any] = []
        async with client.realtime.connect(
            model="gpt-realtime", on_reconnecting=reasons.append, initial_delay=0.01
        ) as connection:
            first = await until(connection, "session.created")
            assert (await until(connection, "error")).error.code == "session_expired"
            second = await until(connection, "session.created")
            assert second.session.id != first.session.id
            await connection.conversation.item.create(item=user("Good day"))
            await connection.response.create()
            done = await until(connection, "response.done")
            assert done.response.output[0].content[0].transcript == "You said: Good day"
    assert [event.close_code for event in reasons] == [1001]


async def test_a_wrong_key_is_an_error_event_and_a_close_that_says_why() -> None:
    async with serving(scripted()) as base_url:
        client = AsyncOpenAI(api_key="sk-wrong", base_url=base_url)
        async with client.realtime.connect(model="gpt-realtime") as connection:
            refused = await connection.recv()
            assert refused.type == "error" and refused.error.code == "invalid_api_key"
