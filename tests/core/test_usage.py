"""Usage: it adds up however a response ends, and says what was used by then."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.core import inputs
from duologue.core.settings import SessionConfig
from duologue.core.talk import Began, Call, Done, Say
from duologue.core.usage import MOST_WINDOWS
from duologue.events import (
    IncompleteDetails,
    ResponseCreated,
    ResponseDone,
    ResponseFunctionCallArgumentsDone,
    ResponseOutputAudioDelta,
    ResponseOutputTextDone,
    Usage,
)
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


# The limit of a response, on what usage counts


def spoken_samples(t: Timeline) -> int:
    return sum(len(event.delta) // 2 for event in t.events(ResponseOutputAudioDelta))


@pytest.mark.conformance("C-144", "C-154")
@given(
    limit=st.integers(1, 40),
    pieces=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 900)), max_size=8),
    said_late=st.integers(0, 9),
    spoken=st.booleans(),
)
def test_no_response_uses_more_than_its_limit_and_none_is_cut_within_it(
    limit: int, pieces: list[tuple[int, int]], said_late: int, spoken: bool
) -> None:
    says = [Say("word ", bytes(48 * ms), 4, tokens=tokens) for tokens, ms in pieces]
    t = Timeline()
    t.engine.answers(BEGAN, *says, Done(tokens=said_late))
    modality = "audio" if spoken else "text"
    request = create(max_output_tokens=limit, output_modalities=[modality])
    usage = usage_of(t, request)
    text = sum(tokens for tokens, _ in pieces) + said_late
    sound = -(-sum(ms for _, ms in pieces) // 50) if spoken else 0
    assert usage.output_tokens == min(limit, text + sound)
    response = t.events(ResponseDone)[0].response
    assert response.max_output_tokens == limit
    assert usage.output_token_details.audio_tokens == -(-spoken_samples(t) // 1200)
    if text + sound <= limit:
        assert response.status == "completed"
        return
    assert response.status == "incomplete"
    assert response.status_details == IncompleteDetails(reason="max_output_tokens")
    assert all(item.status == "incomplete" for item in response.output)  # type: ignore[union-attr]
    assert t.spent == [usage.total_tokens]


def test_sound_beyond_the_limit_is_neither_sent_nor_kept_and_the_engine_is_stopped() -> None:
    t = Timeline()
    t.engine.answers(BEGAN, Say("One two", HALF_A_SECOND, 7, tokens=2), after_s=0.1, step_s=0.1)
    usage = usage_of(t, create(max_output_tokens=8))
    assert (usage.output_token_details.text_tokens, spoken_samples(t)) == (2, 6 * 1200)
    (entry,) = t.session._conversation
    assert entry.sound_bytes == 2 * 6 * 1200
    assert entry.item.content[0].transcript == "One"  # type: ignore[union-attr]
    assert len(t.engine.cancelled) == 1
    assert t.engine.history[-1].parts[0].text == "One"


def test_words_that_the_limit_leaves_no_room_for_are_not_told() -> None:
    t = Timeline()
    t.engine.answers(Say("One ", tokens=3), Say("two ", tokens=3), Say("three", tokens=3))
    usage = usage_of(t, create(max_output_tokens=7, output_modalities=["text"]))
    assert usage.output_tokens == 7
    assert t.events(ResponseOutputTextDone)[0].text == "One two "


def test_a_call_that_is_longer_than_the_limit_is_never_called_done() -> None:
    t = Timeline()
    t.engine.answers(Call(0, name="f", delta='{"a":', tokens=3), Call(0, delta="1}", tokens=3))
    assert usage_of(t, create(max_output_tokens=5)).output_tokens == 5
    assert t.events(ResponseFunctionCallArgumentsDone) == []
    (call,) = t.events(ResponseDone)[0].response.output
    assert (call.status, call.arguments) == ("incomplete", '{"a":')  # type: ignore[union-attr]


def test_a_filtered_reply_is_filtered_whatever_its_length() -> None:
    t = Timeline()
    t.engine.answers(Say("One ", tokens=3), Done("filtered", tokens=3))
    assert usage_of(t, create(max_output_tokens=5)).output_tokens == 5
    details = t.events(ResponseDone)[0].response.status_details
    assert details == IncompleteDetails(reason="content_filter")


def test_counts_that_cannot_be_are_bounded() -> None:
    t = Timeline()
    t.engine.answers(
        Began({"text": 10**30, "audio": 10**30}, {"audio": 10**30}),
        Say("x", tokens=10**30),
        Say("y", tokens=10**30),
        Done(),
    )
    usage = usage_of(t)
    most = MOST_WINDOWS * SessionConfig(id="s", model="m").context_tokens
    assert usage.input_tokens == usage.output_token_details.text_tokens == most
    assert usage.input_token_details.audio_tokens == 0
