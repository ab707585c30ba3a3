"""`session.update`: what changes, what stays, what is echoed, and what is refused by its path."""

from typing import Any

import msgspec
import pytest

from duologue.core.settings import SessionConfig
from duologue.core.talk import Done, Say
from duologue.events import (
    Error,
    ResponseDone,
    SessionCreated,
    SessionUpdated,
    encode_server_event,
)
from duologue.testing.timeline import Timeline
from session_kit import add, codes, create, played, update, user


def echo(t: Timeline) -> dict[str, Any]:
    """The last session object sent, as on the wire."""
    sent = [event for _, event in t.sent if isinstance(event, SessionCreated | SessionUpdated)]
    session: dict[str, Any] = msgspec.json.decode(encode_server_event(sent[-1]))["session"]
    return session


def refusal(t: Timeline) -> tuple[str | None, str | None]:
    """Code and path of the only error; nothing was updated besides."""
    (event,) = t.events(Error)
    return event.error.code, event.error.param


@pytest.mark.conformance("C-048")
def test_an_update_must_say_which_type_of_session_it_means() -> None:
    t = played({"type": "session.update", "session": {"instructions": "x"}})
    assert refusal(t) == ("missing_required_parameter", "session.type")
    assert not t.events(SessionUpdated)


@pytest.mark.conformance("C-050", "C-073")
def test_an_update_is_answered_once_with_the_whole_session_and_an_event_id_of_its_own() -> None:
    t = played({**update(instructions="Be brief."), "event_id": "event_of_mine"})
    (answer,) = t.events(SessionUpdated)
    assert answer.event_id != "event_of_mine"
    before = msgspec.to_builtins(t.events(SessionCreated)[0].session)
    assert echo(t) == msgspec.json.decode(
        msgspec.json.encode({**before, "instructions": "Be brief."})
    )


@pytest.mark.conformance("C-051")
def test_an_update_with_one_fault_changes_nothing_of_what_else_it_says() -> None:
    t = played(
        {**update(instructions="x", audio={"output": {"voice": "nobody"}}), "event_id": "mine"},
        update(),
    )
    assert refusal(t) == ("invalid_value", "session.audio.output.voice")
    assert t.events(Error)[0].error.event_id == "mine"
    assert t.events(SessionUpdated)[0].session == t.events(SessionCreated)[0].session


@pytest.mark.conformance("C-052", "C-053", "C-054")
def test_sound_in_and_sound_out_are_merged_key_by_key() -> None:
    t = played(
        update(audio={"output": {"voice": "cedar", "speed": 1.2}}),
        update(audio={"input": {"turn_detection": {"type": "server_vad", "threshold": 0.7}}}),
        update(audio={"input": {"noise_reduction": {"type": "near_field"}}}),
    )
    sound = echo(t)["audio"]
    assert (sound["output"]["voice"], sound["output"]["speed"]) == ("cedar", 1.2)
    assert sound["input"]["noise_reduction"]["type"] == "near_field"
    vad = sound["input"]["turn_detection"]
    assert (vad["threshold"], vad["create_response"], vad["interrupt_response"]) == (
        0.7,
        True,
        True,
    )
    t.client_sends(0.5, update(audio={"input": {"turn_detection": None}}))
    t.run(0.6)
    assert echo(t)["audio"]["input"]["turn_detection"] is None
    assert not t.session.scores_audio


@pytest.mark.conformance("C-058", "C-059", "C-071")
@pytest.mark.parametrize(
    ("session", "code", "param"),
    [
        ({"output_modalities": ["text", "audio"]}, "invalid_value", "session.output_modalities"),
        ({"audio": {"output": {"speed": 0.24}}}, "decimal_below_min_value", ""),
        ({"audio": {"output": {"speed": 1.51}}}, "decimal_above_max_value", ""),
        ({"reasoning": {"effort": "none"}}, "invalid_value", "session.reasoning.effort"),
    ],
)
def test_values_that_cannot_be_are_refused_by_their_path(
    session: dict[str, Any], code: str, param: str
) -> None:
    t = played(update(**session))
    assert refusal(t) == (code, param or "session.audio.output.speed")
    assert not t.events(SessionUpdated)


@pytest.mark.conformance("C-071", "C-072")
def test_reasoning_and_parallel_calls_are_shown_only_once_they_are_set() -> None:
    t = played(update())
    assert not {"reasoning", "parallel_tool_calls"} & set(echo(t))
    for effort in ("minimal", "low", "medium", "high", "xhigh"):
        t = played(update(reasoning={"effort": effort}, parallel_tool_calls=False))
        assert (echo(t)["reasoning"], echo(t)["parallel_tool_calls"]) == ({"effort": effort}, False)


@pytest.mark.conformance("C-066")
@pytest.mark.parametrize(
    ("first", "other"),
    [
        ("auto", {"workflow_name": "w"}),
        ({"workflow_name": "w"}, "auto"),
        ({"workflow_name": "w"}, {"workflow_name": "v"}),
        ({"workflow_name": "w"}, {"workflow_name": "w", "group_id": "g"}),
    ],
)
def test_tracing_is_what_it_was_first_until_it_is_cleared(first: Any, other: Any) -> None:
    t = played(
        update(tracing=first),
        {**update(tracing=other, instructions="x"), "event_id": "mine"},
        update(tracing=first),
        update(tracing=None),
        update(tracing=other),
    )
    assert refusal(t) == ("invalid_value", "session.tracing")
    assert t.events(Error)[0].error.event_id == "mine"
    shown = [msgspec.to_builtins(e.session) for e in t.events(SessionUpdated)]
    assert [session["tracing"] for session in shown] == [first, first, None, other]
    assert [session["instructions"] for session in shown] == [""] * 4


