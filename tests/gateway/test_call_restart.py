"""ICE restarts: a call goes on over another network, with the same keys, channel and session."""

import asyncio
import hashlib
import logging
from pathlib import Path
from typing import Any

import aioice.ice
import pytest

from duologue.core.inputs import Found, Lost
from duologue.runtime.recorder import read_tape
from live_server import KEY, http_post, open_sessions, serving, until_free
from peer_client import SDP, PeerCaller, dial, on_loopback, voice_like
from waiting import logged

SCRIPT = """
transcripts = ["What do you say?"]
[[replies]]
text = "This reply has a good many words, so that there is time to change the network."
word_delay_ms = 20
"""
OTHER = "sk-other-1"
NOT_FOUND = (404, "call_not_found")
RESUMED = "/realtime/calls?model=gpt-realtime&duologue_resume=1"
LOST_BY_THE_SERVER = "no way to the peer; a restart may come within 30 s"
"""The caller, whose route is made of the same class, waits for 60 s and may be first to notice."""


class Wall:
    """A clock on the wall that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


async def restart(base_url: str, caller: PeerCaller, key: str = KEY) -> None:
    """What a browser does with `createOffer({iceRestart: true})`."""
    offer = (await caller.restart_offer()).encode()
    url = f"{base_url}/realtime/calls/{caller.call_id}/restart"
    await caller.take_restart(*await http_post(url, offer, key, headers=SDP))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Consent that runs out within a second and a half instead of twelve.

    aioice takes these from its module and from nowhere else.
    """
    monkeypatch.setattr(aioice.ice, "CONSENT_INTERVAL", 0.2)
    monkeypatch.setattr(aioice.ice, "CONSENT_FAILURES", 2)


async def test_a_call_goes_on_after_its_client_lost_its_network() -> None:
    async with serving(on_loopback(script=SCRIPT)) as base_url, dial(base_url) as caller:
        created = await caller.next("session.created")
        caller.leave_network()
        await restart(base_url, caller)
        async with asyncio.timeout(20):
            session = {"type": "realtime", "instructions": "On another network."}
            await caller.send("session.update", session=session)
            updated = await caller.next("session.updated")
            caller.microphone.say(voice_like(0.6))
            done = await caller.next("response.done")
            await caller.next("output_audio_buffer.stopped")
        assert updated["session"]["id"] == created["session"]["id"]
        assert done["response"]["status"] == "completed"
        assert caller.loud_s() > 1.0
        assert await open_sessions(base_url) == 1


async def test_a_restart_in_the_midst_of_a_reply_loses_none_of_its_sound() -> None:
    async with serving(on_loopback(script=SCRIPT)) as base_url, dial(base_url) as caller:
        await caller.next("session.created")
        caller.microphone.say(voice_like(0.6))
        async with asyncio.timeout(20):
            await caller.next("output_audio_buffer.started")
            former = caller.route.current
            await restart(base_url, caller)  # the old way is as good as ever
            done = await caller.next("response.done")
            await caller.next("output_audio_buffer.stopped")
        assert caller.route.current is not former
        words = len(done["response"]["output"][0]["content"][0]["transcript"].split())
        assert caller.loud_s() == pytest.approx(words * 0.24, abs=0.3)


async def test_calls_are_restarted_again_and_again_and_leave_no_socket() -> None:
    async with serving(on_loopback(webrtc_ports="52320-52321")) as base_url:
        async with dial(base_url) as caller:
            await caller.next("session.created")
            for turn in range(4):  # with two ports, one must be given back each time
                caller.switched.clear()
                await restart(base_url, caller)
                session = {"type": "realtime", "instructions": f"Network {turn}."}
                async with asyncio.timeout(5):
                    await caller.switched.wait()
                    await caller.send("session.update", session=session)
                    await caller.next("session.updated")
        await until_free(base_url)


async def test_a_restart_that_finds_no_port_leaves_the_call_as_it_was() -> None:
    config = on_loopback(webrtc_ports="52340-52340")
    async with serving(config) as base_url, dial(base_url) as caller:
        await caller.next("session.created")
        offer = (await caller.restart_offer()).encode()
        url = f"{base_url}/realtime/calls/{caller.call_id}/restart"
        status, _, fault = await http_post(url, offer, headers=SDP)
        assert (status, fault["error"]["code"]) == (503, "no_port_free")
        async with asyncio.timeout(5):
            await caller.send("session.update", session={"type": "realtime"})
            await caller.next("session.updated")


@pytest.mark.usefixtures("impatient")
async def test_a_call_that_asked_for_it_waits_for_its_client(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.INFO, "duologue.transports.webrtc")
    async with serving(on_loopback(script=SCRIPT, record_dir=str(tmp_path))) as base_url:
        async with dial(base_url, path=RESUMED) as caller:
            session_id = (await caller.next("session.created"))["session"]["id"]
            await caller.send("response.create")
            async with asyncio.timeout(20):
                await caller.next("output_audio_buffer.started")
                with logged(LOST_BY_THE_SERVER) as lost:
                    caller.leave_network()
                    await lost.wait()
                assert await open_sessions(base_url) == 1
                await restart(base_url, caller)
                # What is told and said meanwhile comes then.
                done = await caller.next("response.done")
                await caller.next("output_audio_buffer.stopped")
        words = len(done["response"]["output"][0]["content"][0]["transcript"].split())
        assert 0.5 < caller.loud_s() < words * 0.24
        await until_free(base_url)
    _, entries = read_tape(tmp_path / f"{session_id}.jsonl")
    away = [entry for _, entry in entries if isinstance(entry, Lost | Found)]
    assert away == [Lost(), Found()], "the idle timeout does not run while nobody is there"


