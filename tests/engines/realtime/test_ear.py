"""Our sound as the upstream hears it: in the format that its session shows, of the same length."""

import asyncio
import base64
from contextlib import aclosing
from typing import Any, cast

import pytest
from msgspec import structs

from duologue.audio import g711
from duologue.audio import pcm as audio
from duologue.core.talk import Floor, Item, Part
from duologue.engines.realtime.ear import UpstreamEar
from duologue.engines.realtime.engine import RealtimeEngine
from duologue.engines.realtime.live import RealtimeLiveTalk
from duologue.engines.realtime.upstream import OPEN_TRAITS, Upstream
from duologue.errors import EngineFault
from engines.realtime.upstream_kit import (
    HZ,
    KEY,
    SPEAK,
    Peer,
    engine,
    fault_of,
    pitch,
    standing_in,
    tone,
    whole,
)

SPOKEN = Item("user_1", "user", (Part(pcm=tone(24_000), media_id="sound"),))


def hearing(kind: str, rate: int | None) -> dict[str, Any]:
    """A session that shows what it hears."""
    shown = {"type": kind} if rate is None else {"type": kind, "rate": rate}
    return {"audio": {"input": {"format": shown}}}


def check_heard(sound: str, kind: str, rate_hz: int, ms: int = 400) -> None:
    """Whether base64 is the tone in a format, of a length."""
    heard = base64.b64decode(sound)
    if kind == "audio/pcmu":
        heard, rate_hz = g711.decode(heard, "pcmu"), 24_000
    length_ms = audio.samples(heard) * 1000 / rate_hz
    assert abs(length_ms - ms) <= 2, length_ms
    assert abs(pitch(heard, rate_hz) - HZ) < 5


async def answer_once(peer: Peer) -> None:
    """Give an empty reply, and stay until the other side goes."""
    await peer.next("response.create")
    await peer.send("response.created", response={"id": "resp_1"})
    await peer.send("response.done", response={"id": "resp_1", "status": "completed"})
    await peer.socket.wait_closed()


FORMATS = [("audio/pcm", 16_000), ("audio/pcm", 48_000), ("audio/pcmu", 8000)]


@pytest.mark.parametrize(("kind", "rate_hz"), FORMATS)
@pytest.mark.parametrize("answers", [True, False])
async def test_an_item_is_sent_as_the_session_shows_that_it_hears(
    kind: str, rate_hz: int, answers: bool
) -> None:
    heard: list[str] = []

    async def listen(peer: Peer) -> None:
        shows = hearing(kind, rate_hz if kind == "audio/pcm" else None)
        await peer.send("session.created", session=shows)
        await peer.next("session.update")
        if answers:
            await peer.send("session.updated", session=shows)
        heard.append((await peer.next("conversation.item.create"))["item"]["content"][0]["audio"])
        asked = await peer.next("response.create")
        heard.append(asked["response"]["input"][0]["content"][0]["audio"])
        await peer.send("response.created", response={"id": "resp_1"})
        await peer.send("response.done", response={"id": "resp_1", "status": "completed"})
        await peer.socket.wait_closed()

    async with (
        standing_in(listen, greets=False) as address,
        engine(address, connect_s=1.0) as upstream,
    ):
        talk = await upstream.open(SPEAK)
        talk.put(SPOKEN)
        aside = structs.replace(SPOKEN, id="other")
        await whole(talk.reply(structs.replace(SPEAK, context=(aside,), keep=False)))
    for sound in heard:
        check_heard(sound, kind, rate_hz)
    assert len(heard) == 2


async def test_one_that_takes_our_format_when_it_is_asked_to_is_sent_that() -> None:
    heard: list[str] = []

    async def listen(peer: Peer) -> None:
        await peer.send("session.created", session=hearing("audio/pcm", 16_000))
        update = await peer.next("session.update")
        await peer.send("session.updated", session=update["session"])
        heard.append((await peer.next("conversation.item.create"))["item"]["content"][0]["audio"])
        await answer_once(peer)

    async with standing_in(listen, greets=False) as address, engine(address) as upstream:
        talk = await upstream.open(SPEAK)
        talk.put(SPOKEN)
        await whole(talk.reply(SPEAK))
    assert base64.b64decode(heard[0]) == tone(24_000)


