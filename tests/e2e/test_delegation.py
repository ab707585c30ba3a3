"""The stock `openai` SDK against a server whose engine asks a stronger model over HTTP.

The engine in front is the scripted one, and the same behind another server.
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from openai import AsyncOpenAI

from duologue.engines.scripted import tone
from duologue.testing.chat_stand_in import Answer, ChatStandIn, standing_in
from e2e.microphone import speak
from live_server import KEY, Serve, scripted
from oracle import validate_server_event

EXPERT_KEY = "sk-expert-secret"
USAGE = {"prompt_tokens": 70, "completion_tokens": 5, "total_tokens": 75}
SCRIPT = """
transcripts = [
  "How many ounces are there in a pound?", "How many grams are there in a pound?", "Thank you.",
]
word_ms = 60
replies = [
  {when = "ounces", text = "Let me look.", calls = [
    {name = "ask_expert", arguments = '{"question": "1 lb in oz?"}'}]},
  {when = "grams", calls = [{name = "ask_expert", arguments = '{"question": "1 lb in g?"}'}]},
  {when = "both", text = "Let me look.", calls = [
    {name = "ask_expert", arguments = '{"question": "both?"}'},
    {name = "get_weather", arguments = '{"city": "Oslo"}'}]},
  {when = "1 lb in", text = "One moment."},
  {when = "Sixteen", text = "There are sixteen ounces."},
  {when = "454", text = "That is 454 grammes."},
  {when = "could not find it out", text = "Sorry, I could not find out."},
  {when = "rainy", text = "Sixteen, and it rains."},
  {text = "You said: {heard}"},
]
"""
TOOL: Any = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}
VOICE = tone(900) + bytes(48_000)  # a user who speaks, then a second of silence


def said(text: str, **more: Any) -> Answer:
    return Answer(text=text, sound_ms=0, usage=USAGE, **more)


class Client:
    """A connection of the SDK that keeps what it gets."""

    def __init__(self, connection: Any, expert: ChatStandIn) -> None:
        self.connection = connection
        self.expert = expert
        self.seen: list[Any] = []

    async def until(self, kind: str) -> Any:
        async for event in self.connection:
            validate_server_event(json.dumps(event.to_dict()))
            assert event.type != "error", event
            assert "ask_expert" not in event.to_json() and EXPERT_KEY not in event.to_json()
            self.seen.append(event)
            if event.type == kind:
                return event
        raise AssertionError(f"the connection ended before {kind}")

    async def hear(self) -> None:
        """Say something, all at once."""
        audio = base64.b64encode(VOICE).decode()
        await self.connection.input_audio_buffer.append(audio=audio)

    async def type(self, text: str) -> None:
        content = [{"type": "input_text", "text": text}]
        item = {"type": "message", "role": "user", "content": content}
        await self.connection.conversation.item.create(item=item)
        await self.connection.response.create()

    async def response(self) -> Any:
        return (await self.until("response.done")).response

    def kinds(self, kind: str) -> int:
        return sum(event.type == kind for event in self.seen)


@asynccontextmanager
async def client(serve: Serve, *answers: Answer) -> AsyncIterator[Client]:
    expert = ChatStandIn(*answers)
    async with standing_in(expert) as url:
        config = scripted(script=SCRIPT, delegate=f"{url}#big", delegate_key=EXPERT_KEY)
        async with serve(config) as base_url, asyncio.timeout(30):
            sdk = AsyncOpenAI(api_key=KEY, base_url=base_url)
            async with sdk.realtime.connect(model="gpt-realtime") as connection:
                yield Client(connection, expert)


def transcript(item: Any) -> Any:
    return item.content[0].transcript


async def test_two_spoken_turns_are_looked_up_and_a_third_needs_it_not(serve: Serve) -> None:
    answers = (said("Sixteen."), said("454.", first_delay_ms=900), said("None."))
    async with client(serve, *answers) as it:
        created = await it.until("session.created")
        assert created.session.tools == []
        texts = []
        for _ in range(3):
            await it.hear()
            response = await it.response()
            assert response.status == "completed", response.status_details
            (message,) = response.output
            texts.append(transcript(message))
            usage = response.usage
            assert usage.total_tokens == usage.input_tokens + usage.output_tokens
            assert (usage.input_tokens > 70) == (len(texts) < 3)
        assert texts == [
            "Let me look. There are sixteen ounces.",
            "One moment. That is 454 grammes.",
            "You said: Thank you.",
        ]
        requests = it.expert.requests
        assert len(requests) == 2 and not it.expert.abort_times
        assert it.expert.keys == [f"Bearer {EXPERT_KEY}"] * 2
        assert "1 lb in oz?" in requests[0]["messages"][-1]["content"]
        told = "\n".join(str(message["content"]) for message in requests[1]["messages"])
        assert "How many ounces" in told and "How many grams" in told
        assert "Let me look. There are sixteen ounces." in told and "was told: Sixteen." in told
        assert it.kinds("conversation.item.added") == 6
        assert not any("function_call" in event.type for event in it.seen)
        sound = sum(
            len(base64.b64decode(event.delta))
            for event in it.seen
            if event.type == "response.output_audio.delta"
        )
        assert sound == sum(len(text.split()) for text in texts) * 60 * 48


async def test_barge_in_while_the_expert_thinks_aborts_its_request(serve: Serve) -> None:
    loop = asyncio.get_running_loop()
    async with client(serve, said("Late.", first_delay_ms=60_000), said("454.")) as it:
        await it.hear()
        await it.until("response.output_audio.delta")
        await it.expert.until(lambda expert: bool(expert.requests))
        assert not it.expert.abort_times
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(speak(it.connection, VOICE))
            response = await it.response()
            at = loop.time()
            assert response.status == "cancelled"
            assert response.status_details.reason == "turn_detected"
            await it.expert.until(lambda expert: bool(expert.abort_times))
            assert abs(it.expert.abort_times[0] - at) < 0.05
            (message,) = response.output
            assert transcript(message) == "Let me look."
            response = await it.response()
        assert [transcript(item) for item in response.output] == ["That is 454 grammes."]
        told = it.expert.requests[1]["messages"]
        assert "Late" not in str(told) and "1 lb in g?" in told[-1]["content"]


async def test_a_function_of_the_client_is_called_beside_it(serve: Serve) -> None:
    async with client(serve, said("Sixteen.")) as it:
        await it.connection.session.update(session={"type": "realtime", "tools": [TOOL]})
        updated = await it.until("session.updated")
        assert [tool.name for tool in updated.session.tools] == ["get_weather"]
        await it.type("Tell me both.")
        message, call = (await it.response()).output
        assert transcript(message) == "Let me look."
        assert (call.name, json.loads(call.arguments)) == ("get_weather", {"city": "Oslo"})
        assert len(it.expert.requests) == 1
        await it.connection.conversation.item.create(
            item={"type": "function_call_output", "call_id": call.call_id, "output": "rainy"}
        )
        await it.connection.response.create()
        (message,) = (await it.response()).output
        assert transcript(message) == "Sixteen, and it rains."
        assert len(it.expert.requests) == 1


async def test_an_expert_that_fails_is_told_of_and_the_next_turn_works(serve: Serve) -> None:
    refusal = Answer(status=401, raw=f"no such key: {EXPERT_KEY}".encode())
    async with client(serve, refusal, said("Sixteen.")) as it:
        texts = []
        for _ in range(2):
            await it.type("How many ounces?")
            response = await it.response()
            assert response.status == "completed"
            texts.append(transcript(response.output[0]))
        assert texts == [
            "Let me look. Sorry, I could not find out.",
            "Let me look. There are sixteen ounces.",
        ]


@pytest.mark.parametrize("deleted", ["user", "assistant"])
async def test_what_was_looked_up_is_forgotten_with_what_is_deleted(
    serve: Serve, deleted: str
) -> None:
    async with client(serve, said("Sixteen."), said("454.")) as it:
        await it.type("How many ounces?")
        await it.response()
        (item,) = {
            event.item.id
            for event in it.seen
            if event.type == "conversation.item.done" and event.item.role == deleted
        }
        await it.connection.conversation.item.delete(item_id=item)
        await it.until("conversation.item.deleted")
        await it.type("And how many grams?")
        (message,) = (await it.response()).output
        assert transcript(message) == "That is 454 grammes."
        assert "was told" not in str(it.expert.requests[1]["messages"])


async def test_a_choice_that_names_a_function_cannot_name_what_is_not_the_clients(
    serve: Serve,
) -> None:
    async with client(serve, said("Sixteen.")) as it:
        choice = {"type": "function", "name": "ask_expert"}
        await it.connection.response.create(response={"tool_choice": choice})
        while (event := await it.connection.recv()).type != "error":
            pass
        assert event.error.param == "response.tool_choice"
        assert not it.expert.requests
