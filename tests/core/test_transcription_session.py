"""A transcription session: turns and transcripts, and nobody who answers."""

import pytest

from duologue.audio.pcm import BYTES_PER_MS
from duologue.core import inputs
from duologue.core.input_audio_buffer import LIMIT_MS
from duologue.core.rate_limits import Allowance
from duologue.core.settings import SessionConfig
from duologue.events import (
    AudioPcmu,
    Error,
    InputAudioBufferCommitted,
    InputAudioBufferSpeechStarted,
    InputAudioBufferSpeechStopped,
    SessionCreated,
    SessionUpdated,
)
from duologue.events import (
    ConversationItemInputAudioTranscriptionCompleted as Completed,
)
from duologue.testing.timeline import Timeline
from session_kit import codes

NAME = "conversation.item.input_audio_transcription"
CONFIG = SessionConfig(id="sess_t", model="", type="transcription", silence_duration_ms=350)


def change(**session: object) -> dict[str, object]:
    return {"type": "session.update", "session": {"type": "transcription", **session}}


def audio(**settings: object) -> dict[str, object]:
    return change(audio={"input": settings})


@pytest.mark.conformance("C-179")
def test_it_begins_with_transcription_on_and_turns_without_replies() -> None:
    t = Timeline(CONFIG)
    (created,) = t.events(SessionCreated)
    session = created.session
    assert session.object == "realtime.transcription_session"
    heard = session.audio.input
    assert heard.transcription.model == "gpt-4o-transcribe"
    assert heard.turn_detection.silence_duration_ms == 350
    assert not heard.turn_detection.create_response


@pytest.mark.conformance("C-181")
def test_a_spoken_turn_is_committed_and_transcribed() -> None:
    t = Timeline(CONFIG)
    t.transcripts = ["Stop at once."]
    t.user_speaks(0.5, 2.0)
    t.run(4.0)
    assert t.types() == [
        "session.created",
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        f"{NAME}.delta",
        f"{NAME}.completed",
    ]
    (completed,) = t.events(Completed)
    (committed,) = t.events(InputAudioBufferCommitted)
    assert completed.transcript == "Stop at once." and completed.item_id == committed.item_id
    assert t.engine.history == [] and t.engine.expected == [] and t.engine.asks == []


@pytest.mark.conformance("C-181", "C-103")
def test_a_commit_by_hand_is_transcribed_and_may_be_silent() -> None:
    t = Timeline(CONFIG)
    t.client_sends(0.0, audio(turn_detection=None, transcription={"model": "whisper-1"}))
    t.client_sends(1.0, {"type": "input_audio_buffer.commit"})
    t.run(2.0)
    assert t.types() == [
        "session.created",
        "session.updated",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        f"{NAME}.completed",
    ]
    (completed,) = t.events(Completed)
    assert completed.transcript == ""


def test_words_are_told_while_they_are_spoken() -> None:
    t = Timeline(CONFIG)
    t.client_sends(0.0, audio(transcription={"model": "gpt-realtime-whisper"}))
    t.hypotheses = ["One two", "One two three", "One two three"]
    t.transcripts = ["One two three four."]
    t.user_speaks(0.5, 5.0)
    t.run(8.0)
    types = t.types()
    assert types.index(f"{NAME}.delta") < types.index("input_audio_buffer.speech_stopped")
    (completed,) = t.events(Completed)
    assert completed.transcript == "One two three four."


@pytest.mark.conformance("C-180")
@pytest.mark.parametrize(
    "event",
    [
        {"type": "response.create"},
        {"type": "response.cancel"},
        {"type": "output_audio_buffer.clear"},
        {
            "type": "conversation.item.create",
            "item": {"type": "message", "role": "user", "content": []},
        },
        {
            "type": "conversation.item.truncate",
            "item_id": "a",
            "content_index": 0,
            "audio_end_ms": 0,
        },
    ],
)
def test_what_only_a_conversation_has_is_refused(event: dict[str, object]) -> None:
    t = Timeline(CONFIG)
    t.client_sends(0.1, {**event, "event_id": "mine"})
    t.run(0.2)
    (error,) = t.events(Error)
    assert (error.error.code, error.error.param) == ("invalid_value", "type")
    assert error.error.event_id == "mine"
    assert t.types() == ["session.created", "error"]


