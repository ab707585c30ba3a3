"""The stock `openai` SDK against a whole server: only the base URL is ours."""

import json
from typing import Any

import pytest
from openai import AsyncOpenAI

from e2e.tool_and_barge_in import SCRIPT, TOOL, converse
from live_server import KEY, scripted
from oracle import validate_server_event
from session_kit import user


async def heard(connection: Any) -> Any:
    """The next event, if strict clients accept it."""
    event = await connection.recv()
    validate_server_event(json.dumps(event.to_dict()))
    assert event.type != "error", event
    return event


@pytest.mark.client(
    "openai Python",
    "connection",
    "voice turn",
    "transcript",
    "function call",
    "interruption",
)
async def test_a_voice_turn_a_tool_and_a_barge_in(serve: Any) -> None:
    async with serve(scripted(script=SCRIPT)) as base_url:
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
            seen = await converse(connection, heard)
            assert seen[0].type == "session.created"


@pytest.mark.client("openai Python", "connection", "text turn", "out of band")
async def test_text_turns_and_metadata_out_of_band(serve: Any) -> None:
    async with serve(scripted()) as base_url:
        client = AsyncOpenAI(api_key=KEY, base_url=base_url)
        async with client.realtime.connect(model="gpt-realtime") as connection:
            await connection.conversation.item.create(item=user("Good day"))
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


async def until(connection: Any, kind: str) -> Any:
    """The next event of a type; each one before it must be valid and no error."""
    async for event in connection:
        validate_server_event(json.dumps(event.to_dict()))
        if event.type == kind:
            return event
        assert event.type != "error", event
    raise AssertionError(f"the connection ended before {kind}")


@pytest.mark.conformance("C-164", "C-165", "C-166", "C-167")
@pytest.mark.client("openai Python", "several calls, one answered late")
async def test_several_calls_are_answered_one_by_one_and_one_of_them_late(serve: Any) -> None:
    script = """
    [[replies]]
    when = "Compare"
    text = "Let me look."
    calls = [
      { name = "get_weather", arguments = '{"city":"Paris"}' },
      { name = "get_weather", arguments = '{"city":"Rome"}' },
    ]
    """
    async with serve(scripted(script=script + '[[replies]]\ntext = "{heard}"')) as base_url:
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
@pytest.mark.client("openai Python", "mistake", "text turn")
async def test_mistakes_are_errors_that_name_their_event_and_the_talk_goes_on(serve: Any) -> None:
    async with serve(scripted()) as base_url:
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


@pytest.mark.client("openai Python", "end of the session's time")
async def test_the_sdk_reconnects_by_itself_when_a_session_has_lived_its_time(serve: Any) -> None:
    async with serve(scripted(session_max_s=3)) as base_url:
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


@pytest.mark.client("openai Python", "refusal at the door")
async def test_a_wrong_key_is_an_error_event_and_a_close_that_says_why(serve: Any) -> None:
    async with serve(scripted()) as base_url:
        client = AsyncOpenAI(api_key="sk-wrong", base_url=base_url)
        async with client.realtime.connect(model="gpt-realtime") as connection:
            refused = await connection.recv()
            assert refused.type == "error" and refused.error.code == "invalid_api_key"
