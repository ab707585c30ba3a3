"""The HTTP side: models, health, the front page, and errors in one envelope."""

import os
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus

from duologue.config import ServerConfig
from duologue.errors import ConfigFault
from duologue.gateway.app import create_app
from live_server import Serve, call, http_get, scripted, serving


@pytest.fixture
def serve() -> Serve:
    """Alone: a front shows the name of its own engine, and its health."""
    return serving


def root(base_url: str) -> str:
    return base_url.removesuffix("/v1")


async def test_models_are_listed_in_the_shape_sdks_read_with_honest_traits(base_url: str) -> None:
    status, _, body = await http_get(base_url + "/models")
    assert (status, body["object"]) == (200, "list")
    assert [entry["id"] for entry in body["data"]] == [
        "duologue",
        "gpt-realtime",
        "gpt-realtime-mini",
    ]
    for entry in body["data"]:
        assert (entry["object"], entry["owned_by"]) == ("model", "duologue")
        assert isinstance(entry["created"], int)
        about = entry["duologue"]
        assert (about["engine"], about["profile"]) == ("scripted", None)
        assert (about["traits"]["hears"], about["traits"]["speaks"]) == (False, False)
        assert about["traits"]["voices"] == ["tone"]


async def test_one_model_can_be_read_and_an_unknown_one_is_named(base_url: str) -> None:
    status, _, body = await http_get(base_url + "/models/gpt-realtime")
    assert (status, body["id"]) == (200, "gpt-realtime")
    status, _, body = await http_get(base_url + "/models/gpt-9")
    assert (status, body["error"]["code"]) == (404, "model_not_found")
    assert "gpt-9" in body["error"]["message"]


async def test_health_counts_the_sessions(base_url: str) -> None:
    async with call(base_url) as client:
        await client.next("session.created")
        status, _, body = await http_get(root(base_url) + "/healthz", key=None)
    assert status == 200
    assert body["state"] == "ready"
    assert body["engine"] == "scripted"
    assert body["sessions"] == {"open": 1, "max": 4}


async def test_what_is_not_there_is_a_404_in_the_envelope(base_url: str) -> None:
    for path in (
        "/nowhere",
        "/v1/audio/translations",
        "/v1/models/",
        "/v1/realtime/calls/rtc_1/accept",
    ):
        status, _, body = await http_get(root(base_url) + path)
        assert status == 404
        assert body["error"] == {
            "message": f"There is nothing at {path}.",
            "type": "invalid_request_error",
            "param": None,
            "code": "not_found",
        }


async def test_a_plain_get_of_the_websocket_is_not_allowed(base_url: str) -> None:
    status, _, body = await http_get(base_url + "/realtime?model=gpt-realtime")
    assert (status, body["error"]["code"]) == (405, "method_not_allowed")


async def test_a_websocket_to_nowhere_gets_the_envelope_too(base_url: str) -> None:
    with pytest.raises(InvalidStatus) as refusal:
        async with call(base_url.replace("/v1", "/v2")):
            pass
    assert refusal.value.response.status_code == 404
    assert b'"code":"not_found"' in (refusal.value.response.body or b"")


async def test_a_wrong_method_is_a_405_in_the_envelope(base_url: str) -> None:
    status, headers, body = await http_get(base_url + "/models", method="DELETE")
    assert status == 405
    assert "GET" in headers["allow"]
    assert body["error"]["code"] == "method_not_allowed"


def test_an_app_without_a_key_is_not_made() -> None:
    with pytest.raises(ConfigFault, match="api_key"):
        create_app(ServerConfig())


async def test_a_voice_that_the_engine_lacks_stops_the_start() -> None:
    with pytest.raises(ConfigFault, match=r"voice: 'basso' is not allowed; allowed: tone, alloy"):
        async with serving(scripted(voice="basso")):
            pass


@pytest.mark.skipif(os.name == "nt", reason="needs a path that cannot be a directory")
@pytest.mark.parametrize("setting", ["record_dir", "trace_dir"])
async def test_a_directory_that_cannot_be_stops_the_start(tmp_path: Path, setting: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigFault, match=f"{setting}: .* cannot be used: Not a directory"):
        async with serving(scripted(**{setting: str(tmp_path / "file" / "tapes")})):
            pass
