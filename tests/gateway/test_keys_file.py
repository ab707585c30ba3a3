"""The keys file: further keys with limits, revoked while the server runs.

What takes seconds to be noticed is followed by a server alone where no engine has a part in it.
"""

import asyncio
import hashlib
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from duologue.config import ServerConfig
from duologue.errors import ConfigFault
from duologue.gateway.app import create_app
from duologue.gateway.keys import Keys, KeyTerms, own_key
from duologue.gateway.keys_file import read_keys
from live_server import KEY, Caller, Serve, call, http_get, http_post, scripted, serving
from oracle import validate_server_event
from waiting import logged

ANNA, BORIS = "sk-anna-1", "sk-boris-2"


def put(path: Path, text: str) -> None:
    path.write_text(text)


def entry(name: str, key: str, **limits: int) -> str:
    lines = ["[[keys]]", f'name = "{name}"', f'key = "{key}"']
    return "\n".join([*lines, *(f"{limit} = {value}" for limit, value in limits.items())]) + "\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.toml"


def test_keys_are_read_with_their_limits_and_kept_as_digests(path: Path) -> None:
    digest = hashlib.sha256(BORIS.encode()).hexdigest()
    put(
        path,
        entry("anna", ANNA, requests_per_minute=3, tokens_per_minute=400, max_sessions=2)
        + f'[[keys]]\nname = "boris"\nsha256 = "{digest.upper()}"\n',
    )
    anna, boris = read_keys(path)
    assert (anna.name, anna.requests_per_minute, anna.tokens_per_minute, anna.max_sessions) == (
        "anna",
        3,
        400,
        2,
    )
    assert ANNA not in repr(anna)
    assert boris == KeyTerms(name="boris", digest=digest)
    found = Keys([anna, boris]).find(BORIS)
    assert found and found.terms is boris


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[keys]]\nname = 'a'", "a: give either key or sha256"),
        (f"[[keys]]\nname = 'a'\nkey = 'sk-hush'\nsha256 = '{'0' * 64}'", "give either"),
        (entry("a", "sk-hush") + entry("a", "sk-other"), "a is there twice"),
        (entry("a", "sk-hush") + entry("b", "sk-hush"), "b is there twice"),
        ("[[keys]]\nname = 'a'\nsha256 = 'sk-hush'", "sha256"),
        (entry("a", "sk-hush", max_sessions=0), "max_sessions"),
        (entry("a", "sk-hush", requests_per_hour=1), "requests_per_hour"),
        ("keys = 'sk-hush'", "keys"),
        ("key = sk-hush", "keys.toml"),
    ],
)
def test_a_file_that_cannot_be_is_named_without_its_keys(path: Path, text: str, said: str) -> None:
    put(path, text)
    with pytest.raises(ConfigFault, match=said) as fault:
        create_app(ServerConfig(keys_file=str(path)))
    assert "hush" not in str(fault.value)


def test_a_server_needs_a_key_from_somewhere(path: Path) -> None:
    put(path, "")
    with pytest.raises(ConfigFault, match="a server needs a key"):
        create_app(ServerConfig(keys_file=str(path)))
    with pytest.raises(ConfigFault, match="cannot be read: No such file"):
        create_app(ServerConfig(keys_file=str(path) + ".bak", api_key=KEY))


def test_a_key_that_stays_is_the_same_object_with_its_new_terms() -> None:
    anna = KeyTerms(name="anna", digest="a", requests_per_minute=10)
    keys = Keys([anna, own_key(KEY)])
    before = keys.find(KEY)
    assert before
    assert keys.replace([own_key(KEY)], 5.0)[0].terms is anna
    assert keys.find(KEY) is before
    changed = KeyTerms(name="own", digest=own_key(KEY).digest, requests_per_minute=2)
    assert keys.replace([changed], 6.0) == []
    assert before.terms is changed and not before.revoked
    assert before.limiter.shown(6.0)[0].limit == 2


async def is_answered(caller: Caller) -> None:
    await caller.send("session.update", session={"type": "realtime"})
    await caller.next("session.updated")


async def test_a_revoked_key_ends_its_sessions_and_no_other(
    path: Path, caplog: pytest.LogCaptureFixture, serve: Serve
) -> None:
    put(path, entry("anna", ANNA) + entry("boris", BORIS))
    async with (
        serve(scripted(keys_file=str(path))) as base_url,
        call(base_url, key=ANNA) as anna,
        call(base_url, key=BORIS) as boris,
        call(base_url, key=KEY) as own,
    ):
        status, _, secret = await http_post(base_url + "/realtime/client_secrets", {}, ANNA)
        assert status == 200
        async with call(base_url, key=secret["value"]) as by_secret:
            for caller in (anna, boris, own, by_secret):
                await caller.next("session.created")
            put(path, entry("boris", BORIS))
            for caller in (anna, by_secret):
                async with asyncio.timeout(10):
                    event = await caller.receive()
                    assert event["type"] == "error"
                    assert event["error"]["code"] == "invalid_api_key"
                    closed = await caller.closed()
                assert closed == (3000, "invalid_request_error.invalid_api_key")
        for key in (ANNA, secret["value"]):
            async with call(base_url, key=key) as late:
                assert (await late.receive())["error"]["code"] == "invalid_api_key"
                assert (await late.closed())[0] == 3000
        status, _, _ = await http_get(base_url + "/models", key=ANNA)
        assert status == 401
        for caller in (boris, own):
            await is_answered(caller)
    assert [record.getMessage() for record in caplog.records if "revoked" in record.message] == [
        "key anna was revoked; 2 sessions end"
    ]


