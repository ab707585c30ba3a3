"""What a step takes lately, in simulated time."""

from duologue.engines.moshi.pace import FRESH_S, MEASURED_STEPS, Pace


def stepped(pace: Pace, took_s: float, count: int, begun_s: float) -> float:
    """Steps one after another; the time at which the last has ended."""
    now_s = begun_s
    for _ in range(count):
        now_s += took_s
        pace.note(took_s, now_s)
    return now_s


def test_nothing_is_known_before_enough_steps() -> None:
    pace = Pace()
    now_s = stepped(pace, 0.1, MEASURED_STEPS - 1, 1000.0)
    assert pace.step_s(now_s) == 0.0
    pace.note(0.1, now_s + 0.1)
    assert pace.step_s(now_s + 0.1) == 0.1


def test_a_machine_that_is_behind_is_known_however_long_a_step_takes() -> None:
    pace = Pace()
    now_s = stepped(pace, 2 * FRESH_S, MEASURED_STEPS, 1000.0)
    assert pace.step_s(now_s + FRESH_S) == 2 * FRESH_S


def test_slow_steps_before_a_pause_keep_nobody_out() -> None:
    pace = Pace()
    now_s = stepped(pace, 0.2, MEASURED_STEPS, 1000.0)
    assert pace.step_s(now_s + FRESH_S) == 0.2
    assert pace.step_s(now_s + FRESH_S + 0.1) == 0.0


def test_steps_after_a_pause_are_not_judged_with_those_before_it() -> None:
    pace = Pace()
    now_s = stepped(pace, 0.2, MEASURED_STEPS, 1000.0)
    now_s = stepped(pace, 0.01, 3, now_s + FRESH_S + 0.1)
    assert pace.step_s(now_s) == 0.0
    now_s = stepped(pace, 0.01, MEASURED_STEPS - 3, now_s)
    assert pace.step_s(now_s) == 0.01


def test_one_bad_moment_is_not_taken_for_the_pace() -> None:
    pace = Pace()
    now_s = stepped(pace, 0.01, MEASURED_STEPS, 1000.0)
    now_s = stepped(pace, 0.5, 3, now_s)
    assert pace.step_s(now_s) == 0.01
