"""The door to a session: models, room, and what a new session is like."""

import asyncio
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from duologue.gateway.session_start import is_known
from duologue.runtime.recorder import read_tape
from live_server import Serve, call, scripted


@pytest.mark.parametrize(
    "model",
    [
        "duologue",
        "gpt-realtime",
        "gpt-realtime-2025-08-28",
        "gpt-realtime-mini",
        "gpt-realtime-mini-2025-10-06",
        "gpt-realtime-1.5",
        "gpt-4o-realtime-preview",
        "gpt-4o-realtime-preview-2024-12-17",
        "gpt-4o-mini-realtime-preview",
    ],
)
def test_names_that_applications_use_mean_the_engine(model: str) -> None:
    assert is_known(model)


@pytest.mark.parametrize(
    "model",
    ["gpt-4o", "whisper-1", "gpt-realtime-whisper", "gpt-realtime-translate", "gpt-realtimes", ""],
)
def test_other_names_do_not(model: str) -> None:
    assert not is_known(model)


async def test_a_session_begins_with_the_settings_of_the_server(serve: Serve) -> None:
    config = scripted(instructions="Be brief.", silence_duration_ms=350, voice="marin")
    async with serve(config) as base_url, call(base_url, "model=gpt-realtime-mini") as client:
        created = await client.receive()
        session = created["session"]
        assert created["type"] == "session.created"
        assert session["model"] == "gpt-realtime-mini"
        assert session["instructions"] == "Be brief."
        assert session["audio"]["output"]["voice"] == "marin"
        assert session["audio"]["input"]["turn_detection"]["silence_duration_ms"] == 350


async def test_no_model_gets_the_only_one_there_is(base_url: str) -> None:
    async with call(base_url, "") as client:
        assert (await client.receive())["session"]["model"] == "duologue"


@pytest.mark.conformance("C-012")
async def test_unknown_headers_and_query_keys_are_let_be(base_url: str) -> None:
    headers = {"OpenAI-Safety-Identifier": "u1", "OpenAI-Beta": "realtime=v1", "X-Own": "1"}
    async with call(base_url, "model=gpt-realtime&colour=red", headers=headers) as client:
        assert (await client.receive())["type"] == "session.created"


@pytest.mark.conformance("C-009", "C-010")
@pytest.mark.parametrize(
    ("query", "code", "param"),
    [
        ("model=gpt-4o", "invalid_model", None),
        ("", "missing_model", None),
        ("model=", "missing_model", None),
        ("call_id=rtc_1", "invalid_value", "call_id"),
        ("intent=singing", "invalid_value", "intent"),
    ],
)
async def test_what_cannot_be_served_is_told_and_closed_with_4000(
    query: str, code: str, param: str | None, serve: Serve
) -> None:
    async with serve(scripted(missing_model="strict")) as base_url:
        async with call(base_url, query) as client:
            error = (await client.receive())["error"]
            assert (error["type"], error["code"]) == ("invalid_request_error", code)
            assert error["param"] == param
            assert await client.closed() == (4000, f"invalid_request_error.{code}")


async def test_unknown_models_can_be_let_in(serve: Serve) -> None:
    async with serve(scripted(unknown_model="lenient")) as base_url:
        async with call(base_url, "model=my-own") as client:
            assert (await client.receive())["session"]["model"] == "my-own"


@pytest.mark.parametrize("limit", [{"max_sessions": 1}, {"script": "places = 1"}])
async def test_one_session_too_many_is_told_to_come_again_later(
    limit: dict[str, object], serve: Serve
) -> None:
    async with serve(scripted(**limit)) as base_url:
        async with call(base_url) as first:
            await first.next("session.created")
            async with call(base_url) as second:
                event = await second.receive()
                assert event["type"] == "error"
                assert event["error"]["type"] == "server_error"
                assert event["error"]["code"] == "session_limit_reached"
                assert await second.closed() == (1013, "server_error.session_limit_reached")
            await first.send("session.update", session={"type": "realtime"})
            await first.next("session.updated")
        async with room_in(base_url) as third:
            assert third["type"] == "session.created"


class room_in:
    """Connect until a session is given: the place of one that has just left may not be free."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url

    async def __aenter__(self) -> dict[str, object]:
        async with asyncio.timeout(10):
            while True:
                async with call(self.base_url) as client:
                    event = await client.receive()
                if event["type"] != "error":
                    return event

    async def __aexit__(self, *_: object) -> None: ...


async def test_unknown_keys_are_ignored_or_refused_as_configured(serve: Serve) -> None:
    change = {"type": "realtime", "colour": "red"}
    async with serve(scripted()) as base_url, call(base_url) as client:
        await client.send("session.update", session=change)
        await client.next("session.updated")
    async with serve(scripted(unknown_keys="strict")) as base_url, call(base_url) as client:
        await client.next("session.created")
        await client.send("session.update", session=change, event_id="e1")
        error = (await client.receive())["error"]
        assert (error["code"], error["event_id"]) == ("unknown_parameter", "e1")


async def test_a_session_ends_when_its_time_is_over(serve: Serve) -> None:
    async with serve(scripted(session_max_s=1)) as base_url, call(base_url) as client:
        await client.next("session.created")
        error = (await client.receive())["error"]
        assert error["code"] == "session_expired"
        assert (await client.closed())[0] == 1001


async def test_stopping_the_server_sends_sessions_home_with_1001(serve: Serve) -> None:
    async with serve(scripted()) as base_url:
        client = call(base_url)
        caller = await client.__aenter__()
        await caller.next("session.created")
    assert await caller.closed() == (1001, "The server is shutting down.")
    with pytest.raises(ConnectionClosed):
        await caller.receive()
    await client.__aexit__(None, None, None)


async def test_tapes_are_written_where_asked(tmp_path: Path, serve: Serve) -> None:
    tapes = tmp_path / "tapes"
    async with serve(scripted(record_dir=str(tapes))) as base_url, call(base_url) as client:
        session = (await client.receive())["session"]
        await client.send("session.update", session={"type": "realtime"})
        await client.next("session.updated")
    (tape,) = tapes.iterdir()
    assert tape.name == f"{session['id']}.jsonl"
    header, entries = read_tape(tape)
    assert header.config.id == session["id"]
    assert "Received" in [type(entry).__name__ for _, entry in entries]
