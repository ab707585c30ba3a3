"""A real full-duplex model with random weights behind the whole server, over a real socket."""

import asyncio
from base64 import b64decode
from typing import Any

import numpy as np
import pytest

from duologue.config import ServerConfig
from e2e.microphone import paced
from live_server import KEY, call, serving
from random_weights import skip_module_without_torch

skip_module_without_torch()

pytestmark = pytest.mark.slow

CHUNK_MS = 20
CHUNK_SAMPLES = 24 * CHUNK_MS


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> ServerConfig:
    from duologue.testing.tiny_moshi import build

    return ServerConfig(
        engine="moshi",
        moshi_model=str(build(tmp_path_factory.mktemp("moshi"))),
        device="cpu",
        threads=1,
        max_sessions=1,
        vad="loudness",
        turn_end="loudness",
        stt="http://127.0.0.1:9/v1#none",
        port=0,
        api_key=KEY,
    )


def noise(seconds: float, loud: int) -> bytes:
    draw = np.random.default_rng(1)
    return (draw.normal(size=int(seconds * 24_000)) * loud).astype("<i2").tobytes()


async def test_it_talks_while_it_is_talked_to_and_can_be_silenced(config: ServerConfig) -> None:
    async with serving(config) as base_url, asyncio.timeout(60), call(base_url) as client:
        created = await client.next("session.created")
        traits = created["session"]["duologue"]["traits"]
        assert traits["end_to_end"] and traits["duplex"] and not traits["rewinds"]
        await client.send(
            "session.update", session={"type": "realtime", "instructions": "Be brief."}
        )
        await client.next("session.updated")
        line = asyncio.ensure_future(paced(noise(30, 3000), client.append, CHUNK_MS))
        seen: list[dict[str, Any]] = []
        while sum(event["type"] == "response.output_audio.delta" for event in seen) < 12:
            seen.append(await client.receive())
            assert seen[-1]["type"] != "error", seen[-1]
        await client.send("response.cancel")
        done = await client.next("response.done")
        line.cancel()
        await asyncio.gather(line, return_exceptions=True)
    kinds = [event["type"] for event in seen]
    assert "input_audio_buffer.speech_started" in kinds, "it hears while it speaks"
    assert kinds.count("response.created") >= 1
    text = "".join(
        e["delta"] for e in seen if e["type"] == "response.output_audio_transcript.delta"
    )
    assert len(text.split()) > 3
    sound = b"".join(
        b64decode(e["delta"]) for e in seen if e["type"] == "response.output_audio.delta"
    )
    assert np.frombuffer(sound, "<i2").std() > 50
    response = done["response"]
    assert response["status"] == "cancelled"
    usage = response["usage"]
    assert usage["input_token_details"]["audio_tokens"] > 0
    assert usage["output_token_details"]["audio_tokens"] >= 10
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