@pytest.mark.parametrize("shown", [hearing("audio/pcm", 16_000), {}], ids=["shown", "unshown"])
@pytest.mark.parametrize("rate_hz", [16_000, 24_000])
async def test_sound_waits_for_one_that_is_slow_to_take_its_settings(
    shown: dict[str, Any], rate_hz: int
) -> None:
    heard: list[str] = []

    async def listen(peer: Peer) -> None:
        await peer.send("session.created", session=shown)
        await peer.next("session.update")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await peer.next("conversation.item.create")
        await peer.send("session.updated", session=hearing("audio/pcm", rate_hz))
        heard.append((await peer.next("conversation.item.create"))["item"]["content"][0]["audio"])
        await answer_once(peer)

    settle_s = 2.0 if shown == {} else 0.1  # one that shows none is not waited for so long
    async with (
        standing_in(listen, greets=False) as address,
        engine(address, settle_s=settle_s) as upstream,
    ):
        talk = await upstream.open(SPEAK)
        talk.put(SPOKEN)
        await whole(talk.reply(SPEAK))
    check_heard(heard[0], "audio/pcm", rate_hz)


async def test_one_that_refuses_our_format_is_sent_its_own() -> None:
    heard: list[str] = []

    async def listen(peer: Peer) -> None:
        await peer.send("session.created", session=hearing("audio/pcm", 16_000))
        update = await peer.next("session.update")
        await peer.send("error", error={"message": "No.", "event_id": update["event_id"]})
        heard.append((await peer.next("conversation.item.create"))["item"]["content"][0]["audio"])
        await answer_once(peer)

    async with standing_in(listen, greets=False) as address, engine(address) as upstream:
        talk = await upstream.open(SPEAK)
        talk.put(SPOKEN)
        await whole(talk.reply(SPEAK))
    check_heard(heard[0], "audio/pcm", 16_000)


async def test_one_that_changes_its_mind_when_it_has_heard_fails_the_reply() -> None:
    async def listen(peer: Peer) -> None:
        await peer.send("session.created", session={})
        await peer.next("conversation.item.create")
        await peer.send("session.updated", session=hearing("audio/pcm", 16_000))
        await peer.socket.wait_closed()

    async with (
        standing_in(listen, greets=False) as address,
        engine(address, settle_s=0.1) as upstream,
    ):
        talk = await upstream.open(SPEAK)
        talk.put(SPOKEN)
        fault = await fault_of(talk.reply(SPEAK))
    assert "says now that it hears audio/pcm at 16000 Hz" in fault.message


@pytest.mark.parametrize(("kind", "rate_hz"), FORMATS)
async def test_a_stream_is_sent_so_too_and_its_places_stay_true(kind: str, rate_hz: int) -> None:
    heard = b""
    at_ms = 300

    async def listen(peer: Peer) -> None:
        nonlocal heard
        shows = hearing(kind, rate_hz if kind == "audio/pcm" else None)
        await peer.send("session.created", session=shows)
        await peer.next("session.update")
        await peer.send("session.updated", session=shows)
        of_a_ms = rate_hz * (2 if kind == "audio/pcm" else 1) // 1000
        while len(heard) < 398 * of_a_ms:
            heard += base64.b64decode((await peer.next("input_audio_buffer.append"))["audio"])
        start = {"audio_start_ms": at_ms, "item_id": "item_1"}
        await peer.send("input_audio_buffer.speech_started", **start)
        await peer.socket.wait_closed()

    traits = structs.replace(OPEN_TRAITS, duplex=True, rewinds=False)
    async with standing_in(listen, greets=False) as address:
        upstream = RealtimeEngine([Upstream(address, KEY)], traits, aligned=True)
        talk = cast(RealtimeLiveTalk, await upstream.open(SPEAK))
        async with asyncio.timeout(10), aclosing(cast(Any, talk.live(SPEAK))) as events:
            sound = tone(24_000)
            for start in range(0, len(sound), 1000):  # in pieces of odd lengths
                talk.hear(sound[start : start + 1000])
            assert await anext(events) == Floor("user_starts", at_ms)
        await upstream.aclose()
    check_heard(base64.b64encode(heard).decode(), kind, rate_hz)


def test_where_the_rate_is_told_beside_the_sound_its_own_ear_is_its_own_matter() -> None:
    omni, other = UpstreamEar(told_rate=True), UpstreamEar()
    stream = {"type": "input_audio_buffer.append", "audio": tone(24_000)}
    for ear in (omni, other):
        ear.tell(hearing("audio/mp3", None), is_answer=True)
    omni.check()
    assert not omni.has_sound(stream) and omni.sent(stream) is stream
    with pytest.raises(EngineFault, match="hears audio/mp3 at 24000 Hz, not 24 kHz PCM"):
        other.check()
