"""The beta endpoints that mint: a flat session in, the same out with a secret that speaks beta."""

import json
from typing import Any

import pytest
from openai import AsyncOpenAI, BadRequestError
from openai.types.beta.realtime import TranscriptionSession
from openai.types.beta.realtime.session_create_response import SessionCreateResponse

from beta_oracle import validate_beta_event
from live_server import KEY, Serve, call, http_post, scripted, serving

NOW = 1_800_000_000
SESSION: dict[str, Any] = {
    "model": "gpt-4o-realtime-preview",
    "instructions": "You work at the front desk.",
    "modalities": ["text"],
    "voice": "sage",
    "temperature": 1.1,
    "tool_choice": {"type": "function", "function": {"name": "book"}},
    "tools": [{"type": "function", "name": "book", "parameters": {"type": "object"}}],
    "turn_detection": {"type": "server_vad", "silence_duration_ms": 350},
}


def wall() -> float:
    return float(NOW)


async def mint(base_url: str, body: Any, path: str = "sessions", **options: Any) -> dict[str, Any]:
    status, headers, answer = await http_post(base_url + f"/realtime/{path}", body, **options)
    assert (status, headers["cache-control"]) == (200, "no-store"), answer
    session: dict[str, Any] = answer
    return session


@pytest.mark.conformance("C-203")
async def test_a_secret_opens_the_session_it_was_minted_with_and_speaks_beta(serve: Serve) -> None:
    async with serve(scripted(), wall) as base_url:
        minted = await mint(base_url, SESSION)
        secret = minted.pop("client_secret")
        assert secret["value"].startswith("ek_")
        assert secret["expires_at"] == NOW + 60
        SessionCreateResponse.model_validate({**minted, "client_secret": secret}, strict=True)
        assert minted["expires_at"] == 0
        expected = {
            **SESSION,
            "tool_choice": "book",
            "turn_detection": {
                "type": "server_vad",
                "threshold": 0.5,
                "prefix_padding_ms": 300,
                "silence_duration_ms": 350,
                "create_response": True,
                "interrupt_response": True,
            },
        }
        assert {key: minted[key] for key in expected} == expected
        async with call(base_url, "", key=secret["value"]) as client:
            created = await client.receive()
            validate_beta_event(json.dumps(created))
            changed = {"id", "expires_at"}
            assert {k: v for k, v in created["session"].items() if k not in changed} == {
                k: v for k, v in minted.items() if k not in changed
            }
            assert (await client.receive())["type"] == "conversation.created"
            await client.send("response.create")
            done = await client.next("response.done")
            assert done["response"]["temperature"] == 1.1
        async with call(
            base_url,
            key=None,
            subprotocols=["realtime", f"openai-insecure-api-key.{secret['value']}"],
        ) as browser:
            assert (await browser.receive())["session"]["voice"] == "sage"


@pytest.mark.conformance("C-203")
@pytest.mark.client("openai Python beta", "client secret")
async def test_the_sdk_mints_with_the_life_it_asks_for(serve: Serve) -> None:
    async with serve(scripted(), wall) as base_url:
        async with AsyncOpenAI(base_url=base_url, api_key=KEY, max_retries=0) as sdk:
            session = await sdk.beta.realtime.sessions.create(
                model="gpt-4o-realtime-preview",
                voice="ash",
                client_secret={"expires_after": {"anchor": "created_at", "seconds": 120}},
            )
            assert session.client_secret.expires_at == NOW + 120
            assert (session.voice, session.temperature) == ("ash", 0.8)


@pytest.mark.conformance("C-203")
@pytest.mark.client("openai Python beta", "client secret")
async def test_the_sdk_mints_for_a_transcription_likewise() -> None:
    async with serving(scripted(), wall) as base_url:
        async with AsyncOpenAI(base_url=base_url, api_key=KEY, max_retries=0) as sdk:
            transcription = await sdk.beta.realtime.transcription_sessions.create(
                input_audio_transcription={"model": "whisper-1", "language": "de"},
                client_secret={"expires_at": {"anchor": "created_at", "seconds": 30}},
            )
            assert transcription.client_secret.expires_at == NOW + 30
            wanted = transcription.input_audio_transcription
            assert wanted and (wanted.model, wanted.language) == ("whisper-1", "de")
        raw = await mint(base_url, {"input_audio_format": "pcm16"}, "transcription_sessions")
        TranscriptionSession.model_validate(raw, strict=True)
        assert raw["object"] == "realtime.transcription_session"


async def test_no_body_asks_for_the_servers_defaults(serve: Serve) -> None:
    async with serve(scripted(instructions="Be brief.", voice="cedar")) as base_url:
        session = await mint(base_url, b"")
        assert (session["instructions"], session["voice"]) == ("Be brief.", "cedar")


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({"temperature": 2}, "decimal_above_max_value", "temperature"),
        ({"voice": "nobody"}, "invalid_value", "voice"),
        ({"model": "gpt-4o"}, "invalid_model", "model"),
        ({"input_audio_format": "wav"}, "invalid_value", "input_audio_format"),
        (
            {"turn_detection": {"type": "server_vad", "threshold": 2}},
            "decimal_above_max_value",
            "turn_detection.threshold",
        ),
        (
            {"client_secret": {"expires_after": {"anchor": "created_at", "seconds": 9}}},
            "integer_below_min_value",
            "client_secret.expires_after.seconds",
        ),
        ([], "invalid_event", None),
    ],
)
async def test_a_session_that_cannot_be_is_a_400_with_the_path_in_the_body(
    body: Any, code: str, param: str | None, serve: Serve
) -> None:
    async with serve(scripted()) as base_url:
        status, _, answer = await http_post(base_url + "/realtime/sessions", body)
        assert (status, answer["error"]["code"], answer["error"]["param"]) == (400, code, param)
        assert "session." not in answer["error"]["message"]


async def test_who_may_mint_and_where_nobody_may(serve: Serve) -> None:
    async with serve(scripted()) as base_url:
        url = base_url + "/realtime/sessions"
        assert (await http_post(url, {}, None))[0] == 401
        assert (await http_post(url, {}, "sk-wrong"))[0] == 401
        secret = (await mint(base_url, {}))["client_secret"]["value"]
        assert (await http_post(url, {}, secret))[0] == 403
    async with serve(scripted(beta="refuse")) as base_url:
        async with AsyncOpenAI(base_url=base_url, api_key=KEY, max_retries=0) as sdk:
            with pytest.raises(BadRequestError) as refusal:
                await sdk.beta.realtime.sessions.create()
            assert refusal.value.code == "beta_api_shape_disabled"
