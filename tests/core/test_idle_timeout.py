"""`idle_timeout_ms` (reference 4.3 l): silence after a reply was played prompts the next one."""

import pytest

from duologue.core.inputs import Found, Lost, Resumed
from duologue.core.talk import Call, Done, Say
from duologue.events import (
    ConversationItemAdded,
    Error,
    InputAudioBufferCommitted,
    InputAudioBufferTimeoutTriggered,
    ResponseCreated,
    ResponseDone,
    SessionUpdated,
)
from duologue.testing.timeline import Timeline
from session_kit import codes, create, detect, times, truncate, update

TIMEOUT = "input_audio_buffer.timeout_triggered"


def idle(timeout_ms: int = 5000, **options: object) -> Timeline:
    t = Timeline()
    t.client_sends(0.1, detect("server_vad", idle_timeout_ms=timeout_ms, **options))
    return t


def greets(t: Timeline, at_s: float = 0.2) -> None:
    """A reply of three words: sent from 0.3 s to 0.4 s after it was asked for, 3 s long."""
    t.engine.says("Hello there, friend.", after_s=0.3, step_s=0.05, word_ms=1000)
    t.client_sends(at_s, create())


@pytest.mark.conformance("C-092", "C-093")
@pytest.mark.parametrize("timeout_ms", [5000, 30000])
def test_silence_after_the_reply_was_played_is_committed_and_answered(timeout_ms: int) -> None:
    t = idle(timeout_ms)
    greets(t)
    t.engine.says("Are you still there?", word_ms=100)
    t.run(3.5 + timeout_ms / 1000 + 2)
    (event,) = t.events(InputAudioBufferTimeoutTriggered)
    assert times(t, InputAudioBufferTimeoutTriggered) == [pytest.approx(3.5 + timeout_ms / 1000)]
    assert event.audio_end_ms - event.audio_start_ms == pytest.approx(timeout_ms, abs=32)
    assert event.audio_start_ms == pytest.approx(3500, abs=32)
    kinds = t.types()
    assert kinds[kinds.index(TIMEOUT) :][:6] == [
        TIMEOUT,
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
        "response.output_item.added",
    ]
    committed, added = t.events(InputAudioBufferCommitted)[0], t.events(ConversationItemAdded)[1]
    assert event.item_id == committed.item_id == added.item.id
    assert added.item.role == "user" and added.item.content[0].transcript is None
    assert [item.role for item in t.engine.history] == ["assistant", "user", "assistant"]
    assert not any(t.engine.history[1].parts[0].pcm or b"x")


@pytest.mark.conformance("C-092", "C-093")
def test_a_client_that_sends_no_sound_is_prompted_by_the_wall_clock() -> None:
    t = idle()
    t.microphone = False
    greets(t)
    t.run(9.0)
    (event,) = t.events(InputAudioBufferTimeoutTriggered)
    assert times(t, InputAudioBufferTimeoutTriggered) == [pytest.approx(8.5)]
    assert (event.audio_start_ms, event.audio_end_ms) == (0, 5000)
    assert len(t.events(ResponseCreated)) == 2


def test_a_reply_that_is_sent_as_slowly_as_it_is_played_ends_with_its_last_piece() -> None:
    t = idle()
    t.engine.says("Well now.", after_s=0.3, step_s=4.0, word_ms=1000)  # pieces at 0.5 and 4.5
    t.client_sends(0.2, create())
    t.run(14.0)
    assert times(t, InputAudioBufferTimeoutTriggered) == [pytest.approx(8.5 + 5)]


def test_a_written_reply_is_played_when_it_is_done() -> None:
    t = idle()
    t.engine.says("Hello there.", after_s=0.3, step_s=0.05, word_ms=1000)
    t.client_sends(0.2, create(output_modalities=["text"]))
    t.run(6.0)
    assert times(t, InputAudioBufferTimeoutTriggered) == [pytest.approx(0.6 + 5)]


