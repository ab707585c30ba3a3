import pytest

from duologue.talk_client.playout import Playout
from talk_client.signals import silence, tone


def test_sound_plays_after_what_arrived_before_it() -> None:
    playout = Playout()
    playout.add(silence(300), 10.0)
    playout.add(tone(100), 10.1)
    assert playout.first_sound == pytest.approx(10.3, abs=0.005)
    assert playout.ends == pytest.approx(10.4)


def test_sound_that_comes_late_plays_when_it_comes() -> None:
    playout = Playout()
    playout.add(silence(100), 10.0)
    playout.add(tone(100), 11.0)
    assert playout.first_sound == pytest.approx(11.0, abs=0.005)


def test_near_silence_is_no_sound() -> None:
    playout = Playout()
    playout.add(tone(100, amplitude=100), 10.0)
    assert playout.first_sound is None
