"""From the upgrade to the last day of a session, as clients of all kinds begin and end one."""

import asyncio
import base64
import json
from contextlib import suppress
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode

from duologue.events import APPEND_LIMIT_BYTES
from live_server import Serve, call, scripted, serving
from oracle import validate_server_event

MIB = 1024 * 1024


@pytest.mark.conformance("C-001", "C-002")
async def test_a_valid_key_gets_session_created_first_over_plain_uncompressed_frames(
    base_url: str,
) -> None:
    assert base_url.startswith("http://")
    # The client offers permessage-deflate; frames are plain all the same.
    async with call(base_url, compression="deflate") as caller:
        assert caller.socket.response and caller.socket.response.status_code == 101
        assert "sec-websocket-extensions" not in caller.socket.response.headers
        created = await caller.receive()
        assert created["type"] == "session.created"
        validate_server_event(json.dumps(created))


@pytest.mark.conformance("C-020")
async def test_a_session_says_that_it_lives_for_an_hour(serve: Serve) -> None:
    async with serve(scripted(), lambda: 1_800_000_000.9) as base_url, call(base_url) as caller:
        assert (await caller.receive())["session"]["expires_at"] == 1_800_000_000 + 3600


@pytest.mark.conformance("C-019")
async def test_a_session_that_is_over_is_told_so_in_the_words_of_its_close(serve: Serve) -> None:
    async with serve(scripted(session_max_s=1)) as base_url, call(base_url) as caller:
        await caller.next("session.created")
        event = await caller.receive()
        validate_server_event(json.dumps(event))
        assert event["error"]["code"] == "session_expired"
        assert await caller.closed() == (1001, event["error"]["message"])


async def test_an_unknown_call_is_refused_whatever_its_model_is(base_url: str) -> None:
    async with call(base_url, "call_id=rtc_1&model=gpt-4o") as caller:
        error = (await caller.receive())["error"]
        assert (error["code"], error["param"]) == ("invalid_value", "call_id")
        assert (await caller.closed())[0] == 4000


async def append(base_url: str, length: int) -> dict[str, Any]:
    """What an append of so many bytes of sound is answered with, a commit after it."""
    audio = base64.b64encode(bytes(length)).decode()
    async with call(base_url) as caller:
        off = {"type": "realtime", "audio": {"input": {"turn_detection": None}}}
        await caller.send("session.update", session=off)
        await caller.next("session.updated")
        await caller.send("input_audio_buffer.append", audio=audio, event_id="sound")
        await caller.send("input_audio_buffer.commit")
        return await caller.receive()


@pytest.mark.conformance("C-016")
async def test_fifteen_mebibytes_of_sound_are_taken_and_more_is_an_error(base_url: str) -> None:
    taken = await append(base_url, APPEND_LIMIT_BYTES)
    assert taken["type"] == "input_audio_buffer.committed"
    error = (await append(base_url, APPEND_LIMIT_BYTES + 3))["error"]
    assert (error["code"], error["param"]) == ("string_above_max_length", "audio")
    assert error["event_id"] == "sound"


@pytest.mark.conformance("C-016")
async def test_a_frame_may_have_twenty_one_mebibytes_and_not_one_byte_more(base_url: str) -> None:
    event = json.dumps({"type": "session.update", "session": {"type": "realtime"}})
    async with call(base_url) as caller, call(base_url) as other:
        await caller.next("session.created")
        await caller.socket.send(event + " " * (21 * MIB - len(event)))
        await caller.next("session.updated")
        with suppress(ConnectionClosed):  # it may be gone before all of it is sent
            await caller.socket.send(event + " " * (21 * MIB - len(event) + 1))
        assert (await caller.closed())[0] == 1009
        await other.send("session.update", session={"type": "realtime"})
        await other.next("session.updated")


@pytest.mark.conformance("C-017")
async def test_no_frame_of_a_reply_is_more_than_the_smallest_client_takes(serve: Serve) -> None:
    script = "word_ms = 60000\nreplies = [{text = 'Long'}]"  # 2.9 MB of sound in one piece
    async with (
        serve(scripted(script=script)) as base_url,
        call(base_url, max_size=MIB) as caller,
    ):
        await caller.send("response.create")
        longest = length = 0
        while True:
            frame = await caller.socket.recv()
            longest = max(longest, len(frame))
            event = json.loads(frame)
            if event["type"] == "response.output_audio.delta":
                length += len(base64.b64decode(event["delta"]))
            if event["type"] == "response.done":
                break
        assert length == 60_000 * 48
        assert longest <= 66 * 1024


class Pinged(ClientConnection):
    """A client's connection that counts the pings it gets."""

    pings = 0

    def process_event(self, event: Any) -> None:
        if isinstance(event, Frame) and event.opcode is Opcode.PING:
            self.pings += 1
        super().process_event(event)


async def silent_for(base_url: str, seconds: float) -> int:
    """Say nothing for so long, then be answered; how many pings came meanwhile."""
    async with call(base_url, create_connection=Pinged, ping_interval=None) as caller:
        await caller.next("session.created")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(seconds):
                await caller.receive()
        await caller.send("session.update", session={"type": "realtime"})
        await caller.next("session.updated")
        assert isinstance(caller.socket, Pinged)
        return caller.socket.pings


async def test_a_silent_client_is_pinged_and_kept(serve: Serve) -> None:
    async with serve(scripted(ping_interval_s=0.1)) as base_url:
        assert await silent_for(base_url, 1.0) >= 3


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.conformance("C-018")
async def test_a_session_outlives_five_minutes_of_silence() -> None:
    async with serving(scripted()) as base_url:  # alone: five minutes more would show nothing new
        assert await silent_for(base_url, 305) >= 14
