"""What follows from the user's turn: an answer, now, later or not at all, and an interruption."""

import pytest

from duologue.core.settings import SessionConfig
from duologue.core.talk import Done, Say
from duologue.events import (
    Error,
    InputAudioBufferCommitted,
    InputAudioBufferSpeechStarted,
    InputAudioBufferSpeechStopped,
    ResponseCreated,
    ResponseDone,
)
from duologue.testing.timeline import Timeline
from session_kit import create, detect, times, vad

LONG = "On and on it goes without an end."  # eight words, 0.4 s between them


@pytest.mark.conformance("C-087")
def test_a_turn_is_committed_and_not_answered_without_create_response() -> None:
    t = vad(create_response=False)
    t.user_speaks(0.5, 1.5)
    t.run(4.0)
    assert len(t.events(InputAudioBufferCommitted)) == 1
    assert t.events(ResponseCreated) == []


@pytest.mark.parametrize("create_response", [True, False])
@pytest.mark.parametrize("interrupt_response", [True, False])
@pytest.mark.conformance("C-087", "C-088", "C-089", "C-096")
def test_the_two_switches_in_all_combinations(
    create_response: bool, interrupt_response: bool
) -> None:
    t = vad(create_response=create_response, interrupt_response=interrupt_response)
    t.engine.says(LONG, step_s=0.4)
    t.engine.says("Yes?")
    t.client_sends(0.1, create())
    t.user_speaks(0.512, 1.504)  # while the response runs, until 3.2 s
    t.run(6.0)
    assert len(t.events(InputAudioBufferSpeechStarted)) == 1
    assert len(t.events(InputAudioBufferSpeechStopped)) == 1
    assert len(t.events(InputAudioBufferCommitted)) == 1
    statuses = [event.response.status for event in t.events(ResponseDone)]
    if not interrupt_response:
        assert statuses == ["completed"], "the turn's end finds a response running: skipped"
    elif create_response:
        assert statuses == ["cancelled", "completed"]
    else:
        assert statuses == ["cancelled"]
    assert t.events(Error) == []


def answering(**settings: object) -> Timeline:
    config = SessionConfig(id="sess_late", model="scripted", turn_during_response="answer")
    t = Timeline(config)
    t.client_sends(0.05, detect("server_vad", interrupt_response=False, **settings))
    t.engine.says(LONG, step_s=0.4)
    t.engine.says("Yes?")
    t.client_sends(0.1, create())
    return t


def test_a_turn_during_a_response_is_answered_when_that_is_done_if_so_configured() -> None:
    t = answering()
    t.user_speaks(0.512, 1.504)
    t.run(6.0)
    first_done = times(t, ResponseDone)[0]
    assert times(t, ResponseCreated) == [0.1, first_done]
    assert [item.role for item in t.engine.history] == ["assistant", "user", "assistant"]


def test_a_turn_still_going_on_when_the_response_is_done_is_answered_at_its_end() -> None:
    t = answering()
    t.user_speaks(0.512, 1.504)
    t.user_speaks(2.528, 4.0)  # again, and longer than the response
    t.run(8.0)
    stopped = times(t, InputAudioBufferSpeechStopped)
    assert times(t, ResponseCreated) == [0.1, stopped[1]]


def test_a_cancelled_response_is_followed_by_the_answer_that_waited() -> None:
    t = answering()
    t.user_speaks(0.512, 1.504)
    t.client_sends(2.5, {"type": "response.cancel"})
    t.run(6.0)
    assert times(t, ResponseCreated) == [0.1, 2.5]


def test_no_answer_waits_where_none_is_wanted() -> None:
    t = answering(create_response=False)
    t.user_speaks(0.512, 1.504)
    t.run(6.0)
    assert times(t, ResponseCreated) == [0.1]


def test_other_turn_detection_forgets_the_answer_that_waited() -> None:
    t = answering()
    t.user_speaks(0.512, 1.504)
    t.client_sends(2.5, detect(None))
    t.run(6.0)
    assert times(t, ResponseCreated) == [0.1]


@pytest.mark.conformance("C-158")
def test_barge_in_before_anything_was_said_gives_an_empty_response() -> None:
    t = Timeline()
    t.engine.says("Too late.", after_s=5.0)
    t.user_speaks(0.5, 1.0)
    t.user_speaks(1.8, 2.2)
    t.run(2.1)
    assert t.events(ResponseDone)[0].response.output == ()


@pytest.mark.conformance("C-152")
def test_an_interruption_spares_out_of_band_responses() -> None:
    t = Timeline()
    t.engine.says("Beside it, for a long time.", after_s=0.5, step_s=0.3)
    t.client_sends(0.1, {"type": "response.create", "response": {"conversation": "none"}})
    t.user_speaks(0.8, 1.2)
    t.run(1.9)
    t.engine.says("Answer.")
    t.run(5.0)
    statuses = [event.response.status for event in t.events(ResponseDone)]
    assert statuses == ["completed"]


def test_stages_of_a_voice_turn_are_reported_from_the_end_of_speech() -> None:
    t = Timeline()
    t.engine.answers(
        Say("Hi", b"\0" * 4800, 2), Done(stages={"transcript": 1.74, "first_token": 1.9})
    )
    t.user_speaks(0.512, 1.536)
    t.run(4.0)
    stages = t.events(ResponseDone)[0].response.duologue.stages_ms
    assert stages["transcript"] == 204 and stages["first_token"] == 364
    assert stages["decision"] == 416 and stages["first_audio"] == 716
