"""Limits: two buckets with exact numbers, and what a session does when they are used up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.core import inputs
from duologue.core.rate_limits import UNLIMITED, Allowance, RateLimiter
from duologue.core.talk import Began, Done, Say
from duologue.events import Error, RateLimit, RateLimitsUpdated, ResponseDone
from duologue.testing.timeline import Timeline
from session_kit import add, codes, create, user


def test_a_key_without_limits_may_always_and_shows_nothing() -> None:
    limiter = RateLimiter()
    limiter.reserve(1_000_000, 1.0)
    assert limiter.allowance == UNLIMITED
    assert limiter.shown(1.0) == ()


def test_requests_come_back_one_by_one() -> None:
    limiter = RateLimiter(requests_per_minute=3)
    for _ in range(3):
        assert limiter.allowance.open_at == 0.0
        limiter.reserve(0, 100.0)
    assert limiter.allowance == Allowance(120.0, "requests", 3)
    assert limiter.shown(100.0) == (
        RateLimit(name="requests", limit=3, remaining=0, reset_seconds=60.0),
    )
    assert limiter.shown(130.0)[0].remaining == 1
    assert limiter.shown(500.0)[0] == RateLimit(
        name="requests", limit=3, remaining=3, reset_seconds=0.0
    )


def test_tokens_are_reserved_at_the_beginning_and_settled_by_what_was_used() -> None:
    limiter = RateLimiter(tokens_per_minute=600)
    reserved = limiter.reserve(400, 10.0)
    assert limiter.shown(10.0)[0].remaining == 200
    limiter.settle(reserved, 100, 10.0)
    assert limiter.shown(10.0)[0] == RateLimit(
        name="tokens", limit=600, remaining=500, reset_seconds=10.0
    )


def test_more_than_there_was_is_paid_off_by_waiting() -> None:
    limiter = RateLimiter(tokens_per_minute=60)
    reserved = limiter.reserve(1000, 0.0)
    assert reserved == 60
    limiter.settle(reserved, 90, 0.0)
    assert limiter.shown(0.0)[0].remaining == 0
    assert limiter.shown(0.0)[0].reset_seconds == 90.0
    assert limiter.allowance == Allowance(31.0, "tokens", 60)


def test_what_was_used_stays_used_when_a_limit_changes() -> None:
    limiter = RateLimiter(requests_per_minute=10)
    limiter.reserve(0, 0.0)
    limiter.reserve(0, 0.0)
    limiter.configure(5, 100, 0.0)
    assert [(one.name, one.remaining) for one in limiter.shown(0.0)] == [
        ("requests", 3),
        ("tokens", 100),
    ]
    limiter.configure(None, None, 0.0)
    assert limiter.allowance == UNLIMITED


@given(
    limit=st.integers(1, 500),
    uses=st.lists(st.tuples(st.floats(0, 30), st.integers(0, 900)), max_size=40),
)
def test_over_time_no_more_is_begun_than_the_limit_allows(
    limit: int, uses: list[tuple[float, int]]
) -> None:
    limiter = RateLimiter(tokens_per_minute=limit)
    now, used, most = 0.0, 0, 0
    for pause_s, tokens in uses:
        now += pause_s
        if limiter.allowance.open_at > now:
            continue
        # Whatever began before this one fits into what has come in so far.
        assert used <= limit + now * limit / 60 + 1e-6
        limiter.settle(limiter.reserve(1000, now), tokens, now)
        used, most = used + tokens, max(most, tokens)
        (shown,) = limiter.shown(now)
        assert 0 <= shown.remaining <= limit
        assert shown.reset_seconds >= 0
    assert used <= limit + now * limit / 60 + most + 1e-6


def exhausted(until_s: float) -> inputs.AllowanceChanged:
    return inputs.AllowanceChanged(Allowance(until_s, "requests", 3))


def test_a_response_beyond_the_limit_is_refused_with_the_time_to_wait() -> None:
    t = Timeline()
    t.engine.says("Yes.")
    t.enter(0.1, exhausted(until_s=5.0))
    t.client_sends(0.2, add(user("Hello")))
    t.client_sends(1.0, {**create(), "event_id": "mine"})
    t.client_sends(5.0, create())
    t.run(7.0)
    (error,) = t.events(Error)
    assert (error.error.type, error.error.code) == ("rate_limit_error", "rate_limit_exceeded")
    assert error.error.event_id == "mine"
    assert "Please try again in 4.000s." in error.error.message
    (done,) = t.events(ResponseDone)
    assert done.response.status == "completed"


def test_an_automatic_response_beyond_the_limit_fails_and_says_why() -> None:
    t = Timeline()
    t.engine.says("Yes.")
    t.enter(0.1, exhausted(until_s=60.0))
    t.user_speaks(0.5, 1.5)
    t.run(4.0)
    assert codes(t) == []
    assert t.engine.asks == []
    (done,) = t.events(ResponseDone)
    assert done.response.status == "failed"
    error = done.response.status_details.error
    assert (error.type, error.code) == ("rate_limit_error", "rate_limit_exceeded")
    assert "Please try again in" in error.message


def test_the_session_answers_again_when_the_limit_allows_it() -> None:
    t = Timeline()
    t.engine.says("Yes.")
    t.enter(0.1, exhausted(until_s=3.0))
    t.user_speaks(0.5, 1.5)
    t.user_speaks(3.5, 4.5)
    t.run(7.0)
    assert [done.response.status for done in t.events(ResponseDone)] == ["failed", "completed"]


@pytest.mark.conformance("C-155")
def test_what_is_left_is_told_to_the_client() -> None:
    t = Timeline()
    limits = (RateLimit(name="tokens", limit=10, remaining=3, reset_seconds=42.0),)
    t.enter(0.1, inputs.LimitsUpdated(limits))
    t.run(0.2)
    assert t.events(RateLimitsUpdated)[0].rate_limits == limits


def test_a_response_that_ends_says_what_it_used() -> None:
    t = Timeline()
    t.engine.answers(Began({"text": 10, "audio": 5}), Say("Yes.", tokens=2), Done())
    t.client_sends(0.1, create())
    t.run(2.0)
    assert t.spent == [17]


@pytest.mark.parametrize("goodbye", [None, inputs.Dismissed("invalid_api_key", "Revoked.", 3000)])
def test_a_response_that_the_end_of_its_session_cuts_off_says_what_it_had_used(
    goodbye: inputs.Input | None,
) -> None:
    t = Timeline()
    began = Began({"text": 10, "audio": 5})
    t.engine.answers(began, Say("Yes.", tokens=2), Say(" No.", tokens=9), step_s=0.3)
    t.engine.answers(began, step_s=0.3)
    t.client_sends(0.1, create(output_modalities=["text"]))
    t.client_sends(0.1, create(output_modalities=["text"], conversation="none"))
    if goodbye:
        t.enter(0.85, goodbye)
    t.enter(0.9, inputs.Disconnected())
    t.run(3.0)
    assert sorted(t.spent) == [15, 17]
    assert t.events(ResponseDone) == []  # nobody is there to be told


def test_a_limit_that_stays_keeps_what_is_left_of_it_and_the_latest_one_holds() -> None:
    limiter = RateLimiter(requests_per_minute=60, tokens_per_minute=60)
    limiter.settle(limiter.reserve(60, 10.0), 90, 10.0)
    limiter.configure(60, 60, 10.0)
    assert limiter.allowance == Allowance(41.0, "tokens", 60)
    only_requests = RateLimiter(requests_per_minute=1)
    only_requests.settle(only_requests.reserve(5, 10.0), 90, 10.0)
    assert only_requests.allowance == Allowance(70.0, "requests", 1)
    both = RateLimiter(requests_per_minute=1, tokens_per_minute=60)
    both.settle(both.reserve(60, 10.0), 60, 10.0)
    assert both.allowance == Allowance(70.0, "requests", 1)