@pytest.mark.conformance("C-094")
def test_speech_before_the_timeout_puts_it_off_until_the_next_reply() -> None:
    t = idle()
    greets(t)
    t.user_speaks(7.0, 8.0)
    t.engine.says("Fine.", after_s=0.1, word_ms=1000)
    t.run(14.5)
    assert t.events(InputAudioBufferTimeoutTriggered) == []
    t.run(15.0)  # the answer begins at 8.6 and is a second long
    assert times(t, InputAudioBufferTimeoutTriggered) == [pytest.approx(9.6 + 5, abs=0.05)]


def test_who_interrupts_and_speaks_for_long_is_not_prompted() -> None:
    t = idle()
    greets(t)
    t.user_speaks(0.512, 9.0)  # before the reply is done
    t.run(9.4)
    assert t.events(ResponseDone)[0].response.status == "cancelled"
    assert t.events(InputAudioBufferTimeoutTriggered) == []


def test_nothing_is_prompted_before_the_first_reply() -> None:
    t = idle()
    t.run(20.0)
    assert t.events(InputAudioBufferTimeoutTriggered) == []


def test_the_next_response_puts_it_off() -> None:
    t = idle()
    greets(t)
    greets(t, at_s=8.0)  # half a second before the timeout
    t.run(16.0)
    assert t.events(InputAudioBufferTimeoutTriggered) == []
    t.run(17.0)
    assert times(t, InputAudioBufferTimeoutTriggered) == [pytest.approx(11.3 + 5)]


def test_a_response_out_of_band_neither_arms_nor_disarms_it() -> None:
    t = idle()
    greets(t)
    t.engine.says("Beside it.", word_ms=1000)
    t.client_sends(2.0, create(conversation="none"))
    t.run(9.0)
    assert times(t, InputAudioBufferTimeoutTriggered) == [pytest.approx(8.5)]


@pytest.mark.parametrize(
    "change",
    [
        detect("server_vad"),
        detect("semantic_vad"),
        detect(None),
        detect("server_vad", idle_timeout_ms=6000),
    ],
)
def test_a_change_of_turn_detection_disarms_it(change: dict[str, object]) -> None:
    t = idle()
    greets(t)
    t.client_sends(5.0, change)
    t.run(12.0)
    assert t.events(InputAudioBufferTimeoutTriggered) == []


def test_an_update_that_leaves_turn_detection_alone_does_not() -> None:
    t = idle()
    greets(t)
    t.client_sends(5.0, update(instructions="Be brief."))
    t.run(9.0)
    assert len(t.events(InputAudioBufferTimeoutTriggered)) == 1


def test_a_reply_that_the_client_stops_is_played_no_further() -> None:
    t = idle()
    greets(t)
    t.client_sends(1.0, truncate("item_1", 500))
    t.run(7.0)
    assert times(t, InputAudioBufferTimeoutTriggered) == [pytest.approx(1.0 + 5)]


@pytest.mark.parametrize(("interrupts", "played_s"), [(True, 4.9), (False, 10.5)])
def test_what_is_still_played_when_the_user_speaks_is_stopped_if_speech_interrupts(
    interrupts: bool, played_s: float
) -> None:
    t = idle(interrupt_response=interrupts)
    t.engine.says("A long tale.", after_s=0.3, step_s=0.05, word_ms=3000)  # played until 9.5
    t.client_sends(0.2, create())
    t.user_speaks(2.016, 3.328)
    t.engine.says("Fine.", after_s=0.072, word_ms=1000)  # from 3.9
    t.run(20.0)
    found = times(t, InputAudioBufferTimeoutTriggered)
    assert found[0] == pytest.approx(played_s + 5, abs=0.05)


def test_a_call_is_the_client_s_to_answer_and_prompts_nobody() -> None:
    t = idle()
    t.engine.answers(
        Say("One moment.", bytes(48_000), 11),
        Call(0, name="look", delta="{}"),
        Call(0, final=True),
        Done(),
    )
    t.client_sends(0.2, create())
    t.run(20.0)
    assert len(t.events(ResponseDone)) == 1
    assert t.events(InputAudioBufferTimeoutTriggered) == []


