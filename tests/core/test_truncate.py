"""What is left of an interrupted reply: exactly the words that were heard."""

import pytest

from duologue.core.talk import Call, Done, Say
from duologue.events import (
    ConversationItemRetrieved,
    ConversationItemTruncated,
    Error,
    InputAudioBufferTimeoutTriggered,
    ResponseDone,
    ResponseOutputAudioDelta,
    ResponseOutputAudioTranscriptDelta,
)
from duologue.testing.timeline import Timeline
from session_kit import codes, detect, times, truncate, update

WORDS = "One two three four five."


def spoken(text: str = WORDS, word_ms: int = 200) -> tuple[Timeline, str]:
    """A timeline in which `text` was said, every word `word_ms` long, and its item id."""
    t = Timeline()
    t.engine.says(text, after_s=0.1, step_s=0.01, word_ms=word_ms)
    t.client_sends(0.1, {"type": "response.create"})
    t.run(1.0)
    return t, t.mirror.order[-1]


@pytest.mark.conformance("C-121")
@pytest.mark.parametrize(
    ("end_ms", "heard"),
    [
        (0, ""),
        (90, ""),
        (110, "One"),
        (200, "One"),
        (290, "One"),
        (320, "One two"),
        (600, "One two three"),
        (1000, WORDS),
    ],
)
def test_history_holds_the_words_that_were_heard(end_ms: int, heard: str) -> None:
    t, item_id = spoken()
    t.client_sends(1.1, truncate(item_id, end_ms))
    t.client_sends(1.2, {"type": "conversation.item.retrieve", "item_id": item_id})
    t.run(1.3)
    assert t.events(ConversationItemTruncated)[0].audio_end_ms == end_ms
    assert t.engine.cuts == [(item_id, end_ms, heard)]
    item = t.events(ConversationItemRetrieved)[0].item
    assert item.id == item_id and item.content[0].transcript == heard
    assert len(item.content[0].audio or b"") == end_ms * 48


@pytest.mark.conformance("C-122")
def test_slightly_past_the_end_is_clamped() -> None:
    t, item_id = spoken()
    t.client_sends(1.1, truncate(item_id, 1100))
    t.run(1.2)
    assert t.events(ConversationItemTruncated)[0].audio_end_ms == 1000
    assert t.engine.cuts == [(item_id, 1000, WORDS)]


@pytest.mark.conformance("C-122")
def test_clearly_past_the_end_is_refused_and_nothing_changes() -> None:
    t, item_id = spoken()
    t.client_sends(1.1, truncate(item_id, 1101))
    t.run(1.2)
    error = t.events(Error)[0].error
    assert (error.code, error.param) == ("invalid_value", "audio_end_ms")
    assert error.message == "Audio content of 1000ms is already shorter than 1101ms"
    assert t.engine.cuts == []


def test_a_second_truncation_can_only_shorten() -> None:
    t, item_id = spoken()
    t.client_sends(1.1, truncate(item_id, 400))
    t.client_sends(1.2, truncate(item_id, 450))
    t.client_sends(1.3, truncate(item_id, 200))
    t.client_sends(1.4, truncate(item_id, 900))
    t.run(1.5)
    assert [cut[1:] for cut in t.engine.cuts] == [(400, "One two"), (400, "One two"), (200, "One")]
    assert codes(t) == ["invalid_value"]


def test_truncating_while_it_is_generated_fixes_the_boundary() -> None:
    t = Timeline()
    t.engine.says(WORDS, after_s=0.1, step_s=0.2)
    t.client_sends(0.1, {"type": "response.create"})
    t.run(0.5)
    item_id = t.mirror.order[-1]
    t.client_sends(0.55, truncate(item_id, 200))
    t.run(3.0)
    assert t.events(ResponseDone)[0].response.status == "completed"
    assert t.engine.history[-1].parts[0].text == "One"


def test_what_comes_after_the_cut_is_not_sent_and_the_words_go_on() -> None:
    t = Timeline()
    t.engine.says(WORDS, after_s=0.1, step_s=0.2)  # at 0.2, 0.4, …
    t.client_sends(0.1, {"type": "response.create"})
    t.run(0.5)
    item_id = t.mirror.order[-1]
    t.client_sends(0.55, truncate(item_id, 200))
    t.run(3.0)
    assert [round(at, 2) for at in times(t, ResponseOutputAudioDelta)] == [0.2, 0.4]
    assert "".join(e.delta for e in t.events(ResponseOutputAudioTranscriptDelta)) == WORDS
    assert t.types()[-6:-1] == [
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
    ]
    response = t.events(ResponseDone)[0].response
    assert response.output[0].content[0].transcript == "One"
    assert response.usage.output_token_details.audio_tokens == 400 // 50  # what was sent


