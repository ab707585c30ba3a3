"""How calls end badly: whatever a peer does or fails to do, nothing of its call is left.

What has no engine behind it yet (a call that never gets a session), and what only one server
can show (its log, its sockets, its process), runs alone.
"""

import asyncio
import gc
import hashlib
import os
import socket
import threading
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from aiortc import RTCPeerConnection
from aiortc.rtp import RtpPacket

from live_server import KEY, Serve, http_post, serving, until_free
from peer_client import SDP, PeerCaller, dial, on_loopback, voice_like

ANNA = "sk-anna-1"


async def test_a_peer_that_closes_its_channel_ends_the_call(serve: Serve) -> None:
    async with serve(on_loopback()) as base_url, dial(base_url) as caller:
        await caller.next("session.created")
        caller.channel.close()
        await until_free(base_url, 5)


async def test_a_revoked_key_ends_its_call_and_says_why(tmp_path: Path, serve: Serve) -> None:
    path = tmp_path / "keys.toml"
    digest = hashlib.sha256(ANNA.encode()).hexdigest()
    path.write_text(f'[[keys]]\nname = "anna"\nsha256 = "{digest}"\n')
    async with (
        serve(on_loopback(keys_file=str(path))) as base_url,
        dial(base_url, key=ANNA) as caller,
    ):
        await caller.next("session.created")
        # Another key has no business with this call.
        url = f"{base_url}/realtime/calls/{caller.call_id}/hangup"
        assert (await http_post(url, b"", KEY))[0] == 404
        path.write_text("")
        async with asyncio.timeout(15):
            error = (await caller.receive())["error"]
            assert error["code"] == "invalid_api_key"
            await caller.closed.wait()
        await until_free(base_url, 5)


async def test_the_end_of_the_server_ends_its_calls(serve: Serve) -> None:
    async with serve(on_loopback()) as base_url:
        caller = PeerCaller()
        offer = (await caller.offer()).encode()
        await caller.take(*await http_post(base_url + "/realtime/calls", offer, headers=SDP))
        await caller.next("session.created")
        idle = PeerCaller()  # answered, and never heard of again
        offer = (await idle.offer()).encode()
        assert (await http_post(base_url + "/realtime/calls", offer, headers=SDP))[0] == 201
    async with asyncio.timeout(5):
        await caller.closed.wait()
    await caller.close()
    await idle.close()


async def test_garbage_in_place_of_sound_does_not_end_the_call(serve: Serve) -> None:
    async with serve(on_loopback()) as base_url, dial(base_url) as caller:
        await caller.next("session.created")
        (sender,) = caller.connection.getSenders()
        for number in range(200):
            packet = RtpPacket(
                payload_type=(96, 13)[number % 2], sequence_number=number * 331 % 65536
            )
            packet.ssrc, packet.timestamp = 7 + number % 3, number * 77777
            packet.payload = os.urandom(number)
            await sender.transport._send_rtp(packet.serialize())
        host, port = server_address(caller)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            for length in range(0, 1200, 50):
                stranger.sendto(os.urandom(length), (host, port))
        caller.microphone.say(voice_like(0.8))
        async with asyncio.timeout(20):
            await caller.next("response.done")


async def test_bad_events_get_their_error_and_change_nothing(serve: Serve) -> None:
    async with serve(on_loopback()) as base_url, dial(base_url) as caller:
        await caller.next("session.created")
        caller.channel.send("{")
        caller.channel.send(b"\x00\x01")
        await caller.send("session.upgrade", event_id="event_mine")
        found = [(await caller.receive())["error"] for _ in range(3)]
        assert [error["code"] for error in found] == [
            "invalid_json",
            "invalid_event",
            "invalid_value",
        ]
        assert found[2]["event_id"] == "event_mine"
        await caller.send("session.update", session={"type": "realtime"})
        await caller.next("session.updated")


async def test_who_does_not_wait_for_the_answer_holds_no_place(serve: Serve) -> None:
    caller = PeerCaller()
    async with serve(on_loopback(max_sessions=1)) as base_url:
        try:
            offer = (await caller.offer()).encode()
            address = urlsplit(base_url)
            _, writer = await asyncio.open_connection(address.hostname, address.port)
            head = [
                "POST /v1/realtime/calls HTTP/1.1",
                f"Host: {address.netloc}",
                f"Authorization: Bearer {KEY}",
                "Content-Type: application/sdp",
                f"Content-Length: {len(offer)}",
            ]
            writer.write("\r\n".join([*head, "", ""]).encode() + offer)
            await writer.drain()
            writer.close()
            await writer.wait_closed()
            # Long before a peer that was answered would be given up.
            await until_free(base_url, 5)
            async with dial(base_url) as other:
                await other.next("session.created")
        finally:
            await caller.close()