async def test_a_key_that_is_added_opens_sessions(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "duologue")
    put(path, "")
    async with serving(scripted(keys_file=str(path))) as base_url:
        with logged("1 keys are in force") as taken:
            put(path, entry("anna", ANNA))
            async with asyncio.timeout(10):
                await taken.wait()
        async with call(base_url, key=ANNA) as anna:
            await anna.next("session.created")


async def test_a_file_that_breaks_changes_nothing_and_that_is_said(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put(path, entry("anna", ANNA))
    async with serving(scripted(keys_file=str(path))) as base_url:
        async with call(base_url, key=ANNA) as anna:
            await anna.next("session.created")
            with logged("what was in force stays") as said:
                put(path, "[[keys")
                async with asyncio.timeout(10):
                    await said.wait()
            await is_answered(anna)
        async with call(base_url, key=ANNA) as again:
            await again.next("session.created")
    assert ANNA not in caplog.text


async def test_a_key_has_no_more_sessions_than_it_may(path: Path, serve: Serve) -> None:
    put(path, entry("anna", ANNA, max_sessions=1))
    async with serve(scripted(keys_file=str(path))) as base_url:
        async with call(base_url, key=ANNA) as first:
            await first.next("session.created")
            async with call(base_url, key=ANNA) as second:
                error = (await second.receive())["error"]
                assert (error["type"], error["code"]) == (
                    "rate_limit_error",
                    "session_limit_reached",
                )
                assert "this API key" in error["message"]
                assert await second.closed() == (1013, "rate_limit_error.session_limit_reached")
            async with call(base_url, key=KEY) as own:
                await own.next("session.created")
            await is_answered(first)


async def respond(caller: Caller) -> dict[str, Any]:
    """Ask for a reply; the event that ends the matter."""
    await caller.send("response.create", event_id="ask")
    while (event := await caller.receive())["type"] not in ("rate_limits.updated", "error"):
        pass
    return event


@pytest.mark.conformance("C-155")
async def test_limits_are_shared_by_the_sessions_of_a_key_and_told_truly(
    path: Path, serve: Serve
) -> None:
    put(path, entry("anna", ANNA, requests_per_minute=2, tokens_per_minute=100_000))
    async with (
        serve(scripted(keys_file=str(path))) as base_url,
        call(base_url, key=ANNA) as one,
        call(base_url, key=ANNA) as two,
        call(base_url, key=KEY) as own,
    ):
        for left, caller in ((1, one), (0, two)):
            updated = await respond(caller)
            validate_server_event(json.dumps(updated))
            requests, tokens = updated["rate_limits"]
            assert (requests["name"], requests["limit"]) == ("requests", 2)
            assert requests["remaining"] == left
            assert 0 < requests["reset_seconds"] <= 60
            assert (tokens["name"], tokens["limit"]) == ("tokens", 100_000)
        refused = await respond(one)
        validate_server_event(json.dumps(refused))
        assert refused["error"]["code"] == "rate_limit_exceeded"
        assert refused["error"]["type"] == "rate_limit_error"
        assert refused["error"]["event_id"] == "ask"
        assert "Please try again in" in refused["error"]["message"]
        await own.send("response.create")
        await own.next("response.done")
        await is_answered(own)


async def test_tokens_are_counted_as_the_response_says(path: Path, serve: Serve) -> None:
    put(path, entry("anna", ANNA, tokens_per_minute=50))
    async with (
        serve(scripted(keys_file=str(path))) as base_url,
        call(base_url, key=ANNA) as caller,
    ):
        text = {"type": "input_text", "text": "word " * 200}
        item = {"type": "message", "role": "user", "content": [text]}
        await caller.send("conversation.item.create", item=item)
        await caller.send("response.create")
        done = await caller.next("response.done")
        used = done["response"]["usage"]["total_tokens"]
        assert used > 50
        (tokens,) = (await caller.next("rate_limits.updated"))["rate_limits"]
        assert tokens["remaining"] == 0
        assert tokens["reset_seconds"] == pytest.approx(used * 60 / 50, abs=2)
        assert (await respond(caller))["error"]["code"] == "rate_limit_exceeded"
