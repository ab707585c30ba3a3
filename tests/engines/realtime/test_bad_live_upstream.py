"""Full-duplex upstreams that are ill, behind a whole server: a response fails in the words of the
protocol, its session goes on, the next turn works, and another session notices nothing.
"""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from duologue.engines.scripted import tone
from duologue.testing.duplex_answer import Answer
from duologue.testing.duplex_stand_in import DuplexStandIn
from engines.realtime.upstream_kit import Peer, standing_in
from live_server import Caller, call, front, serving

TURN = tone(400) + bytes(24_000)
LOOK = {"type": "function", "name": "look", "parameters": {"type": "object"}}


@asynccontextmanager
async def open_microphone(client: Caller) -> AsyncIterator[None]:
    """Silence in real time: an upstream session that has ended is begun anew with sound."""

    async def run() -> None:
        while True:
            await client.append(bytes(2400))
            await asyncio.sleep(0.05)

    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(run())
        yield
        running.cancel()


@asynccontextmanager
async def two_callers(address: str, **settings: Any) -> AsyncIterator[tuple[Caller, Caller]]:
    """The first has the first session there, and a function."""
    async with serving(front(address, **settings)) as base_url, asyncio.timeout(20):
        async with call(base_url) as client:
            await client.next("session.created")
            await client.send("session.update", session={"type": "realtime", "tools": [LOOK]})
            await client.next("session.updated")
            async with call(base_url) as other:
                await other.next("session.created")
                yield client, other


async def answer(client: Caller) -> dict[str, Any]:
    """The next response that ends."""
    return dict((await client.next("response.done"))["response"])


def failure(response: dict[str, Any]) -> str:
    assert response["status"] == "failed", response
    return str(response["status_details"]["error"]["message"])


@pytest.mark.parametrize(
    ("ill", "why", "is_lost"),
    [
        pytest.param(Answer(drop_after=2), "closed the session (1012 going down)", True, id="drop"),
        pytest.param(Answer(hang_after=2), "has said nothing for 2 s", True, id="hang"),
        pytest.param(Answer(hang_after=0), "has said nothing for 2 s", True, id="mute"),
        pytest.param(Answer(first_delay_ms=60_000), "nothing for 2 s", True, id="late"),
        pytest.param(Answer(rate_hz=7), "speaks audio/pcm at 7 Hz", True, id="rate"),
        pytest.param(Answer(fail_after=2), "failed: out of memory", False, id="fail"),
        pytest.param(
            Answer(words="", calls=(("look", '{"at'),)), "no JSON object", False, id="no-json"
        ),
        pytest.param(
            Answer(words="", calls=(("rm_rf", "{}"),)), "not offered: 'rm_rf'", False, id="no-tool"
        ),
    ],
)
async def test_its_response_fails_and_the_next_turn_works(
    ill: Answer, why: str, is_lost: bool
) -> None:
    stand_in = DuplexStandIn(ill, Answer())
    async with (
        stand_in.serving() as address,
        two_callers(address, upstream_timeout_s=2 if "nothing" in why else 30) as (client, other),
    ):
        first, its_own = [await stand_in.sessions.get() for _ in range(2)]
        await its_own.until("session.update", 2)
        await client.append(TURN)
        assert why in failure(await answer(client))
        await other.append(TURN)
        assert (await answer(other))["status"] == "completed"
        async with open_microphone(client):
            if is_lost:
                again = await stand_in.sessions.get()
                await again.until("session.update", 2)
                assert first.socket.close_code is not None
            await client.append(TURN)
            done = await answer(client)
        assert done["output"][0]["content"][0]["transcript"] == Answer().words
        assert stand_in.sessions.empty() and its_own.socket.close_code is None


async def test_one_that_is_late_and_slow_is_waited_for() -> None:
    stand_in = DuplexStandIn(Answer(words="Yes indeed", first_delay_ms=800, unit_ms=800))
    async with (
        stand_in.serving() as address,
        two_callers(address, upstream_timeout_s=2) as (client, _),
    ):
        await client.append(TURN)
        done = await answer(client)
        assert done["output"][0]["content"][0]["transcript"] == "Yes indeed"


