"""WebRTC calls of a whole server, by a stock aiortc peer: reference 1.5 and 4.3 (j)."""

import asyncio
import json
from typing import Any

import pytest
from openai import AsyncOpenAI

from live_server import KEY, Serve, call, http_post, until_free
from peer_client import SDP, PeerCaller, dial, on_loopback, voice_like

SCRIPT = """
transcripts = ["What do you say?"]
[[replies]]
text = "This reply has a good many words, so that there is time to interrupt it in between."
word_delay_ms = 20
"""


def form(parts: dict[str, str], labels: dict[str, str] | None = None) -> tuple[bytes, str]:
    """A multipart body as clients make them: labelled by the SDK, bare from a browser."""
    lines = []
    for name, text in parts.items():
        lines += ["--edge", f'Content-Disposition: form-data; name="{name}"']
        if labels:
            lines.append(f"Content-Type: {labels[name]}")
        lines += ["", text]
    return "\r\n".join([*lines, "--edge--", ""]).encode(), "multipart/form-data; boundary=edge"


@pytest.mark.conformance("C-026", "C-030", "C-031")
async def test_an_offer_is_answered_and_the_channel_carries_the_session(serve: Serve) -> None:
    async with serve(on_loopback()) as base_url, dial(base_url) as caller:
        assert caller.call_id.startswith("rtc_")
        assert "m=audio" in caller.answer and "m=application" in caller.answer
        assert "opus/48000" in caller.answer and "a=setup:active" in caller.answer
        assert caller.answer.count("a=candidate") >= 1 and "127.0.0.1" in caller.answer
        created = await caller.receive()
        assert created["type"] == "session.created"
        assert created["session"]["model"] == "gpt-realtime"
        session = {"type": "realtime", "instructions": "Be brief."}
        await caller.send("session.update", session=session)
        async with asyncio.timeout(5):
            updated = await caller.next("session.updated")
        assert updated["session"]["instructions"] == "Be brief."


@pytest.mark.conformance("C-027", "C-028")
@pytest.mark.parametrize(
    "labels", [None, {"sdp": "application/sdp", "session": "application/json"}]
)
@pytest.mark.parametrize("with_session", [True, False])
async def test_a_form_is_taken_with_labels_and_without(
    labels: dict[str, str] | None, with_session: bool, serve: Serve
) -> None:
    caller = PeerCaller()
    async with serve(on_loopback(instructions="The server's own.")) as base_url:
        try:
            parts = {"sdp": await caller.offer()}
            if with_session:
                settings = {"type": "realtime", "model": "gpt-realtime", "instructions": "Hum."}
                parts["session"] = json.dumps(settings)
            body, kind = form(parts, labels)
            headers = {"Content-Type": kind}
            await caller.take(*await http_post(base_url + "/realtime/calls", body, headers=headers))
            created = await caller.next("session.created")
        finally:
            await caller.close()
    expected = "Hum." if with_session else "The server's own."
    assert created["session"]["instructions"] == expected


async def test_a_client_secret_opens_a_call_with_its_settings(serve: Serve) -> None:
    async with serve(on_loopback()) as base_url:
        session = {"type": "realtime", "instructions": "Whisper."}
        _, _, secret = await http_post(base_url + "/realtime/client_secrets", {"session": session})
        async with dial(base_url, path="/realtime/calls", key=secret["value"]) as caller:
            created = await caller.next("session.created")
            assert created["session"]["instructions"] == "Whisper."
            url = f"{base_url}/realtime/calls/{caller.call_id}/hangup"
            status, _, fault = await http_post(url, b"", secret["value"])
            assert (status, fault["error"]["code"]) == (403, "insufficient_permissions")


@pytest.mark.conformance("C-032", "C-033", "C-034")
async def test_speech_goes_in_and_a_reply_comes_out_as_sound(serve: Serve) -> None:
    async with serve(on_loopback(script=SCRIPT)) as base_url, dial(base_url) as caller:
        await caller.next("session.created")
        caller.microphone.say(voice_like(1.0))
        async with asyncio.timeout(20):
            stopped = await caller.next("output_audio_buffer.stopped")
        kinds = caller.kinds()
        assert "response.output_audio.delta" not in kinds
        order = [
            "input_audio_buffer.speech_started",
            "input_audio_buffer.speech_stopped",
            "input_audio_buffer.committed",
            "response.created",
            "response.content_part.added",
            "output_audio_buffer.started",
            "response.done",
            "output_audio_buffer.stopped",
        ]
        assert [kind for kind in kinds if kind in order] == order
        done = caller.seen[kinds.index("response.done")]["response"]
        assert done["status"] == "completed" and done["id"] == stopped["response_id"]
        words = len(done["output"][0]["content"][0]["transcript"].split())
        assert caller.loud_s() == pytest.approx(words * 0.24, abs=0.3)
        added = next(e for e in caller.seen if e["type"] == "input_audio_buffer.speech_stopped")
        began = next(e for e in caller.seen if e["type"] == "input_audio_buffer.speech_started")
        assert 900 < added["audio_end_ms"] - began["audio_start_ms"] < 2200


