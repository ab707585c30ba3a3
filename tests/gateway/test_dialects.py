"""Which connections speak beta, and what becomes of one that meant GA."""

import json
from pathlib import Path
from typing import Any

import pytest

from beta_oracle import validate_beta_event
from duologue.transports.websocket import INLINE_CHARACTERS
from live_server import KEY, Serve, call, scripted

BETA = {"OpenAI-Beta": "realtime=v1"}


@pytest.mark.conformance("C-200")
@pytest.mark.parametrize(
    "options",
    [
        {"headers": BETA},
        {"headers": {"OpenAI-Beta": "assistants=v2, realtime=v1"}},
        {"subprotocols": ["realtime", "openai-beta.realtime-v1"]},
        {
            "key": None,
            "subprotocols": [
                "realtime",
                f"openai-insecure-api-key.{KEY}",
                "openai-beta.realtime-v1",
            ],
        },
    ],
)
async def test_a_header_or_a_subprotocol_asks_for_beta(
    options: dict[str, Any], serve: Serve
) -> None:
    async with serve(scripted()) as base_url, call(base_url, **options) as client:
        created, conversation = await client.receive(), await client.receive()
        for event in (created, conversation):
            validate_beta_event(json.dumps(event))
        assert "modalities" in created["session"]
        assert conversation["type"] == "conversation.created"
        if "subprotocols" in options:
            assert client.socket.subprotocol == "realtime"


@pytest.mark.parametrize(
    "options", [{}, {"headers": {"OpenAI-Beta": "assistants=v2"}}, {"subprotocols": ["realtime"]}]
)
async def test_any_other_connection_is_a_ga_one(options: dict[str, Any], serve: Serve) -> None:
    async with serve(scripted()) as base_url, call(base_url, **options) as client:
        assert (await client.receive())["session"]["type"] == "realtime"
        await client.send("session.update", session={"type": "realtime"})
        assert (await client.receive())["type"] == "session.updated"


async def test_a_ga_client_with_a_beta_header_is_served_ga_from_its_first_update_on(
    serve: Serve,
) -> None:
    async with serve(scripted()) as base_url, call(base_url, headers=BETA) as client:
        await client.next("conversation.created")
        await client.send(
            "session.update", session={"type": "realtime", "output_modalities": ["text"]}
        )
        updated = await client.receive()
        assert updated["session"]["output_modalities"] == ["text"]
        content = [{"type": "input_text", "text": "Hello"}]
        item = {"type": "message", "role": "user", "content": content}
        await client.send("conversation.item.create", item=item)
        await client.send("response.create")
        names = []
        while not names or names[-1] != "response.done":
            names.append((await client.receive())["type"])
        assert names[:2] == ["conversation.item.added", "conversation.item.done"]
        assert "response.output_text.delta" in names


@pytest.mark.conformance("C-205")
async def test_a_ga_and_a_beta_connection_live_side_by_side(serve: Serve) -> None:
    async with serve(scripted()) as base_url:
        async with call(base_url) as ga, call(base_url, headers=BETA) as beta:
            for client in (ga, beta):
                await client.next("session.created")
                await client.send("response.create")
            await ga.next("response.output_audio.delta")
            await beta.next("response.audio.delta")


@pytest.mark.parametrize(
    "options", [{"headers": BETA}, {"subprotocols": ["realtime", "openai-beta.realtime-v1"]}]
)
async def test_beta_can_be_refused_as_the_hosted_service_does(
    options: dict[str, Any], serve: Serve
) -> None:
    async with serve(scripted(beta="refuse")) as base_url:
        async with call(base_url, **options) as client:
            error = (await client.receive())["error"]
            assert error["code"] == "beta_api_shape_disabled"
            assert await client.closed() == (4000, "invalid_request_error.beta_api_shape_disabled")
        async with call(base_url) as client:
            assert (await client.receive())["type"] == "session.created"


async def test_faults_of_beta_frames_are_told_by_their_paths_in_their_place(serve: Serve) -> None:
    async with serve(scripted()) as base_url, call(base_url, headers=BETA) as client:
        await client.next("conversation.created")
        await client.send("session.update", event_id="a", session={"temperature": 3})
        await client.send("session.update", event_id="b", session={"voice": "nobody"})
        await client.send("session.update", event_id="c", session={"temperature": 0.9})
        errors = [(await client.receive())["error"] for _ in range(2)]
        assert [(error["param"], error["event_id"]) for error in errors] == [
            ("session.temperature", "a"),
            ("session.voice", "b"),
        ]
        updated = await client.receive()
        assert updated["session"]["temperature"] == 0.9


async def test_a_frame_so_long_that_a_thread_decodes_it_keeps_its_place(serve: Serve) -> None:
    long = "word " * (INLINE_CHARACTERS // 4)
    async with serve(scripted()) as base_url, call(base_url, headers=BETA) as client:
        await client.next("conversation.created")
        await client.send("session.update", session={"instructions": long, "temperature": 1.2})
        await client.send("session.update", session={"instructions": "", "temperature": 0.6})
        told = [(await client.receive())["session"] for _ in range(2)]
        assert [(len(s["instructions"]), s["temperature"]) for s in told] == [
            (len(long), 1.2),
            (0, 0.6),
        ]


async def test_limits_are_told_right_after_the_next_response_was_created(
    tmp_path: Path, serve: Serve
) -> None:
    path = tmp_path / "keys.toml"
    path.write_text('[[keys]]\nname = "anna"\nkey = "sk-anna"\nrequests_per_minute = 5\n')
    path.chmod(0o600)
    async with (
        serve(scripted(keys_file=str(path))) as base_url,
        call(base_url, key="sk-anna", headers=BETA) as client,
    ):
        names = []
        for _ in range(2):
            await client.send("response.create", response={"modalities": ["text"]})
            while not names or names[-1] != "response.done":
                event = await client.receive()
                validate_beta_event(json.dumps(event))
                names.append(event["type"])
            names.append("")
        assert names.count("rate_limits.updated") == 1
        assert names[names.index("rate_limits.updated") - 1] == "response.created"
        assert names.index("rate_limits.updated") > names.index("response.done")
