"""What the environment means for other clients: no proxy of it sees the key of an upstream."""

import asyncio

import pytest

from duologue.engines.realtime.upstream import Upstream
from engines.realtime.upstream_kit import SPEAK, Peer, engine, fault_of, said, standing_in

PROXIES = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")


async def test_an_upstream_is_asked_past_the_environments_proxies(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readline())
        writer.close()

    async def refuse(peer: Peer) -> None:
        await peer.next("session.update")
        await peer.send("error", error={"type": "server_error", "message": "it was I"})

    asked: list[bytes] = []
    server = await asyncio.start_server(proxy, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    for name in PROXIES:
        monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    async with server, standing_in(refuse) as address, engine(address) as made:
        await Upstream(address).traits()
        talk = await made.open(SPEAK)
        talk.put(said("Hello"))
        assert "it was I" in (await fault_of(talk.reply(SPEAK))).message
        await talk.aclose()
    assert not asked