@pytest.mark.conformance("C-035")
async def test_an_interruption_stops_the_sound_and_tells_what_was_heard(serve: Serve) -> None:
    async with serve(on_loopback(script=SCRIPT)) as base_url, dial(base_url) as caller:
        await caller.next("session.created")
        caller.microphone.say(voice_like(0.6))
        async with asyncio.timeout(20):
            await caller.next("output_audio_buffer.started")
            await caller.until(lambda: caller.loud_s() > 1.0)
            caller.microphone.say(voice_like(0.6))
            cut = await caller.next("conversation.item.truncated")
        heard_s = caller.loud_s()
        kinds = caller.kinds()
        barge_in = len(kinds) - 1 - kinds[::-1].index("input_audio_buffer.speech_started")
        assert kinds[barge_in + 1] == "output_audio_buffer.cleared"
        assert "output_audio_buffer.stopped" not in kinds
        # The peer's own jitter buffer holds back some 80 ms of what was sent.
        assert cut["audio_end_ms"] / 1000 == pytest.approx(heard_s, abs=0.3)
        await caller.send("conversation.item.retrieve", item_id=cut["item_id"])
        async with asyncio.timeout(10):
            kept = (await caller.next("conversation.item.retrieved"))["item"]["content"][0]
        whole = "This reply has a good many words, so that"
        assert kept["transcript"] and whole.startswith(kept["transcript"])


@pytest.mark.conformance("C-036")
async def test_the_client_clears_the_output(serve: Serve) -> None:
    async with serve(on_loopback(script=SCRIPT)) as base_url, dial(base_url) as caller:
        await caller.next("session.created")
        await caller.send("response.create")
        async with asyncio.timeout(20):
            started = await caller.next("output_audio_buffer.started")
            await caller.until(lambda: caller.loud_s() > 0.5)
            await caller.send("output_audio_buffer.clear")
            cleared = await caller.next("output_audio_buffer.cleared")
            await caller.next("conversation.item.truncated")
            assert cleared["response_id"] == started["response_id"]
            count = len(caller.heard)
            await caller.until(lambda: len(caller.heard) > count + 25)
        assert all(loudness < 500 for _, loudness in caller.heard[count + 15 :])


@pytest.mark.conformance("C-037")
async def test_a_sideband_sees_the_events_and_changes_the_session(serve: Serve) -> None:
    async with serve(on_loopback(script=SCRIPT)) as base_url, dial(base_url) as caller:
        created = await caller.next("session.created")
        async with call(base_url, f"call_id={caller.call_id}&model=whatever") as sideband:
            first = await sideband.receive()
            assert first["type"] == "session.created"
            assert first["session"] == created["session"]
            session = {"type": "realtime", "instructions": "From beside."}
            await sideband.send("session.update", session=session)
            async with asyncio.timeout(10):
                assert await caller.next("session.updated") == await sideband.next(
                    "session.updated"
                )
                await caller.send("response.create")
                assert await caller.next("response.done") == await sideband.next("response.done")
            await hang_up(base_url, caller.call_id)
            async with asyncio.timeout(10):
                assert (await sideband.closed())[0] == 1000


async def test_losing_a_sideband_leaves_the_call(serve: Serve) -> None:
    async with serve(on_loopback()) as base_url, dial(base_url) as caller:
        await caller.next("session.created")
        async with call(base_url, f"call_id={caller.call_id}") as sideband:
            await sideband.receive()
        await caller.send("session.update", session={"type": "realtime", "instructions": "On."})
        async with asyncio.timeout(10):
            await caller.next("session.updated")


@pytest.mark.conformance("C-011")
async def test_a_sideband_of_no_call_is_refused(serve: Serve) -> None:
    async with serve(on_loopback()) as base_url, call(base_url, "call_id=rtc_none") as sideband:
        error = (await sideband.receive())["error"]
        assert (error["code"], error["param"]) == ("invalid_value", "call_id")


@pytest.mark.conformance("C-038")
async def test_a_hangup_ends_the_call_and_a_second_one_finds_none(serve: Serve) -> None:
    async with serve(on_loopback()) as base_url, dial(base_url) as caller:
        await caller.next("session.created")
        assert (await hang_up(base_url, caller.call_id))[0] == 200
        async with asyncio.timeout(10):
            await caller.closed.wait()
        status, _, fault = await hang_up(base_url, caller.call_id)
        assert status == 404 and fault["error"]["code"] == "call_not_found"


async def test_a_beta_page_gets_a_beta_session(serve: Serve) -> None:
    caller = PeerCaller()
    caller._judge = lambda event: None  # type: ignore[assignment] # it judges GA events
    async with serve(on_loopback()) as base_url:
        try:
            offer = (await caller.offer()).encode()
            url = base_url + "/realtime?model=gpt-4o-realtime-preview"
            await caller.take(*await http_post(url, offer, headers=SDP))
            created = await caller.next("session.created")
            assert created["session"]["input_audio_format"] == "pcm16"
            await caller.next("conversation.created")
        finally:
            await caller.close()


