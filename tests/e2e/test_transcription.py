"""Real speech through real weights in a transcription session, and at the translation's door."""

import asyncio
import json
from typing import Any

import pytest
from websockets.asyncio.client import connect

from duologue.config import ServerConfig
from e2e.microphone import paced
from live_server import KEY, Caller, call, serving, ws_url
from oracle import validate_server_event
from recordings import recording
from weights import weights

pytestmark = [pytest.mark.weights, pytest.mark.timeout(180)]
NAME = "conversation.item.input_audio_transcription"


async def speak(client: Caller, pcm: bytes) -> None:
    await paced(pcm, client.append, frame_ms=100)
    await client.send("input_audio_buffer.commit")


@pytest.mark.conformance("C-099", "C-102")
async def test_words_arrive_while_they_are_spoken_and_add_up() -> None:
    for name in ("silero-vad", "whisper-tiny.en", "smollm2-135m-instruct-q4_1"):
        weights(name)
    config = ServerConfig(engine="light", profile="small", port=0, api_key=KEY, max_sessions=1)
    async with serving(config) as base_url:
        url = ws_url(base_url, "") + "/translations?model=duologue"
        async with connect(url, additional_headers={"api-key": KEY}) as socket:
            error = json.loads(await socket.recv())["error"]
            assert error["code"] == "invalid_model"
            assert "whisper-tiny.en" in error["message"]
        async with call(base_url, "intent=transcription") as client:
            heard: dict[str, Any] = {
                "turn_detection": None,
                "transcription": {"model": "gpt-realtime-whisper", "delay": "low"},
            }
            await client.send(
                "session.update",
                session={
                    "type": "transcription",
                    "audio": {"input": heard},
                    "include": ["item.input_audio_transcription.logprobs"],
                },
            )
            speech = recording("librivox_0880.wav").speech
            events: list[dict[str, Any]] = []
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(speak(client, speech))
                while not events or events[-1]["type"] != f"{NAME}.completed":
                    text = await client.socket.recv()
                    validate_server_event(text)
                    events.append(json.loads(text))
    types = [event["type"] for event in events]
    completed = events[-1]
    told = [event for event in events if event["type"] == f"{NAME}.delta"]
    assert types.index(f"{NAME}.delta") < types.index("input_audio_buffer.committed")
    assert "".join(event["delta"] for event in told) == completed["transcript"]
    assert {event["item_id"] for event in told} == {completed["item_id"]}
    assert "young man" in completed["transcript"]
    assert "".join(one["token"] for one in completed["logprobs"]) == completed["transcript"]
    assert completed["usage"]["seconds"] == -(-len(speech) // 48_000)
