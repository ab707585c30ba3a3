"""The orderings of reference 4.3, as timelines compared whole."""

from itertools import count
from typing import Any

import msgspec
import pytest

from duologue.core import inputs
from duologue.core.inputs import Disconnected, Received, ReplyEvent, ReplyFailed
from duologue.core.kinds import make_session
from duologue.core.outputs import Respond, Spent
from duologue.core.settings import SessionConfig
from duologue.core.talk import Call, Done, Say
from duologue.events import (
    ClientEvent,
    ConversationItemAdded,
    Error,
    InputAudioBufferCommitted,
    InputAudioBufferSpeechStarted,
    InputAudioBufferSpeechStopped,
    ResponseDone,
    ResponseOutputItemAdded,
)
from duologue.testing.timeline import Timeline
from session_kit import CLOSING, REPLY, TURN, add, codes, create, detect, played, update, user


@pytest.mark.conformance("C-129")
def test_a_voice_turn_gets_a_spoken_answer() -> None:
    t = Timeline()
    t.client_sends(0.1, update(audio={"input": {"transcription": {"model": "whisper-1"}}}))
    t.transcripts = ["How many ounces are in a pound?"]
    t.engine.says("Sixteen of them.", after_s=0.5)
    t.user_speaks(0.5, 1.5)
    t.run(4.0)

    transcription = "conversation.item.input_audio_transcription"
    assert t.types() == [
        "session.created",
        "session.updated",
        *TURN,
        "response.created",
        f"{transcription}.delta",
        f"{transcription}.completed",
        *REPLY[1:],
    ]
    started, stopped = (
        t.events(InputAudioBufferSpeechStarted)[0],
        t.events(InputAudioBufferSpeechStopped)[0],
    )
    committed = t.events(InputAudioBufferCommitted)[0]
    assert started.item_id == stopped.item_id == committed.item_id
    assert stopped.audio_end_ms > started.audio_start_ms >= 0
    done = t.events(ResponseDone)[0].response
    assert done.status == "completed"
    assert done.output[0].content[0].transcript == "Sixteen of them."


@pytest.mark.conformance("C-128")
def test_a_text_turn_follows_its_order() -> None:
    t = Timeline()
    t.client_sends(0.1, add(user("Hi")))
    t.client_sends(0.2, {"type": "response.create", "response": {"output_modalities": ["text"]}})
    t.engine.says("Hello there.")
    t.run(2.0)
    assert t.types() == [
        "session.created",
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]
    assert t.events(ResponseDone)[0].response.output[0].content[0].text == "Hello there."


@pytest.mark.conformance("C-156")
def test_barge_in_closes_what_was_open_before_the_next_response() -> None:
    t = Timeline()
    t.engine.says("One two three four five six seven eight nine ten.", step_s=0.2)
    t.engine.says("Yes?")
    t.user_speaks(0.5, 1.0)
    t.user_speaks(2.4, 2.8)
    t.run(5.0)
    assert t.types() == [
        "session.created",
        *TURN,
        *REPLY[:6],
        "input_audio_buffer.speech_started",
        *CLOSING,
        *TURN[1:],
        *REPLY,
    ]
    cut = t.events(ResponseDone)[0].response
    assert (cut.status, cut.status_details.reason) == ("cancelled", "turn_detected")
    assert cut.output[0].status == "incomplete"
    assert t.engine.cancelled == ["job_1"]


def test_push_to_talk_commits_and_answers_when_told() -> None:
    t = Timeline()
    t.client_sends(0.1, detect(None))
    t.client_sends(0.2, {"type": "input_audio_buffer.clear"})
    t.user_speaks(0.5, 1.0)
    t.client_sends(1.2, {"type": "input_audio_buffer.commit"})
    t.client_sends(1.2, {"type": "response.create"})
    t.engine.says("Fine.")
    t.run(3.0)
    assert t.types() == [
        "session.created",
        "session.updated",
        "input_audio_buffer.cleared",
        *TURN[2:],
        *REPLY,
    ]


@pytest.mark.conformance("C-161", "C-163", "C-165")
def test_a_function_call_waits_for_its_output_and_the_talk_goes_on() -> None:
    t = Timeline()
    t.engine.calls("get_weather", '{"city":"Paris"}')
    t.engine.says("Meanwhile, hello.")
    t.engine.says("It is sunny.")
    t.client_sends(0.1, {"type": "response.create"})
    t.client_sends(1.0, {"type": "response.create"})
    t.run(2.0)
    call = t.events(ResponseDone)[0].response.output[0]
    assert (call.name, call.arguments, call.status) == (
        "get_weather",
        '{"city":"Paris"}',
        "completed",
    )
    added = t.events(ResponseOutputItemAdded)[0].item
    assert (added.name, added.arguments, added.call_id) == ("get_weather", "", call.call_id)
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    t.client_sends(2.5, {"type": "conversation.item.create", "item": result})
    t.client_sends(2.6, {"type": "response.create"})
    t.run(4.0)
    assert t.types()[1:9] == [
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]
    roles = [item.role for item in t.engine.history]
    assert roles == ["call", "assistant", "result", "assistant"]


