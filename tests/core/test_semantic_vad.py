"""`semantic_vad`: a pause that lasts is judged once, and the judgement decides how long to wait."""

import pytest

from duologue.core.inputs import TurnScored
from duologue.core.outputs import ScoreTurn
from duologue.events import (
    Error,
    InputAudioBufferCommitted,
    InputAudioBufferSpeechStarted,
    InputAudioBufferSpeechStopped,
    ResponseCreated,
    SessionUpdated,
)
from duologue.testing.timeline import Timeline
from session_kit import detect, times, update

WINDOW_S = 0.032
ASKED_S = 0.224
"""Seven windows: the first end of a window at which the pause has lasted 200 ms."""


def semantic(eagerness: str = "auto", **options: object) -> Timeline:
    t = Timeline()
    t.client_sends(0.1, detect("semantic_vad", eagerness=eagerness, **options))
    return t


@pytest.mark.conformance("C-055")
@pytest.mark.parametrize("eagerness", ["low", "medium", "high", "auto"])
def test_each_eagerness_is_accepted_and_echoed(eagerness: str) -> None:
    t = semantic(eagerness)
    t.run(0.2)
    echoed = t.events(SessionUpdated)[0].session.audio.input.turn_detection
    assert echoed.eagerness == eagerness
    assert echoed.create_response is True and echoed.interrupt_response is True


def test_a_turn_judged_complete_ends_with_the_judgement() -> None:
    t = semantic()
    t.turn_scores = [0.9]
    t.user_speaks(0.512, 2.016)
    t.run(4.0)
    assert times(t, InputAudioBufferSpeechStopped) == [pytest.approx(2.016 + ASKED_S + 0.1)]
    assert len(t.judged) == 1 and len(t.events(ResponseCreated)) == 1
    assert t.events(InputAudioBufferCommitted)[0].item_id == t.engine.history[0].id


def test_the_model_hears_the_turn_from_its_padding_to_the_pause() -> None:
    t = semantic()
    t.user_speaks(0.512, 2.016)
    t.run(2.3)
    heard_ms = len(t.judged[0].pcm) / 48
    assert heard_ms == pytest.approx((2.016 + ASKED_S - 0.512) * 1000 + 300, abs=32)


@pytest.mark.conformance("C-091")
@pytest.mark.parametrize(
    ("eagerness", "longest_s"), [("low", 8), ("medium", 4), ("auto", 4), ("high", 2)]
)
@pytest.mark.parametrize("scores", [[0.1], []], ids=["incomplete", "no_answer"])
def test_a_turn_not_judged_complete_waits_for_the_longest_silence(
    eagerness: str, longest_s: int, scores: list[float]
) -> None:
    t = semantic(eagerness)
    t.turn_scores = scores
    t.user_speaks(0.512, 2.016)
    t.run(12.0)
    (stopped,) = times(t, InputAudioBufferSpeechStopped)
    assert longest_s <= stopped - 2.016 + 1e-6 <= longest_s + WINDOW_S
    assert len(t.judged) == 1, "asked once a pause"


def test_a_pause_for_thought_is_one_turn_and_the_next_pause_is_judged_anew() -> None:
    t = semantic()
    t.turn_scores = [0.1, 0.9]
    t.user_speaks(0.512, 2.016)
    t.user_speaks(3.616, 4.512)  # "I would like to … <1.6 s> see my orders."
    t.run(6.0)
    assert len(t.judged) == 2 and len(t.judged[1].pcm) > len(t.judged[0].pcm)
    assert times(t, InputAudioBufferSpeechStopped) == [pytest.approx(4.512 + ASKED_S + 0.1)]
    assert len(t.events(InputAudioBufferCommitted)) == 1


def test_a_short_pause_inside_a_sentence_is_not_asked_about() -> None:
    t = semantic()
    t.user_speaks(0.512, 1.504)
    t.user_speaks(1.696, 3.008)  # 192 ms in between
    t.run(3.1)
    assert t.judged == []


def test_a_judgement_of_a_pause_that_is_over_is_not_heeded() -> None:
    t = semantic()
    t.turn_scores = [0.9]
    t.turn_score_after_s = 0.5  # the user goes on after 0.4 s
    t.user_speaks(0.512, 2.016)
    t.user_speaks(2.432, 4.0)
    t.run(4.1)
    assert t.engine.cancelled == [t.judged[0].job]
    assert t.events(InputAudioBufferSpeechStopped) == []


