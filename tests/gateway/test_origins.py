"""Browsers: CORS on the HTTP routes, the Origin of a WebSocket."""

import pytest
from websockets.exceptions import InvalidStatus

from duologue.config import ServerConfig
from duologue.errors import ConfigFault
from duologue.gateway.app import create_app
from live_server import Serve, call, http_get, http_post, scripted

PAGE = "https://app.example.com"
OTHER = "https://elsewhere.example.com"
PREFLIGHT = {
    "Origin": PAGE,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type,openai-safety-identifier",
}


async def test_a_page_may_ask_from_anywhere_and_read_where_its_call_is(base_url: str) -> None:
    url = base_url + "/realtime/client_secrets"
    status, headers, _ = await http_get(url, key=None, method="OPTIONS", headers=PREFLIGHT)
    assert status == 200
    assert headers["access-control-allow-origin"] == "*"
    assert "POST" in headers["access-control-allow-methods"]
    allowed = headers["access-control-allow-headers"]
    for name in ("authorization", "content-type", "openai-safety-identifier"):
        assert name in allowed
    assert "access-control-allow-credentials" not in headers
    for key in (None, "sk-test-key"):  # a refusal can be read, too
        _, headers, _ = await http_post(url, {}, key, headers={"Origin": PAGE})
        assert headers["access-control-allow-origin"] == "*"
        assert "Location" in headers["access-control-expose-headers"]


async def test_only_named_pages_may_ask_where_the_owner_names_them(serve: Serve) -> None:
    async with serve(scripted(allowed_origins=f"{PAGE}/, http://localhost:3000")) as base_url:
        url = base_url + "/realtime/client_secrets"
        _, headers, _ = await http_post(url, {}, headers={"Origin": PAGE})
        assert headers["access-control-allow-origin"] == PAGE
        _, headers, _ = await http_post(url, {}, headers={"Origin": OTHER})
        assert "access-control-allow-origin" not in headers
        refused = {**PREFLIGHT, "Origin": OTHER}
        status, _, _ = await http_get(url, key=None, method="OPTIONS", headers=refused)
        assert status == 400

        async with call(base_url, headers={"Origin": PAGE}) as caller:
            await caller.next("session.created")
        async with call(base_url) as caller:  # a program, no page
            await caller.next("session.created")
        with pytest.raises(InvalidStatus) as denial:
            async with call(base_url, headers={"Origin": OTHER}):
                pass
        assert denial.value.response.status_code == 403
        assert b'"insufficient_permissions"' in (denial.value.response.body or b"")


async def test_a_page_from_anywhere_may_open_a_socket_by_default(base_url: str) -> None:
    async with call(base_url, headers={"Origin": OTHER}) as caller:
        await caller.next("session.created")


def test_what_is_no_origin_is_said_so() -> None:
    with pytest.raises(ConfigFault, match="allowed_origins: 'app.example.com' is no origin"):
        create_app(ServerConfig(api_key="k", allowed_origins="app.example.com"))
