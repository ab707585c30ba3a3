"""What a talk has its upstream write down of the user, and what becomes of a refusal."""

import asyncio
from typing import Any

import pytest
from msgspec import structs

from duologue.audio.pcm import BYTES_PER_MS
from duologue.core.talk import Ask, Item, Part, Transcript, TranscriptionAsk
from duologue.engines.realtime.transcripts import Transcripts
from duologue.errors import EngineFault
from duologue.events import LogProb
from engines.realtime.upstream_kit import SPEAK, Peer, engine, standing_in

SOUND = bytes(range(1, 241)) * (BYTES_PER_MS // 2)
WRITTEN = TranscriptionAsk("gpt-4o-transcribe", language="en", logprobs=True)
ASK = structs.replace(SPEAK, transcription=WRITTEN)
COMPLETED = "conversation.item.input_audio_transcription.completed"


def turn(name: str) -> Item:
    return Item(name, "user", (Part(pcm=SOUND, media_id=name),))


async def read(transcripts: Transcripts, name: str, ask: TranscriptionAsk = WRITTEN) -> Transcript:
    async for heard in transcripts.transcribe(name, SOUND, ask):
        assert isinstance(heard, Transcript)
        return heard
    raise AssertionError("nothing was told")


async def told_of(peer: Peer) -> dict[str, Any]:
    """The next settings about transcription."""
    while True:
        session = (await peer.next("session.update"))["session"]
        if "transcription" in session["audio"]["input"]:
            return session  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("told", "logprobs"),
    [
        ([{"token": "Hé", "logprob": -0.5, "bytes": [72, 195, 169]}], (72, 195, 169)),
        ([{"token": "Hé", "logprob": -0.5, "bytes": None}], (72, 195, 169)),
        ([{"token": 3}], None),
        ("many", None),
    ],
)
async def test_words_come_with_what_fits_of_their_details(
    told: Any, logprobs: tuple[int, ...] | None
) -> None:
    transcripts = Transcripts()

    async def behave(peer: Peer) -> None:
        await peer.next("conversation.item.create")
        details = {"languages": [{"code": "fr"}], "logprobs": told}
        await peer.send(COMPLETED, item_id="a", content_index=0, transcript="Hé", **details)
        await peer.socket.wait_closed()

    async with standing_in(behave) as address:
        async with engine(address, transcripts=transcripts) as made:
            (await made.open(ASK)).put(turn("a"))
            heard = await read(transcripts, "a")
            plain = await read(transcripts, "a", TranscriptionAsk("whisper-1"))
    assert (heard.text, heard.language, heard.seconds) == ("Hé", "fr", len(SOUND) / 48_000)
    shown = None if logprobs is None else (LogProb(token="Hé", logprob=-0.5, bytes=logprobs),)
    assert heard.logprobs == shown and plain.logprobs is None


async def test_an_upstream_that_refuses_the_model_takes_the_other_settings() -> None:
    transcripts = Transcripts()
    refused = asyncio.Event()

    async def behave(peer: Peer) -> None:
        first = await peer.next("session.update")
        assert first["event_id"] == "configure" and first["session"]["instructions"]
        second = await peer.next("session.update")
        await peer.next("conversation.item.create")
        fault = {"message": "No such model.", "event_id": second["event_id"]}
        await peer.send("error", error=fault)
        await peer.next("response.create")
        await peer.send("response.created", response={"id": "r"})
        await peer.send("response.done", response={"id": "r", "status": "completed"})
        refused.set()
        assert (await told_of(peer))["audio"]["input"]["transcription"]["model"] == "whisper-1"
        await peer.next("conversation.item.create")
        await peer.send(COMPLETED, item_id="c", content_index=0, transcript="Again.")
        await peer.socket.wait_closed()

    async with standing_in(behave) as address:
        async with engine(address, transcripts=transcripts) as made:
            talk = await made.open(ASK)
            talk.put(turn("a"))
            with pytest.raises(EngineFault, match="refuses: No such model"):
                await read(transcripts, "a")
            assert [event async for event in talk.reply(ASK)], "the reply is none the worse"
            await refused.wait()
            talk.put(turn("b"))
            with pytest.raises(EngineFault, match="refuses: No such model"):
                await read(transcripts, "b")
            talk.configure(structs.replace(ASK, transcription=TranscriptionAsk("whisper-1")))
            talk.put(turn("c"))
            assert (await read(transcripts, "c")).text == "Again."


@pytest.mark.parametrize(("always", "wanted"), [(True, {"model": "whisper-1"}), (False, None)])
async def test_where_the_client_wants_no_words_they_are_asked_for_only_if_others_do(
    always: bool, wanted: dict[str, str] | None
) -> None:
    seen: list[Any] = []
    done = asyncio.Event()

    async def behave(peer: Peer) -> None:
        await peer.next("conversation.item.create")
        updates = (event for event in peer.seen if event["type"] == "session.update")
        seen.extend(event["session"]["audio"]["input"].get("transcription") for event in updates)
        done.set()
        await peer.socket.wait_closed()

    async with standing_in(behave) as address:
        async with engine(address, transcripts=Transcripts(always=always)) as made:
            (await made.open(SPEAK)).put(turn("a"))
            await done.wait()
    assert seen[1:] == ([wanted] if wanted else [])


async def test_with_ears_of_our_own_nothing_is_said_of_it() -> None:
    done = asyncio.Event()
    updates: list[dict[str, Any]] = []

    async def behave(peer: Peer) -> None:
        await peer.next("conversation.item.create")
        updates.extend(event for event in peer.seen if event["type"] == "session.update")
        done.set()
        await peer.socket.wait_closed()

    async with standing_in(behave) as address, engine(address) as made:
        (await made.open(ASK)).put(turn("a"))
        await done.wait()
    assert [event["event_id"] for event in updates] == ["configure"]


async def test_a_voice_that_somebody_had_made_is_asked_for_by_its_id() -> None:
    voices: asyncio.Queue[Any] = asyncio.Queue()

    async def behave(peer: Peer) -> None:
        session = (await peer.next("session.update"))["session"]
        voices.put_nowait(session["audio"]["output"]["voice"])
        await peer.socket.wait_closed()

    async with standing_in(behave) as address, engine(address, aligned=True) as made:
        await made.open(Ask(voice="voice_123"))
        assert await voices.get() == {"id": "voice_123"}


async def test_a_late_refusal_is_not_of_the_settings_told_since() -> None:
    transcripts = Transcripts()

    async def refuse_late(peer: Peer) -> None:
        first, second = [await named(peer) for _ in range(2)]
        assert first != second
        error = {"event_id": first, "message": "No such language."}
        await peer.send("error", error=error)
        await peer.next("conversation.item.create")
        await peer.send(COMPLETED, item_id="a", content_index=0, transcript="Hi")
        await peer.socket.wait_closed()

    async def named(peer: Peer) -> str:
        while not (name := (await peer.next("session.update"))["event_id"]).startswith("hearing"):
            pass
        return str(name)

    wanted = TranscriptionAsk("gpt-4o-transcribe", language="xx")
    async with standing_in(refuse_late) as address:
        async with engine(address, transcripts=transcripts) as made:
            talk = await made.open(structs.replace(SPEAK, transcription=wanted))
            talk.configure(ASK)
            talk.put(turn("a"))
            assert (await read(transcripts, "a")).text == "Hi"
