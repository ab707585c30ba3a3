"""Bodies over HTTP: too long, of another kind, malformed; always the envelope, never a crash."""

import asyncio
from typing import Any

import pytest

from duologue.gateway.bodies import LIMIT_BYTES
from live_server import KEY, Serve, http_get, http_post, serving

PATH = "/realtime/client_secrets"


@pytest.fixture
def serve() -> Serve:
    """Alone: no body of a request goes on to an engine."""
    return serving


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "invalid_json"),
        (b"\xff\xfe", "invalid_json"),
        (b"[]", "invalid_event"),
        (b"null", "invalid_event"),
        (b'{"session":' * 80 + b"1" + b"}" * 80, "invalid_value"),
        (b'{"a":' * 100_000, "invalid_json"),
    ],
)
async def test_a_body_that_is_no_object_is_a_400(body: bytes, code: str, base_url: str) -> None:
    status, _, answer = await http_post(base_url + PATH, body)
    assert status == 400
    assert (answer["error"]["code"], answer["error"]["type"]) == (code, "invalid_request_error")
    assert "body" in answer["error"]["message"] or "nested" in answer["error"]["message"]


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "", "application/sdp"]
)
async def test_a_body_of_another_kind_is_a_415(kind: str, base_url: str) -> None:
    status, _, answer = await http_post(base_url + PATH, {}, headers={"Content-Type": kind})
    assert (status, answer["error"]["code"]) == (415, "unsupported_media_type")
    assert "application/json" in answer["error"]["message"]


async def test_the_kind_may_say_its_characters(base_url: str) -> None:
    kind = {"Content-Type": "Application/JSON; charset=utf-8"}
    status, _, _ = await http_post(base_url + PATH, {}, headers=kind)
    assert status == 200


async def test_a_long_session_is_taken_and_one_too_long_is_a_413(base_url: str) -> None:
    def body(length: int) -> dict[str, Any]:
        return {"session": {"type": "realtime", "instructions": "x" * length}}

    status, _, answer = await http_post(base_url + PATH, body(LIMIT_BYTES - 1000))
    assert (status, len(answer["session"]["instructions"])) == (200, LIMIT_BYTES - 1000)
    status, _, answer = await http_post(base_url + PATH, body(LIMIT_BYTES))
    assert (status, answer["error"]["code"]) == (413, "request_too_large")


async def test_a_body_of_no_declared_length_is_bounded_as_well(base_url: str) -> None:
    host, _, port = base_url.removeprefix("http://").removesuffix("/v1").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        f"POST /v1{PATH} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {KEY}\r\n"
        "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    )
    piece = b"%x\r\n%s\r\n" % (64 * 1024, b" " * 64 * 1024)
    for _ in range(LIMIT_BYTES // (64 * 1024) + 1):
        writer.write(piece)
    async with asyncio.timeout(10):
        assert (await reader.readline()).split()[1] == b"413"
    writer.close()


async def test_a_get_of_the_mint_is_a_405(base_url: str) -> None:
    status, headers, body = await http_get(base_url + PATH)
    assert (status, body["error"]["code"]) == (405, "method_not_allowed")
    assert headers["allow"] == "POST"