@pytest.mark.conformance("C-060")
def test_the_voice_can_be_changed_until_it_was_heard() -> None:
    def voice(name: str) -> dict[str, Any]:
        return update(audio={"output": {"voice": name}})

    t = Timeline()
    t.client_sends(0.1, voice("marin"))
    t.engine.says("Hello.", after_s=0.1)
    t.client_sends(0.2, create())
    t.client_sends(1.0, voice("cedar"))
    t.client_sends(1.1, voice("marin"))
    t.run(1.2)
    assert codes(t) == ["cannot_update_voice"]
    assert [e.session.audio.output.voice for e in t.events(SessionUpdated)] == ["marin"] * 2


@pytest.mark.conformance("C-061")
def test_the_model_can_be_named_but_not_changed() -> None:
    t = played(update(model="scripted"), update(model="another"))
    assert refusal(t) == ("invalid_value", "session.model")
    assert [event.session.model for event in t.events(SessionUpdated)] == ["scripted"]


def test_another_name_of_the_same_engine_leaves_the_model_and_refuses_nothing() -> None:
    config = SessionConfig(id="sess_1", model="gpt-realtime", model_names="gpt-realtime(-[a-z]+)?")
    t = Timeline(config)
    t.client_sends(0.1, update(model="gpt-realtime-mini", instructions="Be brief."))
    t.client_sends(0.2, update(model="gpt-realtime-mini2", instructions="Be long."))
    t.run(0.3)
    (updated,) = t.events(SessionUpdated)
    assert (updated.session.model, updated.session.instructions) == ("gpt-realtime", "Be brief.")
    assert refusal(t) == ("invalid_value", "session.model")


@pytest.mark.conformance("C-070")
def test_nulls_clear_what_can_be_cleared_and_leave_the_rest_as_it_is() -> None:
    t = played(
        update(instructions="Be brief.", audio={"output": {"speed": 1.25}}, tracing="auto"),
        update(
            instructions=None, output_modalities=None, model=None, tools=None, tool_choice=None,
            max_output_tokens=None, truncation=None, tracing=None, prompt=None, include=None,
            reasoning=None, parallel_tool_calls=None,
            audio={
                "input": {"format": None, "transcription": None, "noise_reduction": None},
                "output": {"format": None, "voice": None, "speed": None},
            },
        ),
    )  # fmt: skip
    assert not t.events(Error)
    session = echo(t)
    assert (session["instructions"], session["audio"]["output"]["speed"]) == ("Be brief.", 1.25)
    assert (session["tracing"], session["tools"], session["truncation"]) == (None, [], "auto")
    assert session["audio"]["input"]["transcription"] is None


@pytest.mark.conformance("C-059", "C-075")
def test_an_update_during_a_response_is_for_the_next_one() -> None:
    t = Timeline()
    t.engine.answers(Say("One ", bytes(4800), 4), Say("two.", bytes(4800), 8), Done(), step_s=0.3)
    t.engine.says("Text.", after_s=0.1)
    t.client_sends(0.1, add(user("Hello")))
    t.client_sends(0.2, create())
    change = {"output_modalities": ["text"], "max_output_tokens": 5, "instructions": "x"}
    t.client_sends(0.6, update(**change, audio={"output": {"speed": 0.5}}))
    t.run(2.0)
    t.client_sends(2.1, create())
    t.run(3.0)
    first, second = (event.response for event in t.events(ResponseDone))
    assert (first.output_modalities, first.max_output_tokens) == (("audio",), "inf")
    assert first.output[0].content[0].transcript == "One two."
    assert (second.output_modalities, second.max_output_tokens) == (("text",), 5)
    assert [(ask.speed, ask.instructions) for ask in t.engine.asks] == [(1.0, ""), (0.5, "x")]
    assert not t.events(Error)


@pytest.mark.conformance("C-132")
@pytest.mark.parametrize(
    ("metadata", "code"),
    [
        ({f"key_{n}": "x" for n in range(16)}, None),
        ({f"key_{n}": "x" for n in range(17)}, "invalid_value"),
        ({"k" * 64: "x"}, None),
        ({"k" * 65: "x"}, "string_above_max_length"),
        ({"key": "x" * 512}, None),
        ({"key": "x" * 513}, "string_above_max_length"),
        ({"key": 1}, "invalid_type"),
    ],
)
def test_metadata_has_its_limits(metadata: dict[str, Any], code: str | None) -> None:
    t = played(create(metadata=metadata))
    if code is None:
        assert codes(t) == [] and len(t.engine.asks) == 1
        return
    assert refusal(t) == (code, "response.metadata")
    assert not t.engine.asks


def test_an_update_merges_the_audio_block_key_by_key() -> None:
    t = played(
        update(audio={"input": {"noise_reduction": {"type": "near_field", "strength": 0.5}}}),
        update(audio={"input": {"noise_reduction": {"type": "far_field"}}}),
        update(audio={"output": {"speed": 1.25}}),
        update(audio={"input": {"turn_detection": {"type": "server_vad", "threshold": 0.7}}}),
    )
    session = t.events(SessionUpdated)[-1].session
    assert session.audio.input.noise_reduction.strength == 0.5
    assert session.audio.output.speed == 1.25
    detection = session.audio.input.turn_detection
    assert (detection.threshold, detection.silence_duration_ms) == (0.7, 500)
    assert detection.create_response is detection.interrupt_response is True


def test_include_is_echoed_and_cleared_by_null() -> None:
    logprobs = ["item.input_audio_transcription.logprobs"]
    assert echo(played(update(include=logprobs)))["include"] == logprobs
    assert echo(played(update(include=logprobs), update(include=None)))["include"] is None