@pytest.mark.parametrize(
    ("shown_hz", "told_hz", "expected_ms"),
    [
        pytest.param(24_000, None, 200, id="24k"),
        pytest.param(22_050, None, 218, id="shown-22k"),
        pytest.param(24_000, 16_000, 300, id="told-16k"),
        pytest.param(22_050, 24_000, 200, id="told-24k"),
    ],
)
async def test_its_sound_is_taken_at_the_rate_that_it_tells(
    shown_hz: int, told_hz: int | None, expected_ms: int
) -> None:
    stand_in = DuplexStandIn(Answer(words="Oh yes", rate_hz=told_hz), rate_hz=shown_hz)
    heard = b""
    async with stand_in.serving() as address, two_callers(address) as (client, _):
        await client.append(TURN)
        while (event := await client.receive())["type"] != "response.done":
            if event["type"] == "response.output_audio.delta":
                heard += base64.b64decode(event["delta"])
        assert event["response"]["status"] == "completed"
    assert len(heard) / 48 == pytest.approx(expected_ms, abs=5)


async def test_a_response_that_is_cancelled_is_stopped_there_once() -> None:
    stand_in = DuplexStandIn(Answer(words="sunny " * 80))
    async with stand_in.serving() as address, two_callers(address) as (client, other):
        first, its_own = [await stand_in.sessions.get() for _ in range(2)]
        for caller in (client, other):
            await caller.append(TURN)
            await caller.next("response.output_audio.delta")
        await client.send("response.cancel")
        assert (await answer(client))["status"] == "cancelled"
        await client.append(bytes(24_000) + TURN)
        await client.next("response.output_audio.delta")
        assert (first.aborts, its_own.aborts) == (["resp_2"], [])
        await client.socket.close()  # in the middle of a reply
        await first.socket.wait_closed()
        assert its_own.socket.close_code is None


async def test_a_call_there_is_one_here_and_its_result_is_answered() -> None:
    stand_in = DuplexStandIn(Answer(words="", calls=(("look", '{"at": "it"}'),)), Answer())
    async with stand_in.serving() as address, two_callers(address) as (client, _):
        await client.append(TURN)
        (made,) = (await answer(client))["output"]
        assert (made["name"], made["arguments"]) == ("look", '{"at": "it"}')
        result = {"type": "function_call_output", "call_id": made["call_id"], "output": "blue"}
        await client.send("conversation.item.create", item=result)
        done = await answer(client)
        assert done["output"][0]["content"][0]["transcript"] == Answer().words


# Frames that make no sense

SOUND = base64.b64encode(tone(100)).decode()
FINE = "Fine."
Event = tuple[str, dict[str, Any]]
Frame = Event | str | bytes
STARTED = "input_audio_buffer.speech_started"
STOPPED = "input_audio_buffer.speech_stopped"
WRITTEN = "conversation.item.input_audio_transcription.completed"
CLOSE = "close"


def started(ms: int) -> Frame:
    return STARTED, {"audio_start_ms": ms, "item_id": "u1"}


def stopped(ms: int) -> Frame:
    return STOPPED, {"audio_end_ms": ms, "item_id": "u1"}


def created(name: str = "r1") -> Event:
    return "response.created", {"response": {"id": name}}


def text(name: str, delta: str) -> Event:
    ids = {"response_id": name, "item_id": f"i-{name}"}
    return "response.output_audio_transcript.delta", {**ids, "delta": delta}


def sound(delta: str = SOUND, name: str = "r1") -> Event:
    ids = {"response_id": name, "item_id": f"i-{name}"}
    return "response.output_audio.delta", {**ids, "delta": delta}


def encoded(data: bytes) -> Frame:
    return sound(base64.b64encode(data).decode())


def done(name: str = "r1", status: str = "completed", **fields: Any) -> Event:
    return "response.done", {"response": {"id": name, "status": status, **fields}}


def called(**fields: Any) -> Frame:
    item = {"id": "c", "type": "function_call", "call_id": "k", **fields}
    return "response.output_item.done", {"response_id": "r1", "item": item}


NO_ERROR = {"status_details": {"error": {"code": "x", "message": "bad sk-very-secret"}}}
NO_USAGE = {"usage": {"input_tokens": -3, "output_tokens": 10**18}}
NO_SESSION = {"session": {"audio": 3, "capabilities": "x"}}