@pytest.mark.conformance("C-166", "C-167")
def test_a_message_and_calls_stand_at_successive_indices() -> None:
    t = Timeline()
    t.engine.answers(
        Say("One moment.", b"\0" * 4800, 11),
        Call(0, name="a", delta="{}"),
        Call(1, name="b", delta='{"x":'),
        Call(0, final=True),
        Call(1, delta="1}", final=True),
        Done(),
    )
    t.client_sends(0.1, {"type": "response.create"})
    t.run(2.0)
    assert [event.output_index for event in t.events(ResponseOutputItemAdded)] == [0, 1, 2]
    output = t.events(ResponseDone)[0].response.output
    assert [item.status for item in output] == ["completed"] * 3
    assert output[2].arguments == '{"x":1}'


def test_arguments_that_are_no_json_are_never_called_done() -> None:
    t = Timeline()
    t.engine.answers(Call(0, name="a", delta='{"x'), Call(0, final=True), Done())
    t.client_sends(0.1, {"type": "response.create"})
    t.run(1.0)
    assert "response.function_call_arguments.done" not in t.types()
    assert t.events(ResponseDone)[0].response.output[0].status == "incomplete"
    assert t.engine.history == []


@pytest.mark.conformance("C-150", "C-131")
def test_an_out_of_band_response_leaves_no_trace_and_runs_beside_another() -> None:
    t = Timeline()
    t.engine.says("In the conversation.", step_s=0.3)
    t.engine.says("Beside it.")
    t.client_sends(0.1, {"type": "response.create"})
    request = {
        "conversation": "none",
        "metadata": {"topic": "x"},
        "output_modalities": ["text"],
        "input": [],
    }
    t.client_sends(0.2, {"type": "response.create", "response": request})
    t.run(3.0)
    beside = t.events(ResponseDone)[0].response
    assert beside.conversation_id is None and beside.metadata == {"topic": "x"}
    assert len(t.events(ConversationItemAdded)) == 1
    assert [part.text for item in t.engine.history for part in item.parts] == [
        "In the conversation."
    ]
    assert t.engine.asks[1].context == () and not t.engine.asks[1].keep


@pytest.mark.conformance("C-145")
def test_an_engine_failure_is_a_failed_response_and_no_error_event() -> None:
    t = Timeline()
    t.engine.answers(Say("Well", b"\0" * 4800, 4), ReplyFailed("", "engine_error", "out of tea"))
    t.engine.says("Better now.")
    t.client_sends(0.1, {"type": "response.create"})
    t.client_sends(1.5, {"type": "response.create"})
    t.run(3.0)
    failed, fine = (event.response for event in t.events(ResponseDone))
    assert failed.status == "failed"
    assert failed.status_details.error.message == "out of tea"
    assert failed.output[0].status == "incomplete"
    assert fine.status == "completed" and t.events(Error) == []


@pytest.mark.conformance("C-144")
def test_the_token_limit_makes_a_response_incomplete() -> None:
    t = Timeline()
    t.engine.answers(Say("Well", b"\0" * 4800, 4), Done(reason="length"))
    t.client_sends(0.1, {"type": "response.create", "response": {"max_output_tokens": 1}})
    t.run(1.0)
    done = t.events(ResponseDone)[0].response
    assert (done.status, done.status_details.reason) == ("incomplete", "max_output_tokens")
    assert t.engine.asks[0].max_tokens == 1


def test_what_a_broken_input_had_half_made_does_not_leave_at_the_end() -> None:
    numbers = count()

    def new_id(prefix: str) -> str:
        assert prefix != "call", "no more of these"
        return f"{prefix}_{next(numbers)}"

    session = make_session(SessionConfig(id="sess_a", model="m"), new_id=new_id, now=0)
    session.open(0)
    begun = session.handle(Received(msgspec.convert(create(), ClientEvent)), 0)
    job = next(output.job for output in begun if isinstance(output, Respond))
    session.handle(ReplyEvent(job, Say("Let me look.")), 0)
    with pytest.raises(AssertionError, match="no more"):  # the message is closed by then
        session.handle(ReplyEvent(job, Call(0, "look", "{}")), 0)
    assert not [o for o in session.handle(Disconnected(), 0) if not isinstance(o, Spent)]


