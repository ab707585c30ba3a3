"""How long an upstream that says nothing is waited for."""

from duologue.engines.patience import MOMENT_S, SLOWEST_BYTES_PER_S, Patience


def test_all_of_it_is_there_again_when_the_upstream_gets_on() -> None:
    patience = Patience(30)
    patience.spend(29)
    patience.renew()
    assert patience.left_s == 30


def test_bytes_of_an_event_bring_the_time_that_they_take() -> None:
    patience = Patience(30)
    patience.spend(10)
    patience.carried(SLOWEST_BYTES_PER_S)
    assert patience.left_s == 21
    patience.carried(100 * SLOWEST_BYTES_PER_S)
    assert patience.left_s == 30


def test_after_a_long_wait_there_is_a_moment_for_the_first_event_and_only_that() -> None:
    patience = Patience(30)
    patience.spend(29.5)
    patience.begin()
    assert patience.left_s == MOMENT_S
    patience.spend(MOMENT_S)
    patience.begin()
    assert patience.left_s == 0
    patience.renew()
    patience.spend(30)
    patience.begin()
    assert patience.left_s == MOMENT_S


def test_a_moment_is_no_longer_than_the_whole() -> None:
    patience = Patience(0.1)
    patience.spend(0.1)
    patience.begin()
    assert patience.left_s == 0.1
