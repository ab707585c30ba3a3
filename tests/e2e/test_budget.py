"""Tokens over the wire, with the real small model: usage that adds up, histories that overflow."""

import json
from typing import Any

import msgspec
import pytest

from duologue.config import ServerConfig
from duologue.events import Usage
from live_server import KEY, Caller, call, scripted, serving
from oracle import validate_server_event
from session_kit import check_usage
from weights import weights

DIGITS = "Remember: 31415926535897932384626433832795028841971693993751058209749445923."


def small(**settings: Any) -> ServerConfig:
    weights("smollm2-135m-instruct-q4_1")
    given = {"profile": "small", "port": 0, "api_key": KEY, "max_sessions": 1, **settings}
    return ServerConfig(engine="light", **given)


async def ask(client: Caller, **response: Any) -> dict[str, Any]:
    """A response to its end; it must be valid for the SDK and its usage must add up."""
    await client.send("response.create", response=response)
    return await finished(client)


async def finished(client: Caller) -> dict[str, Any]:
    done = await client.next("response.done")
    validate_server_event(json.dumps(done))
    check_usage(msgspec.convert(done["response"]["usage"], Usage))
    response: dict[str, Any] = done["response"]
    return response


async def say(client: Caller, text: str) -> str:
    content = [{"type": "input_text", "text": text}]
    await client.send(
        "conversation.item.create", item={"type": "message", "role": "user", "content": content}
    )
    added = await client.next("conversation.item.done")
    return str(added["item"]["id"])


@pytest.mark.slow
@pytest.mark.weights
@pytest.mark.timeout(300)
@pytest.mark.conformance("C-154", "C-189", "C-191")
async def test_numbers_fill_the_window_and_the_conversation_goes_on() -> None:
    async with serving(small(context_tokens=1024)) as base_url, call(base_url) as client:
        await client.next("session.created")
        change = {"type": "realtime", "output_modalities": ["text"], "max_output_tokens": 16}
        await client.send("session.update", session=change)
        first = await say(client, DIGITS)
        inputs = []
        for _ in range(12):
            response = await ask(client)
            assert response["status"] in ("completed", "incomplete")
            inputs.append(response["usage"]["input_tokens"])
            await say(client, DIGITS)
        assert max(inputs) <= 1024 - 16
        assert any(later < earlier for earlier, later in zip(inputs, inputs[1:], strict=False))
        await client.send("conversation.item.retrieve", item_id=first)
        kept = await client.next("conversation.item.retrieved")
        assert kept["item"]["content"][0]["text"] == DIGITS

        strict = {"type": "realtime", "truncation": "disabled"}
        await client.send("session.update", session=strict)
        for _ in range(12):
            await say(client, DIGITS)
        failed = await ask(client)
        assert failed["status"] == "failed"
        assert failed["status_details"]["error"]["code"] == "context_length_exceeded"
        await client.send("session.update", session={"type": "realtime", "truncation": "auto"})
        assert (await ask(client))["status"] in ("completed", "incomplete")


@pytest.mark.weights
@pytest.mark.timeout(300)
@pytest.mark.conformance("C-154")
async def test_a_cancelled_response_of_a_real_model_says_what_it_read() -> None:
    async with serving(small()) as base_url, call(base_url) as client:
        await client.next("session.created")
        await say(client, "Tell me a long story about the sea.")
        await client.send("response.create", response={})
        await client.next("response.output_audio.delta")
        await client.send("response.cancel")
        response = await finished(client)
        usage = response["usage"]
        assert response["status"] == "cancelled"
        assert usage["input_tokens"] > usage["input_token_details"]["cached_tokens"] > 0
        assert usage["output_token_details"]["text_tokens"] > 0
        assert usage["output_token_details"]["audio_tokens"] > 0


@pytest.mark.conformance("C-190", "C-192")
async def test_a_retention_ratio_over_the_wire(serve: Any) -> None:
    script = 'context_tokens = 100\nmax_output_tokens = 10\nreplies = [{ text = "So it is" }]'
    async with serve(scripted(script=script)) as base_url, call(base_url) as client:
        await client.next("session.created")
        ratio = {
            "type": "retention_ratio",
            "retention_ratio": 0.5,
            "token_limits": {"post_instructions": 80},
        }
        change = {"type": "realtime", "instructions": "Be kind", "truncation": ratio}
        await client.send("session.update", session={**change, "output_modalities": ["text"]})
        ids, inputs = [], []
        for _ in range(30):
            ids.append(await say(client, "one two three four five six seven"))
            usage = (await ask(client))["usage"]
            inputs.append(usage["input_tokens"] - 2)  # but for the instructions
        assert max(inputs) <= 80
        drops = [n for n in range(1, 30) if inputs[n] < inputs[n - 1]]
        assert len(drops) >= 3 and all(inputs[n] <= 40 for n in drops)
        assert min(b - a for a, b in zip(drops, drops[1:], strict=False)) >= 4
        await client.send("conversation.item.retrieve", item_id=ids[0])
        assert (await client.next("conversation.item.retrieved"))["item"]["id"] == ids[0]