@pytest.mark.conformance("C-118", "C-119", "C-142")
@pytest.mark.parametrize(
    ("event", "code"),
    [
        ({"type": "conversation.item.delete", "item_id": "x"}, "item_delete_invalid_item_id"),
        ({"type": "conversation.item.retrieve", "item_id": "x"}, "item_retrieve_invalid_item_id"),
        ({"type": "response.cancel"}, "response_cancel_not_active"),
        ({"type": "response.cancel", "response_id": "resp_x"}, "response_cancel_not_active"),
        ({"type": "input_audio_buffer.commit"}, "input_audio_buffer_commit_empty"),
        (
            add({"type": "function_call_output", "call_id": "call_x", "output": ""}),
            "invalid_tool_call_id",
        ),
        (
            add({"type": "mcp_approval_response", "approval_request_id": "x", "approve": True}),
            "invalid_value",
        ),
        (create(input=[{"type": "item_reference", "id": "x"}]), "invalid_value"),
        (create(tool_choice={"type": "function", "name": "f"}), "invalid_value"),
        (create(prompt={"id": "pmpt_1"}), "invalid_value"),
        (create(audio={"output": {"voice": "nobody"}}), "invalid_value"),
        (update(audio={"output": {"voice": "nobody"}}), "invalid_value"),
        (update(model="another"), "invalid_value"),
        (update(prompt={"id": "pmpt_1"}), "invalid_value"),
        (update(tools=[{"type": "mcp", "server_label": "s"}]), "invalid_value"),
        ({"type": "session.update", "session": {"type": "transcription"}}, "invalid_value"),
    ],
)
def test_a_refusal_echoes_the_event_id_and_changes_nothing(
    event: dict[str, Any], code: str
) -> None:
    t = played({**event, "event_id": "mine"})
    error = t.events(Error)[0].error
    assert (error.code, error.event_id, error.type) == (code, "mine", "invalid_request_error")
    assert t.types() == ["session.created", "error"]


@pytest.mark.conformance("C-142")
def test_cancel_without_a_target_says_so_in_the_words_clients_look_for() -> None:
    t = played({"type": "response.cancel"})
    assert t.events(Error)[0].error.message.startswith("Cancellation failed")


@pytest.mark.conformance("C-139")
def test_a_second_response_is_refused_by_naming_the_first() -> None:
    t = Timeline()
    t.engine.says("A long answer that goes on for a while.", step_s=0.2)
    t.client_sends(0.1, {"type": "response.create"})
    t.client_sends(0.5, {"type": "response.create", "event_id": "second"})
    t.run(5.0)
    error = t.events(Error)[0].error
    assert error.code == "conversation_already_has_active_response"
    assert "resp_1" in error.message and error.event_id == "second"
    assert t.events(ResponseDone)[0].response.status == "completed"


@pytest.mark.conformance("C-140")
def test_a_response_can_follow_at_once() -> None:
    t = Timeline()
    t.engine.says("One.")
    t.engine.says("Two.")
    t.client_sends(0.1, {"type": "response.create"})
    t.run(0.45)
    done_at = t.sent[-1][0]
    t.client_sends(done_at, {"type": "response.create"})
    t.run(2.0)
    assert codes(t) == [] and len(t.events(ResponseDone)) == 2


@pytest.mark.conformance("C-143")
def test_cancel_by_id_hits_an_out_of_band_response() -> None:
    t = Timeline()
    t.engine.says("Beside it.", after_s=2.0)
    t.client_sends(0.1, create(conversation="none"))
    t.client_sends(0.5, {"type": "response.cancel", "response_id": "resp_1"})
    t.run(3.0)
    done = t.events(ResponseDone)[0].response
    assert (done.status, done.status_details.reason) == ("cancelled", "client_cancelled")


@pytest.mark.conformance("C-146")
def test_settings_of_one_response_do_not_leak() -> None:
    t = Timeline()
    tool = {"type": "function", "name": "f", "parameters": {"type": "object"}}
    t.client_sends(0.1, update(instructions="Be brief."))
    t.engine.says("One.")
    t.engine.says("Two.")
    t.client_sends(0.2, create(instructions="Rhyme.", tools=[tool], output_modalities=["text"]))
    t.client_sends(2.0, create())
    t.run(4.0)
    first, second = t.engine.asks
    assert (first.instructions, len(first.tools), first.speak) == ("Rhyme.", 1, False)
    assert (second.instructions, len(second.tools), second.speak) == ("Be brief.", 0, True)


def test_a_frame_that_cannot_be_read_is_answered_in_its_place() -> None:
    t = Timeline()
    t.enter(0.1, inputs.BadEvent("invalid_json", "no JSON", None, None))
    t.run(0.2)
    assert codes(t) == ["invalid_json"]


def test_clearing_an_output_buffer_that_is_not_there_is_no_error() -> None:
    t = played({"type": "output_audio_buffer.clear"})
    assert t.types() == ["session.created"]