def test_a_judgement_of_an_earlier_pause_says_nothing_about_this_one() -> None:
    t = semantic()
    t.turn_scores = [0.9]
    t.turn_score_after_s = 0.816
    t.user_speaks(0.512, 2.016)  # asked at 2.24
    t.user_speaks(2.432, 2.816)  # asked again at 3.04, and answered about the first at 3.056
    t.run(4.0)
    assert len(t.judged) == 2
    assert t.events(InputAudioBufferSpeechStopped) == []


def test_a_judgement_of_a_turn_that_is_over_is_not_heeded() -> None:
    t = semantic()
    t.turn_scores = [0.9]
    t.user_speaks(0.512, 2.016)
    t.client_sends(2.3, {"type": "input_audio_buffer.commit"})  # before the answer at 2.34
    t.run(4.0)
    assert len(t.events(InputAudioBufferCommitted)) == 1 and t.events(Error) == []
    assert t.events(InputAudioBufferSpeechStopped) == []


def test_a_judgement_that_nobody_asked_for_changes_nothing() -> None:
    t = semantic()
    t.user_speaks(0.512, 2.016)
    t.enter(2.1, TurnScored("job_never", 1.0))
    t.run(2.2)
    assert t.events(InputAudioBufferSpeechStopped) == []


def test_one_complete_word_gets_longer_to_become_a_sentence() -> None:
    t = semantic()
    t.turn_scores = [0.95, 0.95]
    t.user_speaks(0.512, 1.024)
    t.user_speaks(1.024 + 0.512, 3.008)  # "Stop. <half a second> That's not what I asked for."
    t.run(5.0)
    assert times(t, InputAudioBufferSpeechStopped) == [pytest.approx(3.008 + ASKED_S + 0.1)]


@pytest.mark.parametrize(("eagerness", "silence_s"), [("low", 1.0), ("medium", 0.65)])
def test_a_single_complete_word_ends_after_its_patience(eagerness: str, silence_s: float) -> None:
    t = semantic(eagerness)
    t.turn_scores = [0.95]
    t.user_speaks(0.512, 1.024)
    t.run(4.0)
    (stopped,) = times(t, InputAudioBufferSpeechStopped)
    assert silence_s <= stopped - 1.024 + 1e-6 <= silence_s + WINDOW_S


def test_low_eagerness_waits_longer_even_for_a_complete_turn() -> None:
    t = semantic("low")
    t.turn_scores = [0.95]
    t.user_speaks(0.512, 2.016)
    t.run(4.0)
    (stopped,) = times(t, InputAudioBufferSpeechStopped)
    assert 0.6 <= stopped - 2.016 + 1e-6 <= 0.6 + WINDOW_S


def test_the_engine_is_told_what_to_expect_before_the_turn_is_judged() -> None:
    t = semantic()
    t.turn_scores = [0.1, 0.9]
    t.user_speaks(0.512, 2.016)
    t.user_speaks(3.008, 4.0)
    t.run(5.0)
    first, withdrawn, second = t.engine.expected
    assert first is not None and second is not None and withdrawn is None
    assert first.id == second.id == t.engine.history[0].id


def test_server_vad_asks_nobody() -> None:
    t = Timeline()
    t.client_sends(0.1, detect("server_vad", silence_duration_ms=1000))
    t.user_speaks(0.512, 2.016)
    t.run(4.0)
    assert t.judged == [] and len(t.events(InputAudioBufferCommitted)) == 1


def test_server_vad_in_place_of_semantic_in_a_pause_ends_the_turn_by_silence() -> None:
    t = semantic("low")
    t.turn_scores = [0.1]
    t.user_speaks(0.512, 2.016)
    t.client_sends(2.5, detect("server_vad", silence_duration_ms=800))
    t.run(4.0)
    (stopped,) = times(t, InputAudioBufferSpeechStopped)
    assert 0.8 <= stopped - 2.016 + 1e-6 <= 0.8 + WINDOW_S
    assert len(t.events(InputAudioBufferSpeechStarted)) == 1


def test_another_eagerness_in_a_pause_asks_again() -> None:
    t = semantic("low")
    t.turn_scores = [0.1, 0.9]
    t.user_speaks(0.512, 2.016)
    t.client_sends(2.5, detect("semantic_vad", eagerness="high"))
    t.run(4.0)
    assert len(t.judged) == 2
    assert times(t, InputAudioBufferSpeechStopped)[0] < 2.7


def test_an_update_that_leaves_turn_detection_alone_does_not_ask_again() -> None:
    t = semantic()
    t.turn_scores = [0.1]
    t.user_speaks(0.512, 2.016)
    t.client_sends(2.5, update(instructions="Be brief."))
    t.run(3.5)
    assert [type(output) for output in t.judged] == [ScoreTurn]
