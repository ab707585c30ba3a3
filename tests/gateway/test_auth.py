"""Keys: three ways to send one, two ways to be refused, and never an echo."""

import logging

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from duologue.gateway.auth import credential, generate_key, subprotocol
from duologue.gateway.keys import Keys, own_key
from live_server import KEY, Serve, call, http_get, scripted, ws_url

KEY_ENTRY = f"openai-insecure-api-key.{KEY}"
BROWSER = [
    *("realtime", KEY_ENTRY),
    *("openai-organization.o", "openai-project.p", "openai-agents-sdk.0.20.0"),
]


@pytest.mark.parametrize(
    ("headers", "offered", "key"),
    [
        ({"authorization": "Bearer k"}, [], "k"),
        ({"authorization": "bearer  k "}, [], "k"),
        ({"api-key": "k"}, [], "k"),
        ({}, ["realtime", "openai-insecure-api-key.k"], "k"),
        ({"authorization": "Bearer k", "api-key": "other"}, ["openai-insecure-api-key.x"], "k"),
        ({"authorization": "Basic k"}, [], None),
        ({"authorization": "Bearer"}, [], None),
        ({"authorization": "Bearer "}, ["openai-insecure-api-key."], None),
        ({}, [], None),
    ],
)
def test_a_key_is_found_wherever_clients_put_it(
    headers: dict[str, str], offered: list[str], key: str | None
) -> None:
    assert credential(headers, offered) == key


def test_only_the_right_key_is_found() -> None:
    keys = Keys([own_key("right"), own_key("also right")])
    for value in ("right", "also right"):
        found = keys.find(value)
        assert found and not found.revoked
    assert keys.find("righ") is keys.find("right2") is keys.find("\udcff\udcfe") is None


async def test_a_key_of_bytes_that_are_no_text_is_a_wrong_key(base_url: str) -> None:
    status, _, body = await http_get(base_url + "/models", key="\xff\xfe")
    assert (status, body["error"]["code"]) == (401, "invalid_api_key")


def test_realtime_is_selected_and_never_the_entry_with_the_key() -> None:
    assert subprotocol(BROWSER) == "realtime"
    assert subprotocol([KEY_ENTRY]) is None
    assert subprotocol([]) is None


def test_generated_keys_differ() -> None:
    assert generate_key() != generate_key()
    assert len(generate_key()) > 40


@pytest.mark.conformance("C-004", "C-005")
async def test_each_form_opens_a_session(base_url: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for headers in ({"Authorization": f"Bearer {KEY}"}, {"api-key": KEY}):
        async with call(base_url, key=None, headers=headers) as client:
            assert (await client.receive())["type"] == "session.created"
            assert client.socket.subprotocol is None
    async with call(base_url, key=None, subprotocols=BROWSER) as client:
        assert (await client.receive())["type"] == "session.created"
        assert client.socket.subprotocol == "realtime"
        assert client.socket.response
        assert KEY not in str(client.socket.response.headers)
    ours = [record for record in caplog.records if not record.name.startswith("websockets.client")]
    assert ours and not any(KEY in record.getMessage() for record in ours)


async def test_no_key_is_refused_at_the_handshake(base_url: str) -> None:
    with pytest.raises(InvalidStatus) as refusal:
        await connect(ws_url(base_url))
    response = refusal.value.response
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert b'"type":"invalid_request_error"' in (response.body or b"")


@pytest.mark.conformance("C-003")
async def test_a_wrong_key_is_told_in_band_and_closed_with_3000(
    base_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with call(base_url, key="sk-nonsense") as client:
        event = await client.receive()
        assert event["type"] == "error"
        assert event["event_id"]
        assert event["error"] == {
            "type": "invalid_request_error",
            "code": "invalid_api_key",
            "message": "Incorrect API key provided.",
            "param": None,
            "event_id": None,
        }
        assert await client.closed() == (3000, "invalid_request_error.invalid_api_key")
    ours = [record for record in caplog.records if not record.name.startswith("websockets.client")]
    assert [record.name for record in ours].count("duologue.gateway.realtime") == 1
    assert not any("sk-nonsense" in record.getMessage() for record in ours)


@pytest.mark.conformance("C-003")
async def test_a_wrong_key_can_be_refused_at_the_handshake_instead(serve: Serve) -> None:
    async with serve(scripted(auth_failure="401")) as base_url:
        with pytest.raises(InvalidStatus) as refusal:
            async with call(base_url, key="sk-nonsense"):
                pass
        assert refusal.value.response.status_code == 401


async def test_rest_needs_the_key_and_health_does_not(base_url: str) -> None:
    status, headers, body = await http_get(base_url + "/models", key=None)
    assert (status, headers["www-authenticate"]) == (401, "Bearer")
    assert body["error"]["code"] == "invalid_api_key"
    status, _, body = await http_get(base_url + "/models", key="sk-nonsense")
    assert (status, body["error"]["message"]) == (401, "Incorrect API key provided.")
    status, _, _ = await http_get(base_url.removesuffix("/v1") + "/healthz", key=None)
    assert status == 200