@pytest.mark.parametrize(
    ("frames", "why"),
    [
        pytest.param([started(-5), stopped(300)], "", id="start-before-all"),
        pytest.param([started(10**18), stopped(10**18 + 5)], "", id="start-far"),
        pytest.param([started(10**30)], "", id="start-beyond-int64"),
        pytest.param([stopped(300)], "", id="stop-alone"),
        pytest.param([started(100), started(100), stopped(300)], "", id="start-twice"),
        pytest.param([started(100), stopped(300), stopped(300)], "", id="stop-twice"),
        pytest.param([started(100), stopped(5)], "", id="stop-before-start"),
        pytest.param([started(100), stopped(-(10**9))], "", id="stop-before-all"),
        pytest.param([created(), created(), sound(), done()], "", id="created-twice"),
        pytest.param([created(), sound(), created("r2"), sound(name="r2")], "", id="two-at-once"),
        pytest.param([done("zz")], "", id="done-alone"),
        pytest.param([sound()], "", id="sound-alone"),
        pytest.param([created(), sound("!!!")], "sound that is no base64", id="no-base64"),
        pytest.param([created(), encoded(b"ID3\x04" + bytes(99))], "a file (MP3)", id="mp3"),
        pytest.param(
            [created(), encoded(b"RIFF\0\0\0\0WAVEfmt " + bytes(99))], "a file (WAV)", id="wav"
        ),
        pytest.param([created(), sound(), done(**NO_USAGE)], "", id="usage-huge"),
        pytest.param([created(), sound(), done(usage="x")], "", id="usage-word"),
        pytest.param([created(), sound(), done(status="odd")], "response as 'odd'", id="status"),
        pytest.param([created(), sound(), done(status="failed", **NO_ERROR)], "bad …", id="secret"),
        pytest.param(
            [created(), called(name="look", arguments='{"a'), done()], "no JSON", id="json"
        ),
        pytest.param([created(), called(arguments="{}")], "not offered: ''", id="call-no-name"),
        pytest.param([("session.updated", {"session": [1]})], "", id="session-list"),
        pytest.param([("session.updated", NO_SESSION)], "", id="session-odd"),
        pytest.param([("error", {})], "", id="error-empty"),
        pytest.param(
            [(WRITTEN, {"item_id": "?", "transcript": "hi"})], "", id="transcript-of-none"
        ),
        pytest.param([("error", {"error": [1]})], "in an unknown shape", id="error-list"),
        pytest.param(["<html>"], "something that is no JSON", id="html"),
        pytest.param([b"\x00\xff\x01"], "something that is no JSON", id="binary"),
        pytest.param([created(), CLOSE], "closed the session (1011 x)", id="close-in-reply"),
        pytest.param([CLOSE], "closed the session (1011 x)", id="close"),
    ],
)
async def test_nonsense_costs_no_more_than_the_reply_and_no_other_session(
    frames: list[Frame], why: str
) -> None:
    met: list[Peer] = []

    async def babble(peer: Peer) -> None:
        met.append(peer)
        is_first = len(met) == 1
        await peer.next("input_audio_buffer.append")
        for frame in frames if is_first else ():
            if frame == CLOSE:
                await peer.socket.close(1011, "x")
            elif isinstance(frame, str | bytes):
                await peer.socket.send(frame)
            else:
                await peer.send(frame[0], **frame[1])
        while True:
            await peer.next("input_audio_buffer.append")
            for frame in (created("ok"), text("ok", FINE), sound(name="ok"), done("ok")):
                await peer.send(frame[0], **frame[1])

    async with (
        standing_in(babble) as address,
        two_callers(address + "?duplex=1", upstream_timeout_s=5) as (client, other),
    ):
        told = await told_before_fine(client)
        assert all(why in message for message in told) and len(told) == (1 if why else 0), told
        assert await told_before_fine(other) == []


async def told_before_fine(client: Caller) -> list[str]:
    """What a client is told has gone wrong before the upstream answers as it should."""
    told: list[str] = []
    async with open_microphone(client):
        while True:
            event = await client.receive()
            if event["type"] == "error":
                told.append(event["error"]["message"])
            elif event["type"] == "response.done":
                if event["response"]["status"] == "failed":
                    told.append(failure(event["response"]))
                elif FINE in str(event["response"]["output"]):
                    return told
