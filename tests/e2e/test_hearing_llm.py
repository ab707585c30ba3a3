"""The stock `openai` SDK against a server whose language model hears and whose voice is ours.

The model's server is a stand-in; the user's voice is real. It goes through Silero, and Whisper
writes it down for the client only.
"""

import asyncio
import base64
import io
import json
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
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
LONG = "It is sunny in Paris today, and it will stay so for all of the week, with some wind."
USAGE = {
    "prompt_tokens": 90,
    "completion_tokens": 12,
    "prompt_tokens_details": {"audio_tokens": 30},
}


class Mind(ChatStandIn):
    """Answers by the history: a reply may be begun on a guess, and so more than once."""

    def answer_to(self, request: dict[str, Any]) -> Answer:
        told = sum(message["role"] == "assistant" for message in request["messages"])
        return self.answers[min(told, len(self.answers) - 1)]


def hearing(url: str) -> ServerConfig:
    for name in ("silero-vad", "smart-turn-v3.2", "whisper-tiny.en"):
        weights(name)
    return ServerConfig(
        engine="light",
        profile="small",
        port=0,
        api_key=KEY,
        llm=f"{url}#ultravox",
        llm_key=UPSTREAM_KEY,
        llm_hears=True,
    )


class Client:
    """A connection of the SDK that keeps what it gets."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.seen: list[Any] = []

    async def until(self, kind: str) -> Any:
        async for event in self.connection:
            validate_server_event(json.dumps(event.to_dict()))
            assert event.type != "error", event
            assert UPSTREAM_KEY not in event.to_json()
            self.seen.append(event)
            if event.type == kind:
                return event
        raise AssertionError(f"the connection ended before {kind}")


@asynccontextmanager
async def client(mind: Mind) -> AsyncIterator[Client]:
    async with standing_in(mind) as url, serving(hearing(url)) as base_url:
        sdk = AsyncOpenAI(api_key=KEY, base_url=base_url)
        _, _, body = await http_get(base_url + "/models/gpt-realtime")
        async with sdk.realtime.connect(model="gpt-realtime") as connection:
            it = Client(connection)
            created = await it.until("session.created")
            assert created.session.duologue == body["duologue"]
            traits = body["duologue"]["traits"]
            shown = [traits[name] for name in ("hears", "speaks", "end_to_end")]
            assert shown == [True, False, False]
            yield it


def sounds(request: dict[str, Any]) -> list[bytes]:
    """The user's sound in a request, in order."""
    found = []
    for message in request["messages"]:
        for part in message["content"] if isinstance(message["content"], list) else ():
            assert (message["role"], part["type"]) == ("user", "input_audio")
            with wave.open(io.BytesIO(base64.b64decode(part["input_audio"]["data"]))) as file:
                assert file.getframerate() == 24_000
                found.append(file.readframes(file.getnframes()))
    return found


async def test_a_spoken_turn_a_tool_a_barge_in_and_the_history_that_follows() -> None:
    mind = Mind(
        Answer(calls=(("get_weather", '{"city":"Paris"}'),), text="", sound_ms=0, usage=USAGE),
        Answer(text=LONG, sound_ms=0, usage=USAGE, chunk_delay_ms=400),
        Answer(text="Fine.", sound_ms=0, usage=USAGE),
    )
    question = recording("06_af_nova.wav").pcm
    transcription = {"input": {"transcription": {"model": "whisper-1"}}}
    async with client(mind) as it:
        await it.connection.session.update(
            session={
                "type": "realtime",
                "instructions": "Be brief.",
                "tools": [TOOL],
                "audio": transcription,
            }
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(speak(it.connection, question + SILENCE))
            first = (await it.until("response.done")).response
        (call,) = first.output
        assert (call.name, json.loads(call.arguments)) == ("get_weather", {"city": "Paris"})
        details = first.usage.input_token_details
        assert (details.text_tokens, details.audio_tokens) == (60, 30)
        await it.connection.conversation.item.create(
            item={"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
        )
        await it.connection.response.create()
        await it.until("response.output_audio.delta")
        dropped = len(mind.abort_times)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(speak(it.connection, question + SILENCE))
            second = (await it.until("response.done")).response
            assert second.status == "cancelled"
            assert second.status_details.reason == "turn_detected"
            async with asyncio.timeout(5):
                await mind.until(lambda it: len(it.abort_times) > dropped)
            spoken = second.output[0]
            await it.connection.conversation.item.truncate(
                item_id=spoken.id, content_index=0, audio_end_ms=600
            )
            await it.connection.conversation.item.retrieve(item_id=spoken.id)
            kept = (await it.until("conversation.item.retrieved")).item.content[0].transcript
            third = (await it.until("response.done")).response
        assert third.output[0].content[0].transcript == "Fine."
        while not [e for e in it.seen if e.type.endswith("transcription.completed")]:
            await it.until("conversation.item.input_audio_transcription.completed")
    heard = next(e for e in it.seen if e.type.endswith("input_audio_transcription.completed"))
    assert "ounces" in heard.transcript
    assert 0 < len(kept) < len(LONG) and LONG.startswith(kept.strip())
    last = mind.requests[-1]
    assert [m["role"] for m in last["messages"]] == [
        "system",
        "user",
        "assistant",
        "tool",
        "assistant",
        "user",
    ]
    assert last["messages"][4]["content"].strip() == kept.strip()
    assert last["messages"][3]["content"] == "sunny"
    assert "ounces" not in json.dumps(mind.requests)
    assert len(sounds(last)) == 2 and min(map(len, sounds(last))) > 48_000
    sound = sum(
        len(base64.b64decode(e.delta)) for e in it.seen if e.type == "response.output_audio.delta"
    )
    assert sound > 48_000  # in our voice: the stand-in makes none
    assert set(mind.keys) == {f"Bearer {UPSTREAM_KEY}"}