@pytest.mark.conformance("C-029")
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda sdp: "hello", "not an SDP offer"),
        (lambda sdp: "", "not an SDP offer"),
        (lambda sdp: sdp.split("m=audio")[0], "no media line"),
        (lambda sdp: sdp.replace("m=audio", "m=video"), "one audio line"),
        (lambda sdp: sdp.split("m=application")[0], "data channel"),
        (lambda sdp: sdp.replace("opus/48000/2", "speex/8000"), "Opus"),
        (lambda sdp: sdp.replace("a=fingerprint", "a=nothing"), "fingerprint"),
        (lambda sdp: sdp.replace("a=group:BUNDLE", "a=nothing"), "bundle"),
        (lambda sdp: sdp[: len(sdp) // 3], ""),
        (lambda sdp: sdp + 101 * "a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n", "candidates"),
    ],
)
async def test_what_is_no_offer_is_refused_with_its_reason(
    change: Any, words: str, serve: Serve
) -> None:
    caller = PeerCaller()
    try:
        offer = await caller.offer()
    finally:
        await caller.close()
    async with serve(on_loopback(max_sessions=1)) as base_url:
        for _ in range(2):  # the place is free again
            status, _, fault = await http_post(
                base_url + "/realtime/calls", change(offer).encode(), headers=SDP
            )
            assert status == 400
            assert fault["error"]["param"] == "sdp" and words in fault["error"]["message"]


async def test_requests_that_cannot_be_served_are_refused(serve: Serve) -> None:
    async with serve(on_loopback()) as base_url:
        url = base_url + "/realtime/calls"

        async def refused(body: bytes, **options: Any) -> tuple[int, str]:
            path = options.pop("path", "")
            status, _, fault = await http_post(url + path, body, **options)
            return status, fault["error"]["code"]

        assert await refused(b"v=0", key=None, headers=SDP) == (401, "invalid_api_key")
        assert await refused(b"v=0", key="sk-wrong", headers=SDP) == (401, "invalid_api_key")
        assert await refused(b"v=0", headers=SDP, path="?model=x") == (400, "invalid_model")
        assert await refused(b"{}") == (415, "unsupported_media_type")
        assert await refused(bytes(70_000), headers=SDP) == (413, "request_too_large")
        body, kind = form({"session": "{}"})
        headers = {"Content-Type": kind}
        assert await refused(body, headers=headers) == (400, "missing_required_parameter")
        body, kind = form({"sdp": "v=0", "session": "{"})
        assert await refused(body, headers=headers) == (400, "invalid_json")
        body, kind = form({"sdp": "v=0", "session": '{"type": "realtime", "model": 5}'})
        assert (await refused(body, headers=headers))[0] == 400
        assert (await refused(b"no form", headers=headers))[0] == 400


@pytest.mark.conformance("C-212")
@pytest.mark.parametrize("settings", [None, "Hum."])
@pytest.mark.client("openai Python", "call over WebRTC")
async def test_the_sdk_makes_a_call(settings: str | None, serve: Serve) -> None:
    caller = PeerCaller()
    async with (
        serve(on_loopback()) as base_url,
        AsyncOpenAI(base_url=base_url, api_key=KEY) as client,
    ):
        try:
            offer = await caller.offer()
            if settings is None:
                answer = await client.realtime.calls.create(sdp=offer)
            else:
                answer = await client.realtime.calls.create(
                    sdp=offer, session={"type": "realtime", "instructions": settings}
                )
            raw = answer.response
            await caller.take(raw.status_code, dict(raw.headers), answer.text)
            created = await caller.next("session.created")
            assert created["session"]["instructions"] == (settings or "")
            await client.realtime.calls.hangup(caller.call_id)
            await caller.closed.wait()
        finally:
            await caller.close()


async def test_pages_may_read_where_the_call_is(serve: Serve) -> None:
    caller = PeerCaller()
    async with serve(on_loopback()) as base_url:
        try:
            offer = (await caller.offer()).encode()
            headers = {**SDP, "Origin": "https://app.example.com"}
            reply = await http_post(base_url + "/realtime/calls", offer, headers=headers)
            assert "Location" in reply[1]["access-control-expose-headers"]
            await caller.take(*reply)
            await caller.next("session.created")
        finally:
            await caller.close()


async def test_a_call_that_ends_gives_its_place_back(serve: Serve) -> None:
    async with serve(on_loopback(max_sessions=1)) as base_url:
        async with dial(base_url) as caller:
            await caller.next("session.created")
            other = PeerCaller()
            try:
                offer = (await other.offer()).encode()
                status, _, fault = await http_post(base_url + "/realtime/calls", offer, headers=SDP)
                assert (status, fault["error"]["code"]) == (503, "session_limit_reached")
            finally:
                await other.close()
        async with asyncio.timeout(10):
            await until_free(base_url)


async def hang_up(base_url: str, call_id: str) -> tuple[int, dict[str, str], Any]:
    return await http_post(f"{base_url}/realtime/calls/{call_id}/hangup", b"", KEY)