def test_the_next_item_of_the_response_sounds_again() -> None:
    t = Timeline()
    call = (Call(0, name="look", delta="{}"), Call(0, final=True))
    sound = bytes(9600)
    t.engine.answers(
        Say("One", sound, 3), Say(" two", sound, 7), *call, Say("Three", sound, 5), Done(),
        step_s=0.2,
    )  # fmt: skip
    t.client_sends(0.1, {"type": "response.create"})
    t.run(0.5)
    t.client_sends(0.5, truncate(t.mirror.order[-1], 100))
    t.run(3.0)
    sounded = [event.item_id for event in t.events(ResponseOutputAudioDelta)]
    said = [item.id for item in t.events(ResponseDone)[0].response.output if item.id in sounded]
    assert sounded == said and len(said) == 2


def test_a_client_that_cuts_and_hears_no_more_is_idle_from_then_on() -> None:
    t = Timeline()
    t.client_sends(0.05, detect("server_vad", idle_timeout_ms=5000))
    t.engine.says(WORDS, after_s=0.1, step_s=0.2, word_ms=1000)  # done at 1.2
    t.client_sends(0.1, {"type": "response.create"})
    t.run(0.5)
    t.client_sends(0.55, truncate(t.mirror.order[-1], 200))
    t.run(7.0)
    assert times(t, InputAudioBufferTimeoutTriggered) == [pytest.approx(1.2 + 5)]


@pytest.mark.conformance("C-124")
def test_barge_in_and_truncate_leave_the_heard_words_in_history() -> None:
    t = Timeline()
    t.engine.says(WORDS, after_s=0.1, step_s=0.2)
    t.user_speaks(0.3, 0.8)
    t.user_speaks(2.05, 2.6)
    t.run(2.25)
    item_id = t.mirror.order[-1]
    t.client_sends(2.3, truncate(item_id, 200))
    t.run(2.35)
    assert t.engine.history[-1].parts[0].text == "One two three"  # what was sent
    assert t.engine.cuts == [(item_id, 200, "One")]  # what was heard


def test_text_that_was_never_voiced_is_not_in_history() -> None:
    t = Timeline()
    t.engine.answers(Say("One two"), Say("", b"\0" * 9600, 3), step_s=0.01)
    t.client_sends(0.1, {"type": "response.create"})
    t.client_sends(1.0, {"type": "response.cancel"})
    t.run(1.1)
    assert t.engine.history[-1].parts[0].text == "One"


@pytest.mark.conformance("C-123")
def test_only_spoken_messages_of_the_assistant_can_be_truncated() -> None:
    t = Timeline()
    t.engine.answers(Say("Hi"), Done())
    t.client_sends(0.1, {"type": "response.create", "response": {"output_modalities": ["text"]}})
    t.run(1.0)
    t.client_sends(1.1, truncate(t.mirror.order[-1], 0))
    t.client_sends(1.1, truncate("item_nowhere", 0))
    t.run(1.2)
    assert codes(t) == ["unsupported_content_type", "item_truncate_invalid_item_id"]


@pytest.mark.conformance("C-159")
def test_truncating_at_once_when_the_user_speaks_meets_an_item_still_open() -> None:
    t = Timeline()
    switches = {"create_response": False, "interrupt_response": False}
    turn_detection = {"type": "server_vad", **switches}
    t.client_sends(0.05, update(audio={"input": {"turn_detection": turn_detection}}))
    t.engine.says(WORDS, after_s=0.1, step_s=0.4)
    t.client_sends(0.1, {"type": "response.create"})
    t.user_speaks(1.0, 1.5)
    t.run(1.1)
    assert t.types()[-1] == "input_audio_buffer.speech_started"
    item_id = t.mirror.order[-1]
    assert t.mirror.items[item_id].status == "in_progress"
    t.client_sends(1.11, truncate(item_id, 150))
    t.run(4.0)
    assert not t.events(Error)
    assert t.events(ConversationItemTruncated)[0].item_id == item_id
    assert t.events(ResponseDone)[0].response.status == "completed"
    assert t.engine.history[0].parts[0].text == "One"


@pytest.mark.conformance("C-124", "C-160")
def test_speaking_while_the_client_still_plays_cancels_nothing_and_truncation_works() -> None:
    t, item_id = spoken()
    assert t.events(ResponseDone)[0].response.status == "completed"
    t.user_speaks(1.05, 1.6)  # 5 words of 200 ms are still being played
    t.run(1.2)
    assert t.types()[-1] == "input_audio_buffer.speech_started"
    t.client_sends(1.25, truncate(item_id, 400))
    t.client_sends(1.3, {"type": "conversation.item.retrieve", "item_id": item_id})
    t.run(4.0)
    assert len(t.events(ResponseDone)) == 1 and t.engine.cancelled == []
    assert t.events(ConversationItemRetrieved)[0].item.content[0].transcript == "One two"
    assert t.engine.cuts == [(item_id, 400, "One two")]
    assert not t.events(Error)


def test_a_spoken_message_has_one_part_and_no_other_to_cut() -> None:
    t, item_id = spoken()
    t.client_sends(1.1, {**truncate(item_id, 200), "content_index": 1})
    t.run(1.2)
    error = t.events(Error)[0].error
    assert (error.code, error.param) == ("invalid_value", "content_index")
    assert t.engine.cuts == []