def test_an_update_changes_all_or_nothing() -> None:
    t = Timeline(CONFIG)
    t.client_sends(0.1, audio(noise_reduction={"type": "far_field"}))
    t.client_sends(
        0.2, audio(noise_reduction=None, transcription={"model": "nobody knows", "language": "en"})
    )
    t.client_sends(0.3, {"type": "session.update", "session": {"type": "realtime"}})
    t.client_sends(0.4, change(include=["item.input_audio_transcription.logprobs"]))
    t.client_sends(0.5, audio(transcription={"language": "en"}))
    t.run(1.0)
    assert codes(t) == ["invalid_value", "invalid_value"]
    params = [event.error.param for event in t.events(Error)]
    assert params == ["session.audio.input.transcription.model", "session.type"]
    last = t.events(SessionUpdated)[-1].session
    assert last.audio.input.noise_reduction.strength == 1.0
    assert last.include == ("item.input_audio_transcription.logprobs",)
    assert last.audio.input.transcription.model == "gpt-4o-transcribe"
    assert last.audio.input.transcription.language == "en"
    assert last.audio.input.transcription.prompt is None


def test_items_can_be_retrieved_and_deleted() -> None:
    t = Timeline(CONFIG)
    t.transcripts = ["Hello."]
    t.user_speaks(0.5, 2.0)
    t.run(4.0)
    (committed,) = t.events(InputAudioBufferCommitted)
    t.client_sends(4.1, {"type": "conversation.item.retrieve", "item_id": committed.item_id})
    t.client_sends(4.2, {"type": "conversation.item.delete", "item_id": committed.item_id})
    t.client_sends(4.3, {"type": "conversation.item.retrieve", "item_id": committed.item_id})
    t.run(4.5)
    assert t.types()[-3:] == ["conversation.item.retrieved", "conversation.item.deleted", "error"]
    assert codes(t) == ["item_retrieve_invalid_item_id"]


def test_nothing_is_told_of_an_item_that_was_deleted() -> None:
    t = Timeline(CONFIG)
    t.transcripts = ["Hello."]
    t.user_speaks(0.5, 2.0)
    t.run(2.0)
    while not (committed := t.events(InputAudioBufferCommitted)):
        t.run(t.now + 0.1)
    item_id = committed[0].item_id
    t.client_sends(t.now, {"type": "conversation.item.delete", "item_id": item_id})
    t.run(t.now + 1.0)
    assert t.types()[-1] == "conversation.item.deleted" and len(t.engine.cancelled) == 1


def test_a_frame_that_cannot_be_read_is_refused_by_its_id() -> None:
    t = Timeline(CONFIG)
    t.client_sends(0.1, {"type": "session.update", "event_id": "mine"})
    t.run(0.2)
    (error,) = t.events(Error)
    assert error.error.code == "missing_required_parameter"
    assert (error.error.param, error.error.event_id) == ("session", "mine")


def test_limits_of_responses_do_not_touch_it() -> None:
    t = Timeline(CONFIG)
    t.enter(0.1, inputs.AllowanceChanged(Allowance(100.0, "requests", 1)))
    t.enter(0.2, inputs.LimitsUpdated(()))
    t.transcripts = ["Hello."]
    t.user_speaks(0.5, 2.0)
    t.run(4.0)
    assert [event.transcript for event in t.events(Completed)] == ["Hello."]
    assert "rate_limits.updated" not in t.types() and codes(t) == []


def test_a_turn_that_fills_the_buffer_is_ended_and_the_next_begins() -> None:
    t = Timeline(CONFIG)
    t.user_speaks(0.5, 8.0)
    nearly_all = bytes((LIMIT_MS - 5000) * BYTES_PER_MS)
    t.enter(2.0, inputs.AudioReceived(nearly_all, 1.0))
    t.transcripts = ["First.", "Second."]
    t.run(7.0)
    (committed,) = t.events(InputAudioBufferCommitted)
    assert len(t.events(InputAudioBufferSpeechStopped)) == 1
    started = t.events(InputAudioBufferSpeechStarted)
    assert len(started) == 2 and started[0].item_id == committed.item_id
    assert LIMIT_MS - 100 < t.transcriptions[0][0] / BYTES_PER_MS <= LIMIT_MS
    t.run(10.0)
    assert [event.transcript for event in t.events(Completed)] == ["First.", "Second."]
    assert codes(t) == []


