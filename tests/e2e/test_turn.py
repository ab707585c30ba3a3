"""STUN and TURN for real: coturn between a stock aiortc peer and a server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiortc import RTCConfiguration, RTCIceServer, RTCIceTransportPolicy

from e2e.turn_server import PASSWORD, RELAY, USER, coturn
from live_server import http_post, serving
from peer_client import SDP, PeerCaller, on_loopback, voice_like

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]


def turning(port: int, **settings: Any) -> dict[str, Any]:
    """Settings of a server that asks coturn for addresses."""
    servers = f"stun:127.0.0.1:{port}, turn:127.0.0.1:{port}"
    return {"ice_servers": servers, "ice_username": USER, "ice_credential": PASSWORD, **settings}


@asynccontextmanager
async def called(base_url: str, caller: PeerCaller) -> AsyncIterator[PeerCaller]:
    """A call with everything said that there is to say."""
    try:
        offer = (await caller.offer()).encode()
        await caller.take(*await http_post(base_url + "/realtime/calls", offer, headers=SDP))
        async with asyncio.timeout(20):
            await caller.next("session.created")
            caller.microphone.say(voice_like(0.6))
            await caller.next("output_audio_buffer.stopped")
        assert caller.loud_s() > 0.2
        yield caller
    finally:
        await caller.close()


def way(caller: PeerCaller) -> tuple[str, str]:
    """The kind of the client's candidate in use, and the address that it sends to."""
    pair = caller.route.current._nominated[1]
    return pair.local_candidate.type, pair.remote_addr[0]


async def test_a_client_that_only_a_relay_can_reach_converses(tmp_path: Path) -> None:
    async with coturn(tmp_path) as port, serving(on_loopback()) as base_url:
        caller = PeerCaller(
            configuration=RTCConfiguration(
                iceServers=[RTCIceServer(f"turn:127.0.0.1:{port}", USER, PASSWORD)],
                iceTransportPolicy=RTCIceTransportPolicy.RELAY,
            )
        )
        async with called(base_url, caller):
            assert way(caller) == ("relay", "127.0.0.1")


async def test_a_server_behind_a_firewall_is_reached_by_its_relay(tmp_path: Path) -> None:
    async with (
        coturn(tmp_path) as port,
        serving(on_loopback(**turning(port))) as base_url,
    ):
        caller = PeerCaller()
        caller.accept_only_from(RELAY)
        async with called(base_url, caller):
            assert "typ srflx" in caller.answer and "typ relay" in caller.answer
            assert PASSWORD not in caller.answer
            assert way(caller) == ("host", RELAY)


async def test_a_wrong_password_is_logged_without_it_and_the_call_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        coturn(tmp_path) as port,
        serving(on_loopback(**turning(port, ice_credential="pw-wrong"))) as base_url,
        called(base_url, PeerCaller()) as caller,
    ):
        assert "typ relay" not in caller.answer
    assert f"the TURN server 127.0.0.1:{port} gave no relay" in caplog.text
    assert "pw-wrong" not in caplog.text