@pytest.mark.usefixtures("impatient")
async def test_a_call_that_only_transcribes_waits_likewise(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "duologue.transports.webrtc")
    async with serving(on_loopback(script=SCRIPT)) as base_url:
        body = {"session": {"type": "transcription"}}
        secret = (await http_post(base_url + "/realtime/client_secrets", body))[2]["value"]
        async with dial(base_url, path=RESUMED, key=secret) as caller:
            created = await caller.next("session.created")
            assert created["session"]["type"] == "transcription"
            async with asyncio.timeout(20):
                with logged(LOST_BY_THE_SERVER) as lost:
                    caller.leave_network()
                    await lost.wait()
                await restart(base_url, caller)
                caller.microphone.say(voice_like(0.6))
                await caller.next("conversation.item.input_audio_transcription.completed")


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(("path", "grace_s"), [("/realtime/calls", 30), (RESUMED, 1), (RESUMED, 0)])
async def test_a_call_ends_whose_client_does_not_come_back(path: str, grace_s: int) -> None:
    config = on_loopback(resume_grace_s=grace_s)
    async with serving(config) as base_url, dial(base_url, path=path) as caller:
        await caller.next("session.created")
        caller.leave_network()
        await until_free(base_url)
        offer = (await caller.restart_offer()).encode()
        url = f"{base_url}/realtime/calls/{caller.call_id}/restart"
        status, _, fault = await http_post(url, offer, headers=SDP)
        assert (status, fault["error"]["code"]) == (404, "call_not_found")


async def test_a_client_secret_restarts_the_call_it_made_even_when_it_has_expired() -> None:
    wall = Wall()
    async with serving(on_loopback(), wall) as base_url:
        secrets = base_url + "/realtime/client_secrets"
        own = (await http_post(secrets, {}))[2]["value"]
        other = (await http_post(secrets, {}))[2]["value"]
        async with dial(base_url, path="/realtime/calls", key=own) as caller:
            await caller.next("session.created")
            wall.now += 3600
            caller.leave_network()
            offer = (await caller.restart_offer()).encode()
            url = f"{base_url}/realtime/calls/{caller.call_id}/restart"
            for key in (other, "ek_never"):
                status, _, fault = await http_post(url, offer, key, headers=SDP)
                assert (status, fault["error"]["code"]) == (401, "invalid_api_key")
            await caller.take_restart(*await http_post(url, offer, own, headers=SDP))
            async with asyncio.timeout(10):
                await caller.send("session.update", session={"type": "realtime"})
                await caller.next("session.updated")


async def test_restarts_that_cannot_be_are_refused_and_change_nothing(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    digest = hashlib.sha256(OTHER.encode()).hexdigest()
    path.write_text(f'[[keys]]\nname = "other"\nsha256 = "{digest}"\n')
    stranger = PeerCaller()
    config = on_loopback(keys_file=str(path))
    async with serving(config) as base_url, dial(base_url) as caller:
        try:
            await caller.next("session.created")
            calls = f"{base_url}/realtime/calls/"
            own = f"{calls}{caller.call_id}/restart"
            offer = await caller.restart_offer()

            async def refused(url: str, sdp: str, **options: Any) -> tuple[int, str, str]:
                options = {"headers": SDP, **options}
                status, _, fault = await http_post(url, sdp.encode(), **options)
                return status, fault["error"]["code"], fault["error"]["message"]

            assert (await refused(calls + "rtc_none/restart", offer))[:2] == NOT_FOUND
            assert (await refused(own, offer, key=OTHER))[:2] == NOT_FOUND
            assert (await refused(own, offer, key=None))[0] == 401
            assert (await refused(own, offer, key="sk-wrong"))[0] == 401
            assert (await refused(own, offer, headers={}))[0] == 415
            assert (await refused(own, "v=0\r\n" + "a=x\r\n" * 20_000))[0] == 413
            for sdp, words in (
                ("hello", "not an SDP offer"),
                ("", "not an SDP offer"),
                (offer.split("m=application")[0], "data channel"),
                (caller.connection.localDescription.sdp, "new ones"),  # nothing is new in it
                (await stranger.offer(), "another peer connection"),
            ):
                status, code, message = await refused(own, sdp)
                assert (status, code) == (400, "invalid_offer") and words in message
            wrong = f"{base_url}/realtime/calls?duologue_resume=resume_x"
            assert (await refused(wrong, offer))[:2] == (400, "invalid_value")
            # A call that is answered and not connected yet has nothing to restart.
            _, headers, _ = await http_post(
                calls[:-1], (await stranger.offer()).encode(), headers=SDP
            )
            waiting = calls + headers["location"].rsplit("/", 1)[1] + "/restart"
            assert (await refused(waiting, offer))[:2] == (400, "call_not_connected")
            await caller.send("session.update", session={"type": "realtime"})
            async with asyncio.timeout(5):
                await caller.next("session.updated")
            await http_post(f"{calls}{caller.call_id}/hangup", b"")
            assert (await refused(own, offer))[:2] == NOT_FOUND
        finally:
            await stranger.close()
