"""The stock `openai` Realtime client against an engine whose mind is on another server.

That is llama.cpp's own HTTP server with the bundled small weights.
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import xllamacpp
from openai import AsyncOpenAI

from duologue.config import ServerConfig
from e2e.microphone import append
from live_server import KEY, serving
from oracle import validate_server_event
from recordings import recording
from weights import weights

WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather of a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "unit": {"enum": ["C", "F"]}},
        "required": ["city", "unit"],
        "additionalProperties": False,
    },
}
pytestmark = [pytest.mark.weights, pytest.mark.timeout(180)]
UPSTREAM_KEY = "sk-upstream-of-llama"
SILENCE = bytes(48_000)


@asynccontextmanager
async def llama_server() -> AsyncIterator[str]:
    """Gives the setting `llm` for a llama.cpp server of its own."""
    params = xllamacpp.CommonParams()
    params.model.path = str(weights("smollm2-135m-instruct-q4_1"))
    params.n_parallel = 2
    params.n_ctx = 4096
    params.kv_unified = False
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 2
    params.verbosity = 0
    params.use_jinja = True
    params.sampling.temp = 0.0
    params.api_keys = [UPSTREAM_KEY]
    server = await asyncio.to_thread(xllamacpp.Server, params)
    yield f"{server.listening_address}/v1#smollm2"
    del server


def composed(llm: str, **settings: Any) -> ServerConfig:
    given = {"llm": llm, "llm_key": UPSTREAM_KEY, "context_tokens": 2048, **settings}
    return ServerConfig(engine="light", profile="small", port=0, api_key=KEY, **given)


async def until(connection: Any, kind: str) -> list[Any]:
    """The events up to the next of a kind; all of them valid, none an error."""
    seen = []
    async for event in connection:
        validate_server_event(json.dumps(event.to_dict()))
        assert event.type != "error", event
        seen.append(event)
        if event.type == kind:
            return seen
    raise AssertionError(f"the connection ended before {kind}")


async def ask(connection: Any, text: str, **response: Any) -> list[Any]:
    await connection.conversation.item.create(
        item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    )
    await connection.response.create(response=response)
    return await until(connection, "response.done")


async def test_a_spoken_turn_is_answered_by_a_llama_cpp_server_in_our_voice() -> None:
    async with llama_server() as llm, serving(composed(llm)) as base_url:
        client = AsyncOpenAI(api_key=KEY, base_url=base_url)
        async with client.realtime.connect(model="gpt-realtime") as connection:
            await append(connection, recording("06_af_nova.wav").pcm + SILENCE + SILENCE)
            seen = await until(connection, "response.done")
            response = seen[-1].response
            assert response.status == "completed", response.status_details
            said = response.output[0].content[0].transcript
            sound = sum(
                len(base64.b64decode(e.delta))
                for e in seen
                if e.type == "response.output_audio.delta"
            )
            assert len(said.split()) > 2 and sound > 24_000
            assert response.usage.input_tokens > 20
            assert response.usage.output_token_details.text_tokens > 2

            again = (await ask(connection, "And what else?"))[-1].response
            cached = again.usage.input_token_details.cached_tokens
            assert again.status == "completed" and cached > 20  # upstream's own prefix cache


async def test_a_llama_cpp_server_calls_the_function_that_it_must_call() -> None:
    """Neither its grammar nor the chat template of this model sees to the call."""
    async with llama_server() as llm, serving(composed(llm)) as base_url:
        client = AsyncOpenAI(api_key=KEY, base_url=base_url)
        async with client.realtime.connect(model="gpt-realtime") as connection:
            await connection.session.update(
                session={"type": "realtime", "tools": [WEATHER], "output_modalities": ["text"]}
            )
            for choice in ("required", {"type": "function", "name": "get_weather"}):
                text = "What is the weather in Paris, in C?"
                seen = await ask(connection, text, tool_choice=choice)
                response = seen[-1].response
                assert response.status == "completed", response.status_details
                (call,) = response.output
                assert (call.type, call.name) == ("function_call", "get_weather")
                given = json.loads(call.arguments)
                assert set(given) == {"city", "unit"} and given["unit"] in ("C", "F")
                assert response.usage.output_tokens > 5
                await connection.conversation.item.create(
                    item={
                        "type": "function_call_output",
                        "call_id": call.call_id,
                        "output": '{"weather": "rain", "degrees": 12}',
                    }
                )
                said = (await ask(connection, "So?", tool_choice="none"))[-1].response
                assert said.status == "completed" and said.output[0].type == "message"
