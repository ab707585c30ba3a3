"""Client secrets: minted over HTTP, judged whole, good for sessions and for nothing else."""

import logging
from typing import Any

import pytest
from openai import AsyncOpenAI, BadRequestError, PermissionDeniedError
from openai.types.realtime import ClientSecretCreateResponse
from openai.types.realtime.realtime_translation_client_secret_create_response import (
    RealtimeTranslationClientSecretCreateResponse,
)

from duologue.config import ServerConfig
from duologue.gateway.client_secrets import ClientSecrets, SecretsFull
from duologue.gateway.keys import Key, own_key
from duologue.gateway.session_start import SessionStart
from duologue.runtime.ports import Traits
from live_server import KEY, Serve, call, http_get, http_post, scripted, serving

NOW = 1_800_000_000


class Wall:
    """A clock on the wall that moves when it is told to."""

    def __init__(self) -> None:
        self.now = float(NOW)

    def __call__(self) -> float:
        return self.now


SESSION: dict[str, Any] = {
    "type": "realtime",
    "model": "gpt-realtime",
    "instructions": "You work at the front desk.",
    "output_modalities": ["text"],
    "audio": {
        "input": {
            "turn_detection": {"type": "semantic_vad", "eagerness": "low"},
            "transcription": {"model": "whisper-1", "language": "en"},
        },
        "output": {"voice": "marin", "speed": 1.25},
    },
    "tools": [{"type": "function", "name": "book", "parameters": {"type": "object"}}],
}


def client(base_url: str, key: str = KEY) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=base_url, api_key=key, max_retries=0)


