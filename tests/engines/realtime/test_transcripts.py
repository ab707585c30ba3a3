"""What an upstream wrote down goes to whoever asks for that sound, and to nobody else."""

import pytest

from duologue.core.talk import Item, Part, Transcript, TranscriptionAsk
from duologue.engines.realtime.transcripts import Transcripts
from duologue.errors import EngineFault

ASK = TranscriptionAsk("whisper-1")


def turn(*media_ids: str) -> Item:
    """An item of that name with a text and these sounds, all alike."""
    sounds = tuple(Part(pcm=b"\1\1", media_id=media_id) for media_id in media_ids)
    return Item("msg_1", "user", (Part("Hear:"), *sounds))


async def words(transcripts: Transcripts, media_id: str) -> str:
    (heard,) = [one async for one in transcripts.transcribe(media_id, b"\1\1", ASK)]
    assert isinstance(heard, Transcript)
    return heard.text


async def test_talks_that_use_the_same_item_ids_are_kept_apart() -> None:
    transcripts = Transcripts()
    transcripts.expect("one", turn("m1"))
    transcripts.expect("two", turn("m2"))
    transcripts.settle("one", "msg_1", Transcript("Mine.", 0.0), 1)
    transcripts.settle("two", "msg_1", Transcript("Yours.", 0.0), 0)
    assert [await words(transcripts, name) for name in ("m1", "m2")] == ["Mine.", "Yours."]
    transcripts.leave("one")
    assert await words(transcripts, "m2") == "Yours."
    with pytest.raises(EngineFault, match="no ears"):
        await words(transcripts, "m1")


async def test_each_sound_of_an_item_has_its_own_words() -> None:
    transcripts = Transcripts()
    transcripts.expect("talk", turn("m1", "m2", "m3"))
    transcripts.settle("talk", "msg_1", Transcript("Second.", 0.0), 2)
    transcripts.settle("talk", "msg_1", Transcript("First.", 0.0), 1)
    transcripts.fail("talk", EngineFault("The upstream is gone."))
    assert [await words(transcripts, name) for name in ("m1", "m2")] == ["First.", "Second."]
    with pytest.raises(EngineFault, match="gone"):
        await words(transcripts, "m3")
