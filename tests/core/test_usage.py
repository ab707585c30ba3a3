"""Usage: it adds up however a response ends, and says what was used by then."""

from typing import Any

import pytest

from duologue.core import inputs
from duologue.core.talk import Began, Call, Done, Say
from duologue.events import ResponseCreated, ResponseDone, Usage
from duologue.testing.timeline import Timeline
from session_kit import check_usage, create

HALF_A_SECOND = bytes(24_000)
BEGAN = Began({"text": 70, "audio": 30}, {"text": 64})
SAYS = [Say("One ", HALF_A_SECOND, 4, tokens=3), Say("two.", HALF_A_SECOND[:2000], 8, tokens=2)]


def usage_of(t: Timeline, request: dict[str, Any] | None = None) -> Usage:
    """The usage of the only response; it must add up."""
    t.client_sends(0.1, request or create())
    t.run(2.0)
    assert t.events(ResponseCreated)[0].response.usage is None
    usage = t.events(ResponseDone)[0].response.usage
    check_usage(usage)
    assert isinstance(usage, Usage)
    return usage


@pytest.mark.conformance("C-154")
def test_a_completed_response_says_what_it_read_wrote_and_voiced() -> None:
    t = Timeline()
    t.engine.answers(BEGAN, *SAYS, Done(tokens=1))
    usage = usage_of(t)
    assert (usage.input_tokens, usage.input_token_details.cached_tokens) == (100, 64)
    assert usage.output_token_details.text_tokens == 6
    assert usage.output_token_details.audio_tokens == 11  # 542 ms at one for 50 ms
    assert usage.total_tokens == 117


@pytest.mark.conformance("C-154")
def test_a_cancelled_response_says_what_it_had_used_by_then() -> None:
    t = Timeline()
    t.engine.answers(BEGAN, *SAYS, after_s=0.3, step_s=0.3)
    t.client_sends(0.8, {"type": "response.cancel"})
    usage = usage_of(t)
    assert usage.input_tokens == 100 and usage.input_token_details.cached_tokens == 64
    assert usage.output_token_details.text_tokens == 3
    assert usage.output_token_details.audio_tokens == 10


@pytest.mark.conformance("C-154")
def test_a_failed_response_says_what_it_had_used_by_then() -> None:
    t = Timeline()
    t.engine.answers(BEGAN, SAYS[0], inputs.ReplyFailed("", "engine_error", "out of tea"))
    usage = usage_of(t)
    assert (usage.input_tokens, usage.output_tokens) == (100, 13)


@pytest.mark.conformance("C-154", "C-158")
def test_a_response_that_had_not_begun_used_nothing() -> None:
    t = Timeline()
    t.client_sends(0.5, {"type": "response.cancel"})
    assert usage_of(t) == Usage()
    assert t.events(ResponseDone)[0].response.output == ()


def test_a_written_response_has_no_audio_tokens_whatever_the_engine_sends() -> None:
    t = Timeline()
    t.engine.answers(BEGAN, *SAYS, Done())
    usage = usage_of(t, create(output_modalities=["text"]))
    assert usage.output_token_details.audio_tokens == 0
    assert usage.output_token_details.text_tokens == 5


def test_function_calls_count_as_text() -> None:
    t = Timeline()
    t.engine.answers(BEGAN, Call(0, name="f", delta="{}", tokens=9), Call(0, final=True), Done())
    assert usage_of(t).output_token_details.text_tokens == 9


def test_more_cached_than_read_is_not_believed() -> None:
    t = Timeline()
    t.engine.answers(Began({"text": 3}, {"text": 9, "audio": 9}), Done())
    assert usage_of(t).input_token_details.cached_tokens == 3