async def mint(base_url: str, body: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
    status, _, answer = await http_post(
        base_url + "/realtime/client_secrets", body or {}, **options
    )
    assert status == 200, answer
    secret: dict[str, Any] = answer
    return secret


@pytest.mark.conformance("C-021", "C-022")
@pytest.mark.client("openai Python", "client secret")
async def test_the_sdk_gets_a_secret_with_the_whole_session_it_opens(serve: Serve) -> None:
    wall = Wall()
    async with serve(scripted(), wall) as base_url:
        async with client(base_url) as sdk:
            secret = await sdk.realtime.client_secrets.create(session=SESSION)
        raw = await mint(base_url, {"session": SESSION})
    ClientSecretCreateResponse.model_validate_json(secret.model_dump_json(), strict=True)
    assert secret.value.startswith("ek_") and secret.value != raw["value"]
    assert secret.expires_at == NOW + 600
    session = raw["session"]
    assert (session["type"], session["object"]) == ("realtime", "realtime.session")
    assert session["id"].startswith("sess_")
    assert session["expires_at"] == 0
    assert session["model"] == "gpt-realtime"
    assert session["instructions"] == "You work at the front desk."
    assert session["audio"]["input"]["turn_detection"]["create_response"] is True
    assert session["audio"]["output"]["speed"] == 1.25
    ClientSecretCreateResponse.model_validate(raw, strict=True)


async def test_a_secret_for_nothing_in_particular_binds_the_servers_defaults(serve: Serve) -> None:
    async with serve(scripted(instructions="Be brief.", voice="cedar")) as base_url:
        for body in (b"", b"{}", b'{"session": null, "expires_after": null}'):
            status, headers, secret = await http_post(base_url + "/realtime/client_secrets", body)
            assert (status, headers["cache-control"]) == (200, "no-store")
            assert secret["session"]["instructions"] == "Be brief."
            assert secret["session"]["audio"]["output"]["voice"] == "cedar"


@pytest.mark.conformance("C-021")
@pytest.mark.parametrize(
    ("expires_after", "code", "param"),
    [
        ({"seconds": 9}, "integer_below_min_value", "expires_after.seconds"),
        ({"seconds": 7201}, "integer_above_max_value", "expires_after.seconds"),
        ({"seconds": 60.5}, "invalid_type", "expires_after.seconds"),
        ({"anchor": "now", "seconds": 60}, "invalid_value", "expires_after.anchor"),
        ("soon", "invalid_type", "expires_after"),
    ],
)
async def test_an_expiry_that_cannot_be_is_a_400(
    expires_after: Any, code: str, param: str, base_url: str
) -> None:
    async with client(base_url) as sdk:
        with pytest.raises(BadRequestError) as refusal:
            await sdk.realtime.client_secrets.create(expires_after=expires_after)
    assert (refusal.value.code, refusal.value.param) == (code, param)
    assert refusal.value.type == "invalid_request_error"


async def test_the_shortest_and_the_longest_expiry_are_taken(serve: Serve) -> None:
    async with serve(scripted(), Wall()) as base_url:
        for seconds in (10, 7200):
            secret = await mint(
                base_url, {"expires_after": {"anchor": "created_at", "seconds": seconds}}
            )
            assert secret["expires_at"] == NOW + seconds


@pytest.mark.parametrize(
    ("session", "code", "param"),
    [
        ({}, "missing_required_parameter", "session.type"),
        ({"type": "opera"}, "invalid_value", "session.type"),
        ({"type": "realtime", "model": "gpt-4o"}, "invalid_model", "session.model"),
        ({"type": "realtime", "output_modalities": ["audio", "text"]}, "invalid_value",
         "session.output_modalities"),
        ({"type": "realtime", "audio": {"output": {"speed": 9}}}, "decimal_above_max_value",
         "session.audio.output.speed"),
        ({"type": "realtime", "audio": {"output": {"voice": "basso"}}}, "invalid_value",
         "session.audio.output.voice"),
        ({"type": "realtime", "audio": {"input": {"format": {"type": "audio/pcm", "rate": 8000}}}},
         "invalid_value", "session.audio.input.format.rate"),
        ({"type": "realtime", "prompt": {"id": "pmpt_1"}}, "invalid_value", "session.prompt.id"),
        ({"type": "transcription", "audio": {"input": {"turn_detection": {"type": "x"}}}},
         "invalid_value", "session.audio.input.turn_detection.type"),
        ("realtime", "invalid_type", "session"),
    ],
)  # fmt: skip
async def test_a_session_that_cannot_be_is_a_400_when_the_secret_is_asked_for(
    session: Any, code: str, param: str, base_url: str
) -> None:
    status, _, body = await http_post(base_url + "/realtime/client_secrets", {"session": session})
    assert status == 400
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert (body["error"]["code"], body["error"]["param"]) == (code, param)


async def test_unknown_fields_are_ignored_or_refused_as_configured(
    base_url: str, serve: Serve
) -> None:
    body = {"session": {"type": "realtime", "colour": "red"}}
    await mint(base_url, body)
    async with serve(scripted(unknown_keys="strict")) as strict_url:
        status, _, answer = await http_post(strict_url + "/realtime/client_secrets", body)
    assert status == 400
    assert (answer["error"]["code"], answer["error"]["param"]) == (
        "unknown_parameter",
        "session.colour",
    )


@pytest.mark.conformance("C-006", "C-008", "C-024")
async def test_a_secret_opens_sessions_that_begin_as_it_was_bound(base_url: str) -> None:
    secret = await mint(base_url, {"session": SESSION})
    value, shown = secret["value"], secret["session"]
    browser = ["realtime", f"openai-insecure-api-key.{value}", "openai-agents-sdk.0.20.0"]
    for query, options in (
        ("model=gpt-realtime", {"key": value}),
        ("", {"key": value}),
        ("", {"key": None, "subprotocols": browser}),
    ):
        async with call(base_url, query, **options) as caller:
            created = (await caller.receive())["session"]
            differing = {key for key in shown if created[key] != shown[key]}
            assert differing == {"id", "expires_at"}
            update = {"type": "realtime", "model": "gpt-realtime", "instructions": "Sing."}
            await caller.send("session.update", session=update)
            updated = (await caller.next("session.updated"))["session"]
            assert updated["instructions"] == "Sing."
            assert updated["audio"] == created["audio"]
            if options["key"] is None:
                assert caller.socket.subprotocol == "realtime"


async def test_a_connection_may_name_another_model_than_its_secret(base_url: str) -> None:
    secret = await mint(base_url, {"session": SESSION})
    async with call(base_url, "model=gpt-realtime-mini", key=secret["value"]) as caller:
        assert (await caller.receive())["session"]["model"] == "gpt-realtime-mini"
    async with call(base_url, "model=gpt-4o", key=secret["value"]) as caller:
        assert (await caller.receive())["error"]["code"] == "invalid_model"


async def test_an_sdk_may_name_a_model_of_its_own_in_a_session_of_another_name(
    serve: Serve,
) -> None:
    async def updated(base_url: str, **session: Any) -> dict[str, Any]:
        secret = await mint(base_url, {"session": SESSION})
        async with call(base_url, "", key=secret["value"]) as caller:
            await caller.next("session.created")
            await caller.send("session.update", session={"type": "realtime", **session})
            return await caller.receive()

    async with serve(scripted()) as base_url:
        event = await updated(base_url, model="gpt-realtime-2.1", instructions="Be kind.")
        session = event["session"]
        assert (session["model"], session["instructions"]) == ("gpt-realtime", "Be kind.")
        for other in ("gpt-4o", "gpt-realtime-whisper", ""):
            error = (await updated(base_url, model=other))["error"]
            assert (error["code"], error["param"]) == ("invalid_value", "session.model")
    async with serve(scripted(unknown_model="lenient")) as base_url:
        session = (await updated(base_url, model="my-own"))["session"]
        assert session["model"] == "gpt-realtime"


async def test_a_secret_needs_no_model_even_where_a_connection_does(serve: Serve) -> None:
    async with serve(scripted(missing_model="strict")) as base_url:
        secret = await mint(base_url)
        async with call(base_url, "", key=secret["value"]) as caller:
            assert (await caller.receive())["session"]["model"] == "duologue"


@pytest.mark.conformance("C-007")
async def test_expiry_ends_the_secret_and_no_session(serve: Serve) -> None:
    wall = Wall()
    async with serve(scripted(), wall) as base_url:
        secret = await mint(base_url, {"expires_after": {"seconds": 10}})
        async with call(base_url, key=secret["value"]) as caller:
            await caller.next("session.created")
            wall.now += 10
            async with call(base_url, key=secret["value"]) as late:
                error = (await late.receive())["error"]
                assert error["code"] == "invalid_api_key"
                assert "expired" in error["message"]
                assert (await late.closed())[0] == 3000
            await caller.send("session.update", session={"type": "realtime"})
            await caller.next("session.updated")


async def test_a_secret_can_neither_mint_nor_read_nor_control_calls(base_url: str) -> None:
    value = (await mint(base_url))["value"]
    async with client(base_url, value) as sdk:
        with pytest.raises(PermissionDeniedError) as refusal:
            await sdk.realtime.client_secrets.create()
    assert refusal.value.code == "insufficient_permissions"
    status, _, _ = await http_get(base_url + "/models", key=value)
    assert status == 403
    path = "/realtime/translations/client_secrets"
    status, _, _ = await http_post(base_url + path, {"session": {"model": "m"}}, value)
    assert status == 403
    async with call(base_url, "call_id=rtc_1", key=value) as caller:
        assert (await caller.receive())["error"]["code"] == "insufficient_permissions"


async def test_minting_needs_a_key(base_url: str) -> None:
    for key in (None, "sk-nonsense", "ek_nonsense"):
        status, headers, body = await http_post(base_url + "/realtime/client_secrets", {}, key)
        assert (status, headers["www-authenticate"]) == (401, "Bearer")
        assert body["error"]["code"] == "invalid_api_key"


@pytest.mark.conformance("C-023")
async def test_a_transcription_session_is_shown_whole() -> None:
    session: Any = {
        "type": "transcription",
        "audio": {"input": {"transcription": {"model": "gpt-4o-transcribe"}}},
    }
    async with serving(scripted()) as base_url, client(base_url) as sdk:
        secret = await sdk.realtime.client_secrets.create(session=session)
    ClientSecretCreateResponse.model_validate_json(secret.model_dump_json(), strict=True)
    assert secret.session.type == "transcription"
    assert secret.session.object == "realtime.transcription_session"
    assert secret.session.id.startswith("sess_")


@pytest.mark.parametrize("serve", [serving], ids=["alone"])  # a front does not translate
async def test_a_translation_secret_has_the_translation_session_in_it(base_url: str) -> None:
    session: Any = {
        "model": "gpt-realtime-translate",
        "audio": {
            "input": {
                "transcription": {"model": "whisper-1"},
                "noise_reduction": {"type": "near_field"},
            },
            "output": {"language": "en"},
        },
    }
    async with client(base_url) as sdk:
        secret = await sdk.realtime.translations.client_secrets.create(session=session)
    RealtimeTranslationClientSecretCreateResponse.model_validate_json(
        secret.model_dump_json(), strict=True
    )
    assert secret.value.startswith("ek_")
    assert secret.session.type == "translation"
    assert secret.session.model == "gpt-realtime-translate"
    assert secret.session.audio.output and secret.session.audio.output.language == "en"
    path = base_url + "/realtime/translations/client_secrets"
    for body, param in (({}, "session"), ({"session": {}}, "session.model")):
        status, _, answer = await http_post(path, body)
        assert (status, answer["error"]["param"]) == (400, param)


@pytest.mark.conformance("C-025")
async def test_whom_a_session_is_for_is_logged_as_a_digest_and_bound_to_the_secret(
    base_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "duologue")
    headers = {"OpenAI-Safety-Identifier": "user-4711"}
    secret = await mint(base_url, headers=headers)
    assert "user-4711" not in str(secret)
    for options in ({"key": secret["value"]}, {"headers": headers}):
        async with call(base_url, **options) as caller:
            await caller.next("session.created")
    told = [record.getMessage() for record in caplog.records if "safety" in record.getMessage()]
    lines = [line for line in told if "identifier None" not in line]  # a server behind is told none
    assert len(lines) == 2
    digests = {line.split("safety identifier ")[1] for line in lines}
    assert len(digests) == 1 and len(digests.pop()) == 16
    assert not any("user-4711" in line or secret["value"] in line for line in lines)


def store(wall: Wall, **limits: int) -> ClientSecrets:
    return ClientSecrets(
        SessionStart(ServerConfig(), Traits(voices=("tone",)), wall), wall, **limits
    )


def test_the_number_of_secrets_is_bounded_and_expired_ones_make_room() -> None:
    wall, key = Wall(), Key(own_key("k"))
    secrets = store(wall, limit=2)
    first = secrets.mint(expires_after_s=10, key=key)
    secrets.mint(expires_after_s=600, key=key)
    with pytest.raises(SecretsFull):
        secrets.mint(key=key)
    wall.now += 10
    third = secrets.mint(key=key)
    assert secrets.find(first.value) is None
    assert secrets.find(third.value)


def test_what_is_bound_is_bounded_in_size() -> None:
    from duologue.events import RealtimeSessionUpdate

    wall, key = Wall(), Key(own_key("k"))
    secrets = store(wall, limit_bytes=10_000)
    long = RealtimeSessionUpdate(instructions="word " * 1500)
    secrets.mint(long, 10, key=key)
    with pytest.raises(SecretsFull):
        secrets.mint(long, key=key)
    wall.now += 10
    secrets.mint(long, key=key)


def test_a_secret_ends_with_the_key_that_minted_it() -> None:
    wall, key = Wall(), Key(own_key("k"))
    secrets = store(wall)
    value = secrets.mint(key=key).value
    assert secrets.find(value)
    key.revoked = True
    assert secrets.find(value) is None


def test_a_secret_itself_is_not_kept() -> None:
    secrets = store(Wall())
    value = secrets.mint(key=Key(own_key("k"))).value
    assert value not in str(vars(secrets))
