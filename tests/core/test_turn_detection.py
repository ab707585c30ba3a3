"""Turn decisions from scores alone, on audio time."""

from duologue.core.turn_detection import TurnDetection

WINDOW_MS = 32


def decisions(scores: list[float], silence_ms: int = 96) -> list[str | None]:
    detector = TurnDetection(threshold=0.5, prefix_padding_ms=300, silence_duration_ms=silence_ms)
    starts = range(0, len(scores) * WINDOW_MS, WINDOW_MS)
    return [
        detector.hear(score, start, start + WINDOW_MS)
        for score, start in zip(scores, starts, strict=True)
    ]


def test_one_voiced_window_is_a_click_and_two_are_speech() -> None:
    assert decisions([0.9, 0.1, 0.9, 0.9]) == [None, None, None, "started"]


def test_a_pause_that_lasts_is_the_end_of_the_turn() -> None:
    assert decisions([0.9, 0.9, 0.1, 0.1, 0.1]) == [None, "started", "paused", None, "stopped"]


def test_a_pause_that_ends_is_none() -> None:
    assert decisions([0.9, 0.9, 0.1, 0.9, 0.1]) == [None, "started", "paused", "resumed", "paused"]


def test_between_the_thresholds_a_state_stays_what_it_is() -> None:
    assert decisions([0.9, 0.9, 0.4, 0.1, 0.4, 0.4]) == [
        *(None, "started", None, "paused"),
        *(None, "stopped"),
    ]


def test_a_silence_shorter_than_a_window_ends_the_turn_with_its_first() -> None:
    assert decisions([0.9, 0.9, 0.1], silence_ms=0) == [None, "started", "stopped"]


def test_new_settings_go_on_with_the_speech_under_way() -> None:
    old = TurnDetection(threshold=0.5, prefix_padding_ms=300, silence_duration_ms=500)
    old.hear(0.9, 0, 32)
    old.hear(0.9, 32, 64)
    new = TurnDetection(threshold=0.5, prefix_padding_ms=300, silence_duration_ms=64)
    new.resume(old)
    assert new.hear(0.1, 64, 96) == "paused"
    assert new.hear(0.1, 96, 128) == "stopped"


def test_an_answer_about_a_pause_that_is_over_decides_nothing() -> None:
    detector = TurnDetection(threshold=0.5, prefix_padding_ms=300, silence_duration_ms=96)
    assert detector.judge(1.0) is None
    assert not detector.speaking