async def test_servers_that_do_not_answer_hold_up_no_answer_for_long(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        host, port = silent.getsockname()
        servers = f"stun:{host}:{port}, turn:{host}:{port}"
        async with serving(on_loopback(ice_servers=servers)) as base_url:
            began = asyncio.get_running_loop().time()
            async with dial(base_url) as caller:
                assert asyncio.get_running_loop().time() - began < 6
                await caller.next("session.created")
    assert f"the STUN server {host}:{port} told no address" in caplog.text
    assert f"the TURN server {host}:{port} gave no relay" in caplog.text


async def test_a_forged_fingerprint_never_gets_a_session() -> None:
    caller = PeerCaller()
    async with serving(on_loopback(max_sessions=1)) as base_url:
        try:
            offer = await caller.offer()
            line = next(one for one in offer.splitlines() if "fingerprint:sha-256" in one)
            forged = line[:-2] + ("00" if line[-2:] != "00" else "11")
            await caller.take(
                *await http_post(
                    base_url + "/realtime/calls",
                    offer.replace(line, forged).encode(),
                    headers=SDP,
                )
            )
            await until_free(base_url, 15)
            assert caller.seen == []
        finally:
            await caller.close()


@pytest.mark.slow
async def test_a_peer_that_vanishes_is_given_up_within_seconds() -> None:
    async with serving(on_loopback()) as base_url, dial(base_url) as caller:
        await caller.next("session.created")
        caller.leave_network()
        await until_free(base_url, 20)


@pytest.mark.slow
async def test_a_channel_that_never_opens_is_given_up_within_seconds() -> None:
    caller = PeerCaller()
    async with serving(on_loopback(max_sessions=1)) as base_url:
        try:
            offer = (await caller.offer()).encode()
            url = base_url + "/realtime/calls"
            assert (await http_post(url, offer, headers=SDP))[0] == 201
            assert (await http_post(url, offer, headers=SDP))[0] == 503
            await until_free(base_url, 15)
        finally:
            await caller.close()


async def test_a_peer_that_connects_and_opens_another_channel_is_given_up() -> None:
    caller = PeerCaller(channel="my-events")
    async with serving(on_loopback(max_sessions=1), setup_s=1.0) as base_url:
        try:
            offer = (await caller.offer()).encode()
            await caller.take(*await http_post(base_url + "/realtime/calls", offer, headers=SDP))
            async with asyncio.timeout(15):
                await caller.closed.wait()
            assert caller.seen == []
            await until_free(base_url, 5)
        finally:
            await caller.close()


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_200_aborted_calls_leave_nothing() -> None:
    # A caller who leaves while it connects keeps its place until the server gives it up.
    async with serving(on_loopback(max_sessions=100)) as base_url:

        async def abort(turn: int) -> None:
            caller = PeerCaller()
            try:
                offer = (await caller.offer()).encode()
                reply = await http_post(base_url + "/realtime/calls", offer, headers=SDP)
                assert reply[0] == 201
                call_id = reply[1]["location"].rsplit("/", 1)[1]
                if turn % 4 == 0:  # never connects
                    url = f"{base_url}/realtime/calls/{call_id}/hangup"
                    assert (await http_post(url, b"", KEY))[0] == 200
                    return
                await caller.take(*reply)
                if turn % 4 == 1:  # leaves while it connects
                    return
                await caller.next("session.created")
                if turn % 4 == 2:
                    await caller.send("response.create")
                    await caller.next("output_audio_buffer.started")
            finally:
                await caller.close()

        async def settled() -> tuple[int, int, int, int]:
            await until_free(base_url, 30)
            gc.collect()
            peers = sum(type(one) is RTCPeerConnection for one in gc.get_objects())
            tasks = len(asyncio.all_tasks())
            return peers, tasks, psutil.Process().num_fds(), threading.active_count()

        for turn in range(8):
            await abort(turn)
        before = await settled()
        for turn in range(200):
            await abort(turn)
        after = await settled()
        # Worker threads and HTTP connections come and go; what a call has goes.
        assert after[0] <= before[0] and after[1] <= before[1] + 2
        assert after[2] <= before[2] + 4 and after[3] <= before[3] + 8


def server_address(caller: PeerCaller) -> tuple[str, int]:
    """Where the server takes the packets of a call."""
    line = next(one for one in caller.answer.splitlines() if one.startswith("a=candidate"))
    fields = line.split()
    return fields[4], int(fields[5])
