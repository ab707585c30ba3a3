"""What an upstream says in another format than ours is made ours, or refused: never noise."""

import base64
from typing import Any

import pytest

from duologue.audio import g711
from duologue.audio import pcm as audio
from duologue.core.talk import Say
from duologue.engines.realtime.sound import OURS, Format, UpstreamSound, shown
from duologue.errors import EngineFault
from engines.realtime.upstream_kit import (
    HZ,
    SPEAK,
    Peer,
    engine,
    fault_of,
    pitch,
    said,
    standing_in,
    tone,
    whole,
)


def pcm_at(rate: Any) -> dict[str, Any]:
    return {"audio": {"output": {"format": {"type": "audio/pcm", "rate": rate}}}}


@pytest.mark.parametrize(
    ("session", "sound"),
    [
        (pcm_at(16_000), tone(16_000)),
        (pcm_at(22_050), tone(22_050)),
        (pcm_at(48_000), tone(48_000)),
        (pcm_at(24_000), tone(24_000)),
        ({"output_audio_format": "pcm16"}, tone(24_000)),
        ({"output_audio_format": "g711_ulaw"}, g711.encode(tone(24_000), "pcmu")),
        (
            {"audio": {"output": {"format": {"type": "audio/pcma"}}}},
            g711.encode(tone(24_000), "pcma"),
        ),
        ({"audio": {"output": {"format": "pcm16"}}}, tone(24_000)),
    ],
    ids=["16k", "22k", "48k", "24k", "beta", "beta_ulaw", "alaw", "beta_within"],
)
@pytest.mark.parametrize("kind", ["session.created", "session.updated"])
async def test_what_the_session_shows_is_what_is_read(
    session: Any, sound: bytes, kind: str
) -> None:
    async def speak(peer: Peer) -> None:
        await peer.send(kind, session=session)
        await peer.next("response.create")
        await peer.send("response.created", response={"id": "resp_1"})
        names = {"response_id": "resp_1", "item_id": "item_1"}
        for start in range(0, len(sound), 1001):  # in the middle of a sample, too
            delta = base64.b64encode(sound[start : start + 1001]).decode()
            await peer.send("response.output_audio.delta", **names, delta=delta)
        await peer.send("response.done", response={"id": "resp_1", "status": "completed"})
        await peer.socket.wait_closed()

    async with standing_in(speak, greets=False) as address, engine(address) as upstream:
        talk = await upstream.open(SPEAK)
        talk.put(said("Hello"))
        events = await whole(talk.reply(SPEAK))
    pcm = b"".join(event.pcm for event in events if isinstance(event, Say))
    assert abs(audio.ms_of_samples(audio.samples(pcm)) - 400) <= 10
    assert abs(pitch(pcm) - HZ) < 5


@pytest.mark.parametrize(
    ("session", "words"),
    [
        (pcm_at(16_001), "speaks audio/pcm at 16001 Hz"),
        (pcm_at("fast"), "speaks audio/pcm at 0 Hz"),
        ({"output_audio_format": "mp3"}, "speaks mp3 at 0 Hz"),
        ({"input_audio_format": "mp3"}, "hears mp3 at 0 Hz"),
        ({"audio": {"input": {"format": {"rate": 16_001}}}}, "hears audio/pcm at 16001 Hz"),
    ],
)
async def test_what_cannot_be_made_ours_fails_the_reply_in_words(session: Any, words: str) -> None:
    async def speak(peer: Peer) -> None:
        await peer.send("session.created", session=session)
        await peer.next("response.create")
        await peer.send("response.created", response={"id": "resp_1"})
        await peer.socket.wait_closed()

    async with standing_in(speak, greets=False) as address, engine(address) as upstream:
        talk = await upstream.open(SPEAK)
        fault = await fault_of(talk.reply(SPEAK))
    assert fault.message == f"The upstream {words}, not 24 kHz PCM."


@pytest.mark.parametrize(
    ("head", "name"), [(b"RIFF\x24\0\0\0WAVEfmt ", "WAV"), (b"OggS\0\2", "Ogg")]
)
async def test_a_file_is_no_bare_sound(head: bytes, name: str) -> None:
    async def speak(peer: Peer) -> None:
        await peer.next("response.create")
        await peer.send("response.created", response={"id": "resp_1"})
        delta = base64.b64encode(head + tone(24_000)).decode()
        await peer.send("response.output_audio.delta", response_id="resp_1", delta=delta)
        await peer.send("response.done", response={"id": "resp_1", "status": "completed"})
        await peer.socket.wait_closed()

    async with standing_in(speak) as address, engine(address) as upstream:
        talk = await upstream.open(SPEAK)
        fault = await fault_of(talk.reply(SPEAK))
    assert fault.message.startswith(f"The upstream sent sound as a file ({name})")


def test_a_session_that_shows_no_format_changes_nothing() -> None:
    for session in (None, {}, {"audio": {"output": {"format": 7}}}, {"output_audio_format": None}):
        assert shown(session, "output") is None
    sound = UpstreamSound()
    sound.tell({})
    assert sound.is_ours
    sound.tell(pcm_at(16_000))
    sound.tell({})
    assert not sound.is_ours
    sound.tell(pcm_at(None))
    assert sound.is_ours and shown(pcm_at(None), "output") == OURS == Format()


def test_what_a_piece_says_of_its_rate_counts_and_nonsense_does_not() -> None:
    sound = UpstreamSound()
    for nonsense in (None, "16000", 16_000.5, True, [16_000]):
        sound.tell_rate(nonsense)
        assert sound.is_ours
    piece = base64.b64encode(tone(16_000)).decode()
    sound.tell_rate(16_000)
    pcm = base64.b64decode(sound.convert("item_1", piece))
    assert abs(pitch(pcm) - HZ) < 5
    sound.tell(pcm_at(22_050))
    sound.tell_rate(24_000)
    assert sound.is_ours
    sound.tell({"output_audio_format": "g711_ulaw"})
    sound.tell_rate(8000)
    assert len(base64.b64decode(sound.convert("item_2", piece[:4000]))) == 3000 * 6, "as shown"
    sound.tell(pcm_at(24_000))
    sound.tell_rate(7)
    with pytest.raises(EngineFault, match="speaks audio/pcm at 7 Hz"):
        sound.convert("item_3", piece)
