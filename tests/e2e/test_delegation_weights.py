"""A real engine that asks a real language model on another server, through the stock SDK.

In front is the `light` engine with its default models, behind llama.cpp's own HTTP server with
the small one: here it is only to be asked, and to answer.
"""

import asyncio
import logging
from typing import Any

import pytest
from openai import AsyncOpenAI

from duologue.config import ServerConfig
from e2e.test_remote_parts import UPSTREAM_KEY, ask, llama_server
from live_server import KEY, serving
from weights import weights

pytestmark = [pytest.mark.weights, pytest.mark.slow, pytest.mark.timeout(240)]


async def test_the_default_model_asks_what_it_cannot_work_out_and_not_how_one_is(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for name in ("silero-vad", "smart-turn-v3.2", "qwen2.5-coder-1.5b-instruct-q4_k_m"):
        weights(name)
    asked: list[bool] = []
    async with llama_server() as url:
        config = ServerConfig(
            engine="light",
            stt="whisper-tiny.en",
            port=0,
            api_key=KEY,
            max_sessions=1,
            delegate=url,
            delegate_key=UPSTREAM_KEY,
        )
        with caplog.at_level(logging.INFO, "duologue.engines.delegation"):
            async with serving(config) as base_url, asyncio.timeout(200):
                client = AsyncOpenAI(api_key=KEY, base_url=base_url)
                async with client.realtime.connect(model="gpt-realtime") as connection:
                    for text in ("Hi there!", "What is 17 times 243?"):
                        seen = await ask(connection, text, max_output_tokens=200)
                        _check(seen)
                        asked.append("the expert answered" in caplog.text)
    assert asked == [False, True]
    assert UPSTREAM_KEY not in caplog.text


def _check(seen: list[Any]) -> None:
    response = seen[-1].response
    assert response.status == "completed", response.status_details
    (message,) = response.output
    assert message.type == "message" and message.content[0].transcript.strip()
    assert any(event.type == "response.output_audio.delta" for event in seen)
    assert not any("function_call" in event.type for event in seen)
