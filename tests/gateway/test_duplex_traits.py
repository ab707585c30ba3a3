"""What clients are told of a full-duplex model of another kind of server, and its truth."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from duologue.engines.scripted import tone
from duologue.testing.duplex_answer import Answer
from duologue.testing.duplex_stand_in import MINICPM, PERSONAPLEX, QWEN, DuplexStandIn
from live_server import UPSTREAM_KEY, Caller, call, front, http_get, scripted, serving, ws_url
from pictures import data_uri, drawn, file

UNSTATED = {name: value for name, value in MINICPM.items() if name == "supports_barge_in"}

OUTCOMES = ("error", "conversation.item.added")
"""Of an item that is not taken, and of one that is."""


def picture() -> dict[str, Any]:
    """An item that is nothing but an image."""
    image = {"type": "input_image", "image_url": data_uri(file(drawn("Hello")))}
    return {"type": "message", "role": "user", "content": [image]}


def claims(card: dict[str, Any]) -> dict[str, Any]:
    names = ("end_to_end", "rewinds", "sees", "languages", "duplex")
    return {name: card["traits"][name] for name in names}


async def listed(base_url: str) -> dict[str, Any]:
    """What the list of models says."""
    _, _, body = await http_get(base_url + "/models/duologue")
    return claims(body["duologue"])


def claim(*, whole: bool, rewinds: bool, sees: bool = False) -> dict[str, Any]:
    shown = {"end_to_end": whole, "rewinds": rewinds, "sees": sees}
    return {**shown, "languages": [], "duplex": True}


@pytest.mark.parametrize(
    ("shown", "owner", "expected"),
    [
        pytest.param(MINICPM, False, claim(whole=True, rewinds=True), id="minicpm"),
        pytest.param(PERSONAPLEX, False, claim(whole=True, rewinds=False), id="personaplex"),
        pytest.param(QWEN, False, claim(whole=False, rewinds=True, sees=True), id="qwen"),
        pytest.param(QWEN, True, claim(whole=True, rewinds=True, sees=True), id="qwen-by-owner"),
        pytest.param(UNSTATED, False, claim(whole=False, rewinds=False), id="unstated"),
    ],
)
async def test_it_is_what_its_first_session_shows_and_no_more_before(
    shown: dict[str, Any], owner: bool, expected: dict[str, Any]
) -> None:
    async with DuplexStandIn(capabilities=shown).serving() as address, asyncio.timeout(20):
        async with serving(front(address, upstream_end_to_end=owner)) as base_url:
            assert await listed(base_url) == claim(whole=owner, rewinds=False)
            async with call(base_url) as client:
                created = (await client.next("session.created"))["session"]
                assert claims(created["duologue"]) == expected
            assert await listed(base_url) == expected


@pytest.mark.parametrize("takes", [True, False])
async def test_its_first_session_takes_images_as_its_card_says(takes: bool) -> None:
    shown = {**MINICPM, "supports_image_input": takes}
    async with DuplexStandIn(capabilities=shown).serving() as address, asyncio.timeout(20):
        async with serving(front(address)) as base_url, call(base_url) as client:
            card = (await client.next("session.created"))["session"]["duologue"]
            assert ("image" in card["traits"]["input_modalities"]) is takes
            await client.send("conversation.item.create", item=picture())
            while (event := await client.receive())["type"] not in OUTCOMES:
                pass
            assert event["type"] == OUTCOMES[takes]


async def answered(client: Caller) -> str:
    """Say something; the id of the answer, once it is whole."""
    await client.append(bytes(24_000) + tone(400) + bytes(48_000))
    done = (await client.next("response.done"))["response"]
    assert done["status"] == "completed"
    return str(done["output"][0]["id"])


@pytest.mark.parametrize(
    ("shown", "is_told"), [(MINICPM, True), (PERSONAPLEX, False)], ids=["rewinds", "remembers"]
)
async def test_what_a_client_truncates_is_gone_here_and_there_only_where_it_rewinds(
    shown: dict[str, Any], is_told: bool
) -> None:
    stand_in = DuplexStandIn(capabilities={**shown, "supports_barge_in": True})
    async with stand_in.serving() as address, serving(front(address)) as base_url:
        async with call(base_url) as client, asyncio.timeout(20):
            await client.next("session.created")
            session = await stand_in.sessions.get()
            await session.until("session.update", 2)
            item_id = await answered(client)
            cut = {"item_id": item_id, "content_index": 0, "audio_end_ms": 100}
            await client.send("conversation.item.truncate", **cut)
            await client.next("conversation.item.truncated")
            await client.send("conversation.item.retrieve", item_id=item_id)
            kept = (await client.next("conversation.item.retrieved"))["item"]["content"][0]
            assert kept["transcript"] != Answer().words, "the record is trimmed"
            await client.send("response.create")
            await session.until("response.create")  # whatever was sent before it has come
            told = session.all_seen("conversation.item.truncate")
            assert [event["audio_end_ms"] for event in told] == [100] * is_told


async def test_a_duologue_before_it_that_learns_is_asked_again() -> None:
    async with DuplexStandIn().serving() as address, asyncio.timeout(20):
        async with serving(front(address, api_key=UPSTREAM_KEY)) as between:
            async with serving(front(ws_url(between, ""))) as base_url:
                assert await listed(base_url) == claim(whole=False, rewinds=False)
                async with call(base_url) as client:
                    await client.next("session.created")
                    assert await listed(base_url) == claim(whole=True, rewinds=True)


@asynccontextmanager
async def hanging(port: int) -> AsyncIterator[None]:
    """A server that takes what comes and never answers."""

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(swallow, "127.0.0.1", port):
        yield


async def window(base_url: str) -> int:
    """What a session that begins says of the engine."""
    async with call(base_url) as client:
        session = (await client.next("session.created"))["session"]
        tokens: int = session["duologue"]["traits"]["context_tokens"]
        return tokens


async def free_port() -> int:
    async with await asyncio.start_server(lambda *_: None, "127.0.0.1", 0) as server:
        port: int = server.sockets[0].getsockname()[1]
        return port


@pytest.mark.parametrize("beside", ["none", "hanging"])
async def test_an_upstream_that_is_another_than_before_is_asked_again(beside: str) -> None:
    small, large = (f"context_tokens = {tokens}" for tokens in (5000, 9000))
    port, other = await free_port(), await free_port()
    behind = {"api_key": UPSTREAM_KEY, "port": port}
    addresses = [f"ws://127.0.0.1:{port}/v1/realtime"]
    if beside == "hanging":
        addresses.append(f"ws://127.0.0.1:{other}/v1/realtime")  # away at first
    async with AsyncExitStack() as first, asyncio.timeout(20):
        await first.enter_async_context(serving(scripted(script=small, **behind)))
        async with serving(front(",".join(addresses))) as base_url, hanging(other):
            windows = [await window(base_url)]
            await first.aclose()
            await first.enter_async_context(serving(scripted(script=large, **behind)))
            windows += [await window(base_url) for _ in range(2)]
            assert windows == [5000, 5000, 9000], "the one between has found it out"