def semantic(eagerness: str) -> Timeline:
    t = Timeline(CONFIG)
    t.client_sends(0.1, audio(turn_detection={"type": "semantic_vad", "eagerness": eagerness}))
    t.user_speaks(0.512, 2.016)
    return t


def test_a_semantic_turn_ends_when_it_is_judged_complete() -> None:
    t = semantic("auto")
    t.turn_scores = [0.9]
    t.run(4.0)
    (stopped_at,) = [at for at, event in t.sent if isinstance(event, InputAudioBufferSpeechStopped)]
    assert len(t.judged) == 1 and 2.2 < stopped_at < 2.5
    assert t.types()[-1] == f"{NAME}.completed"


def test_a_semantic_turn_that_is_judged_incomplete_goes_on() -> None:
    t = semantic("high")
    t.turn_scores = [0.1]
    t.run(3.9)
    assert len(t.judged) == 1 and t.events(InputAudioBufferSpeechStopped) == []
    t.run(4.2)
    assert len(t.events(InputAudioBufferCommitted)) == 1


def test_a_semantic_turn_that_is_not_judged_ends_by_its_longest_silence() -> None:
    t = semantic("high")
    t.run(3.9)
    assert t.events(InputAudioBufferSpeechStopped) == []
    t.run(4.2)
    assert len(t.events(InputAudioBufferCommitted)) == 1


def test_a_short_turn_that_was_announced_is_committed() -> None:
    t = Timeline(CONFIG)
    t.client_sends(
        0.1,
        audio(
            turn_detection={
                "type": "server_vad",
                "prefix_padding_ms": 0,
                "silence_duration_ms": 0,
            }
        ),
    )
    t.user_speaks(0.512, 0.576)
    t.run(2.0)
    assert codes(t) == []
    assert len(t.events(InputAudioBufferCommitted)) == 1


def test_a_commit_that_crosses_the_end_of_a_turn_is_no_mistake() -> None:
    t = Timeline(CONFIG)
    t.user_speaks(0.5, 2.0)
    t.run(2.6)
    t.client_sends(2.6, {"type": "input_audio_buffer.clear"})
    t.client_sends(2.6, {"type": "input_audio_buffer.commit"})
    t.run(2.61)
    assert codes(t) == ["input_audio_buffer_commit_empty"]
    t.user_speaks(3.0, 4.5)
    t.run(5.0)
    assert len(t.events(InputAudioBufferCommitted)) == 2
    t.client_sends(5.0, {"type": "input_audio_buffer.commit"})
    t.run(5.01)
    assert len(codes(t)) == 1


def test_an_idle_timeout_is_refused_as_nothing_would_come_of_it() -> None:
    t = Timeline(CONFIG)
    t.client_sends(0.1, audio(turn_detection={"type": "server_vad", "idle_timeout_ms": 5000}))
    t.client_sends(0.2, audio(turn_detection={"type": "server_vad", "idle_timeout_ms": None}))
    t.run(0.3)
    (error,) = t.events(Error)
    assert error.error.code == "invalid_value"
    assert error.error.param == "session.audio.input.turn_detection.idle_timeout_ms"
    assert len(t.events(SessionUpdated)) == 1


def test_the_edge_is_told_how_it_listens() -> None:
    t = Timeline(CONFIG)
    t.client_sends(
        0.1, audio(format={"type": "audio/pcmu"}, noise_reduction={"type": "near_field"})
    )
    t.run(0.2)
    (updated,) = t.events(SessionUpdated)
    assert t.session.audio_input == updated.session.audio.input
    assert isinstance(t.session.audio_input.format, AudioPcmu)
    assert t.session.audio_input.noise_reduction.strength == 1.0