def test_it_prompts_again_and_again() -> None:
    t = idle()
    greets(t)
    t.engine.says("Hello?", after_s=0.1, word_ms=1000)
    t.run(15.5)
    first, second = times(t, InputAudioBufferTimeoutTriggered)
    assert second - first == pytest.approx(0.1 + 1 + 5)


def test_switches_of_the_vad_do_not_concern_it() -> None:
    t = idle(create_response=False, interrupt_response=False)
    greets(t)
    t.run(9.0)
    assert len(t.events(ResponseCreated)) == 2


def test_a_word_that_was_just_beginning_is_not_lost() -> None:
    t = idle()
    greets(t)
    t.user_speaks(8.48, 9.5)  # its first window is heard before the timeout, its second after it
    t.run(11.0)
    spoken = t.events(InputAudioBufferCommitted)[1].item_id
    (pcm,) = (item.parts[0].pcm for item in t.engine.history if item.id == spoken)
    assert pcm is not None and len(pcm) / 48 > 1000 + 300


@pytest.mark.conformance("C-056")
def test_no_timeout_is_a_timeout_of_null() -> None:
    t = idle()
    t.client_sends(0.2, detect("server_vad", idle_timeout_ms=None))
    t.run(0.3)
    assert t.events(SessionUpdated)[1].session.audio.input.turn_detection.idle_timeout_ms is None
    assert t.events(Error) == [] and codes(t) == []


def away(t: Timeline, start_s: float, end_s: float, back: Found | Resumed | None = None) -> None:
    """The connection is lost, and the client comes back."""
    t.enter(start_s, Lost())
    t.enter(end_s, back or Resumed())
    t.microphone = False


@pytest.mark.parametrize("back", [Resumed(), Found()])
def test_nobody_is_prompted_who_is_away_and_the_time_away_does_not_count(
    back: Found | Resumed,
) -> None:
    t = idle()
    greets(t)
    away(t, 6.0, 40.0, back)  # 2.5 s before the timeout
    t.run(42.4)
    assert t.events(InputAudioBufferTimeoutTriggered) == []
    t.run(43.0)
    assert times(t, InputAudioBufferTimeoutTriggered) == [pytest.approx(40.0 + 2.5)]


def test_while_the_client_is_away_only_the_session_s_end_is_waited_for() -> None:
    t = idle()
    greets(t)
    t.enter(6.0, Lost())
    t.enter(7.0, Lost())  # said twice: it is away since the first
    t.run(8.0)
    assert t.session.deadline == t.config.max_s
    t.enter(9.0, Resumed())
    t.microphone = False
    t.run(9.5)
    assert t.session.deadline == pytest.approx(9.0 + 2.5)


def test_what_was_said_while_the_client_was_away_is_played_when_it_is_back() -> None:
    t = idle()
    greets(t)
    away(t, 0.3, 60.3)  # the reply of 3 s is generated from 0.5 on
    t.run(70.0)
    assert t.events(ResponseDone)[0].response.status == "completed"
    found = times(t, InputAudioBufferTimeoutTriggered)
    assert found == [pytest.approx(60.3 + 3 + 5)]


def test_the_silence_of_who_was_away_begins_when_playing_has_ended_for_them() -> None:
    t = idle()
    greets(t)
    away(t, 2.0, 30.0)
    t.run(30.0)
    t.microphone = True
    t.run(37.0)
    (event,) = t.events(InputAudioBufferTimeoutTriggered)
    assert times(t, InputAudioBufferTimeoutTriggered) == [pytest.approx(30.0 + 1.5 + 5)]
    assert event.audio_end_ms - event.audio_start_ms == pytest.approx(5000, abs=32)


def test_a_connection_that_takes_the_place_of_a_live_one_was_never_away() -> None:
    t = idle()
    greets(t)
    t.enter(6.0, Resumed())
    t.run(9.0)
    assert times(t, InputAudioBufferTimeoutTriggered) == [pytest.approx(8.5)]
