"""What the user said, written down for the client beside the conversation."""

from typing import Any

import pytest

from duologue.core import inputs
from duologue.events import (
    ConversationItemInputAudioTranscriptionCompleted,
    ConversationItemInputAudioTranscriptionDelta,
    ConversationItemInputAudioTranscriptionFailed,
    ConversationItemRetrieved,
    Error,
    ResponseDone,
)
from duologue.testing.timeline import Timeline
from session_kit import add, update


def spoken_turn(transcription: dict[str, Any] | None, *transcripts: str) -> Timeline:
    """A timeline with one spoken turn that is answered."""
    t = Timeline()
    t.transcripts += transcripts
    t.client_sends(0.05, update(audio={"input": {"transcription": transcription}}))
    t.engine.says("Hello.", after_s=0.1)
    t.user_speaks(0.2, 1.4)
    t.run(3.0)
    return t


@pytest.mark.conformance("C-097")
def test_without_transcription_there_are_no_events_of_it() -> None:
    t = spoken_turn(None)
    assert len(t.events(ResponseDone)) == 1
    assert not [name for name in t.types() if "transcription" in name]


@pytest.mark.conformance("C-098", "C-099", "C-101", "C-104")
def test_a_transcript_names_its_item_adds_up_and_holds_nothing_up() -> None:
    t = spoken_turn({"model": "whisper-1"}, "What is the weather?")
    item_id = t.mirror.order[0]
    (completed,) = t.events(ConversationItemInputAudioTranscriptionCompleted)
    assert (completed.item_id, completed.content_index) == (item_id, 0)
    assert completed.transcript == "What is the weather?"
    assert completed.usage.seconds > 1
    deltas = t.events(ConversationItemInputAudioTranscriptionDelta)
    assert "".join(event.delta for event in deltas).strip() == completed.transcript
    names = t.types()
    assert names.index("response.created") < names.index(
        "conversation.item.input_audio_transcription.completed"
    )
    t.client_sends(3.1, {"type": "conversation.item.retrieve", "item_id": item_id})
    t.run(3.2)
    (part,) = t.events(ConversationItemRetrieved)[0].item.content
    assert part.transcript == completed.transcript


def test_every_sound_of_an_item_has_a_transcript_of_its_own() -> None:
    t = Timeline()
    t.client_sends(0.1, update(audio={"input": {"transcription": {"model": "whisper-1"}}}))
    t.transcripts = ["One.", "Two."]
    sound = {"type": "input_audio", "audio": "AAAA" * 1600}
    longer = {"type": "input_audio", "audio": "AAAA" * 3200}
    text = {"type": "input_text", "text": "and"}
    empty = {"type": "input_audio", "audio": ""}
    content = [sound, text, longer, empty]
    t.client_sends(0.2, add({"type": "message", "id": "s", "role": "user", "content": content}))
    t.client_sends(1.0, {"type": "conversation.item.retrieve", "item_id": "s"})
    t.run(1.1)
    done = t.events(ConversationItemInputAudioTranscriptionCompleted)
    assert [(e.content_index, e.transcript, e.usage.seconds) for e in done] == [
        (0, "One.", 0.1),
        (2, "Two.", 0.2),
    ]
    first, _, second, _ = t.events(ConversationItemRetrieved)[0].item.content
    assert (first.transcript, second.transcript) == ("One.", "Two.")


def test_nothing_is_told_of_an_item_that_was_deleted() -> None:
    t = Timeline()
    t.client_sends(0.05, update(audio={"input": {"transcription": {"model": "whisper-1"}}}))
    t.run(0.1)
    t.transcripts = ["Gone.", "Here."]
    sound = {"type": "input_audio", "audio": "AAAA" * 1600}
    gone, here = (
        add({"type": "message", "id": name, "role": "user", "content": [sound]})
        for name in ("gone", "here")
    )
    t.client_sends(0.2, gone)
    t.client_sends(0.2, here)
    t.client_sends(0.3, {"type": "conversation.item.delete", "item_id": "gone"})
    t.client_sends(0.35, {**gone, "event_id": "again"})
    t.run(1.1)
    done = t.events(ConversationItemInputAudioTranscriptionCompleted)
    assert [(e.item_id, e.transcript) for e in done] == [("here", "Here."), ("gone", "")]
    assert t.engine.cancelled == ["job_1"] and not t.events(Error)


@pytest.mark.conformance("C-103")
def test_what_holds_no_words_has_an_empty_transcript() -> None:
    t = spoken_turn({"model": "whisper-1"}, "")
    (completed,) = t.events(ConversationItemInputAudioTranscriptionCompleted)
    assert completed.transcript == ""
    assert not t.events(ConversationItemInputAudioTranscriptionDelta)


@pytest.mark.conformance("C-100")
def test_a_transcription_that_fails_says_so_and_touches_nothing_else() -> None:
    t = Timeline()
    t.client_sends(0.05, update(audio={"input": {"transcription": {"model": "whisper-1"}}}))
    t.engine.says("Hello.", after_s=0.1)
    t.run(0.1)
    t.enter(0.11, inputs.AudioReceived(bytes(48_000)))
    t.client_sends(0.2, {"type": "input_audio_buffer.commit"})
    t.enter(0.3, inputs.TranscriptionFailed("job_1", "transcription_failed", "broken"))
    t.client_sends(0.4, {"type": "response.create"})
    t.run(2.0)
    (failed,) = t.events(ConversationItemInputAudioTranscriptionFailed)
    assert failed.error.message == "broken" and failed.content_index == 0
    assert t.events(ResponseDone)[0].response.status == "completed"
    assert not t.events(ConversationItemInputAudioTranscriptionCompleted)  # it came too late
    assert not t.events(Error)
