"""The orderings of reference 4.3, as timelines compared whole."""

from itertools import count

import msgspec
import pytest

from duologue.core.inputs import Disconnected, Received, ReplyEvent, ReplyFailed
from duologue.core.kinds import make_session
from duologue.core.outputs import Respond, Spent
from duologue.core.settings import SessionConfig
from duologue.core.talk import Call, Done, Say
from duologue.events import (
    ClientEvent,
    ConversationItemAdded,
    ConversationItemDone,
    ConversationItemRetrieved,
    Error,
    InputAudioBufferCommitted,
    InputAudioBufferSpeechStarted,
    InputAudioBufferSpeechStopped,
    ResponseCreated,
    ResponseDone,
    ResponseOutputItemAdded,
)
from duologue.testing.timeline import Timeline
from session_kit import create, update

TRANSCRIBED = {
    "type": "session.update",
    "session": {
        "type": "realtime",
        "audio": {"input": {"transcription": {"model": "whisper-1"}}},
    },
}
PUSH_TO_TALK = {
    "type": "session.update",
    "session": {"type": "realtime", "audio": {"input": {"turn_detection": None}}},
}
AUDIO_CYCLE = [
    "response.created",
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
    "response.output_audio_transcript.delta",
    "response.output_audio.delta",
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "conversation.item.done",
    "response.output_item.done",
    "response.done",
]
TURN = [
    "input_audio_buffer.speech_started",
    "input_audio_buffer.speech_stopped",
    "input_audio_buffer.committed",
    "conversation.item.added",
    "conversation.item.done",
]


def user_text(text: str, **item: object) -> dict[str, object]:
    content = [{"type": "input_text", "text": text}]
    return {
        "type": "conversation.item.create",
        "item": {"type": "message", "role": "user", "content": content, **item},
    }


@pytest.mark.conformance("C-129")
def test_a_voice_turn_gets_a_spoken_answer() -> None:
    t = Timeline()
    t.client_sends(0.1, TRANSCRIBED)
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
        *AUDIO_CYCLE[1:],
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


@pytest.mark.conformance("C-086")
@pytest.mark.parametrize("silence_ms", [200, 500, 1000])
@pytest.mark.parametrize("speech_end_s", [0.8, 2.016])
def test_silence_ends_the_turn_within_a_window_of_what_was_set(
    silence_ms: int, speech_end_s: float
) -> None:
    t = Timeline()
    detection = {"type": "server_vad", "silence_duration_ms": silence_ms}
    t.client_sends(0.1, update(audio={"input": {"turn_detection": detection}}))
    t.user_speaks(0.512, speech_end_s)  # whole windows of 32 ms
    t.run(4.0)
    stopped = next(at for at, e in t.sent if isinstance(e, InputAudioBufferSpeechStopped))
    waited_ms = round((stopped - speech_end_s) * 1000)
    assert silence_ms <= waited_ms <= silence_ms + 32


def test_the_server_s_own_policy_waits_longer_after_a_single_word() -> None:
    t = Timeline()
    t.user_speaks(0.512, 1.024)
    t.user_speaks(1.024 + 0.512, 3.008)  # "Stop. <half a second> That's not what I asked for."
    t.run(5.0)
    stopped = [at for at, e in t.sent if isinstance(e, InputAudioBufferSpeechStopped)]
    assert len(stopped) == 1 and 0.4 <= stopped[0] - 3.008 <= 0.4 + 0.032


def test_speech_starts_before_the_onset_by_the_padding() -> None:
    t = Timeline()
    t.user_speaks(2.016, 3.0)
    t.run(3.5)
    assert t.events(InputAudioBufferSpeechStarted)[0].audio_start_ms == 2016 - 300


@pytest.mark.conformance("C-128")
def test_a_text_turn_follows_its_order() -> None:
    t = Timeline()
    t.client_sends(0.1, user_text("Hi"))
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
    closing = [
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]
    assert t.types() == [
        "session.created",
        *TURN,
        *AUDIO_CYCLE[:6],
        "input_audio_buffer.speech_started",
        *closing,
        *TURN[1:],
        *AUDIO_CYCLE,
    ]
    cut = t.events(ResponseDone)[0].response
    assert (cut.status, cut.status_details.reason) == ("cancelled", "turn_detected")
    assert cut.output[0].status == "incomplete"
    assert t.engine.cancelled == ["job_1"]


@pytest.mark.conformance("C-158")
def test_barge_in_before_anything_was_said_gives_an_empty_response() -> None:
    t = Timeline()
    t.engine.says("Too late.", after_s=5.0)
    t.user_speaks(0.5, 1.0)
    t.user_speaks(1.8, 2.2)
    t.run(2.1)
    assert t.events(ResponseDone)[0].response.output == ()


def test_push_to_talk_commits_and_answers_when_told() -> None:
    t = Timeline()
    t.client_sends(0.1, PUSH_TO_TALK)
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
        *AUDIO_CYCLE,
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


@pytest.mark.conformance("C-152")
def test_an_interruption_spares_out_of_band_responses() -> None:
    t = Timeline()
    t.engine.says("Beside it, for a long time.", after_s=0.5, step_s=0.3)
    t.client_sends(0.1, {"type": "response.create", "response": {"conversation": "none"}})
    t.user_speaks(0.8, 1.2)
    t.run(1.9)
    t.engine.says("Answer.")
    t.run(5.0)
    statuses = [event.response.status for event in t.events(ResponseDone)]
    assert statuses == ["completed"]


def test_both_switches_off_leaves_events_and_no_response() -> None:
    t = Timeline()
    detection = {"type": "server_vad", "create_response": False, "interrupt_response": False}
    t.client_sends(
        0.05,
        {
            "type": "session.update",
            "session": {"type": "realtime", "audio": {"input": {"turn_detection": detection}}},
        },
    )
    t.engine.says("On and on it goes without an end.", step_s=0.4)
    t.client_sends(0.1, {"type": "response.create"})
    t.user_speaks(0.5, 1.0)
    t.run(6.0)
    assert t.events(ResponseDone)[0].response.status == "completed"
    assert len(t.events(ResponseCreated)) == 1
    assert len(t.events(InputAudioBufferCommitted)) == 1


def test_without_interruption_the_running_response_is_kept_and_no_second_begins() -> None:
    t = Timeline()
    detection = {"type": "server_vad", "interrupt_response": False}
    t.client_sends(
        0.05,
        {
            "type": "session.update",
            "session": {"type": "realtime", "audio": {"input": {"turn_detection": detection}}},
        },
    )
    t.engine.says("On and on it goes without an end.", step_s=0.4)
    t.client_sends(0.1, {"type": "response.create"})
    t.user_speaks(0.5, 1.0)
    t.run(6.0)
    assert len(t.events(ResponseCreated)) == 1 and t.events(Error) == []


def test_a_manual_commit_during_speech_uses_the_announced_id_and_says_no_stop() -> None:
    t = Timeline()
    t.user_speaks(0.5, 3.0)
    t.client_sends(1.5, {"type": "input_audio_buffer.commit"})
    t.run(1.52)
    started = t.events(InputAudioBufferSpeechStarted)[0]
    assert t.events(InputAudioBufferCommitted)[0].item_id == started.item_id
    assert t.events(InputAudioBufferSpeechStopped) == []


def test_a_commit_that_crosses_the_server_s_own_is_no_error_but_a_second_one_is() -> None:
    t = Timeline()
    detection = {"type": "server_vad", "silence_duration_ms": 200}
    t.client_sends(0.1, update(audio={"input": {"turn_detection": detection}}))
    t.user_speaks(0.512, 1.504)
    t.run(1.75)
    assert len(t.events(InputAudioBufferCommitted)) == 1
    t.client_sends(1.76, {"type": "input_audio_buffer.commit"})
    t.run(1.77)
    assert t.events(Error) == []
    t.client_sends(1.78, {"type": "input_audio_buffer.commit", "event_id": "mine"})
    t.run(1.79)
    error = t.events(Error)[0].error
    assert (error.code, error.event_id) == ("input_audio_buffer_commit_empty", "mine")
    assert len(t.events(InputAudioBufferCommitted)) == 1


def test_an_empty_commit_after_a_clear_is_an_error_in_every_mode() -> None:
    t = Timeline()
    detection = {"type": "server_vad", "silence_duration_ms": 200}
    t.client_sends(0.1, update(audio={"input": {"turn_detection": detection}}))
    t.user_speaks(0.512, 1.504)
    t.client_sends(1.76, {"type": "input_audio_buffer.clear"})
    t.client_sends(1.77, {"type": "input_audio_buffer.commit"})
    t.run(1.79)
    assert [e.error.code for e in t.events(Error)] == ["input_audio_buffer_commit_empty"]


def test_the_engine_is_told_what_to_expect_at_the_first_silence() -> None:
    t = Timeline()
    t.user_speaks(0.5, 1.0)
    t.user_speaks(1.2, 1.7)  # a pause of 200 ms in between
    t.run(3.0)
    first, withdrawn, second = t.engine.expected
    assert first is not None and second is not None and withdrawn is None
    assert first.id == second.id == t.engine.history[0].id
    sound, longer = first.parts[0].pcm or b"", second.parts[0].pcm or b""
    assert len(sound) < len(longer) < len(t.engine.history[0].parts[0].pcm or b"")


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


def test_stages_of_a_voice_turn_are_reported_from_the_end_of_speech() -> None:
    t = Timeline()
    t.engine.answers(
        Say("Hi", b"\0" * 4800, 2), Done(stages={"transcript": 1.74, "first_token": 1.9})
    )
    t.user_speaks(0.512, 1.536)
    t.run(4.0)
    stages = t.events(ResponseDone)[0].response.duologue.stages_ms
    assert stages["transcript"] == 204 and stages["first_token"] == 364
    assert stages["decision"] == 416 and stages["first_audio"] == 716


def test_the_session_ends_at_its_time() -> None:
    t = Timeline(SessionConfig(id="sess_short", model="scripted", max_s=6.0))
    t.run(6.5)
    error = t.events(Error)[0].error
    assert error.code == "session_expired" and t.closed is not None
    assert (t.closed.code, t.closed.reason) == (1001, error.message)


def test_a_spoken_item_is_retrieved_with_sound_and_transcript() -> None:
    t = Timeline()
    t.client_sends(0.1, TRANSCRIBED)
    t.transcripts = ["How are you?"]
    t.engine.says("Fine thanks.", word_ms=100)
    t.user_speaks(0.5, 1.0)
    t.run(4.0)
    for item_id in t.mirror.order:
        event = {"type": "conversation.item.retrieve", "item_id": item_id}
        t.client_sends(4.1, event)
    t.run(4.2)
    user, assistant = (event.item for event in t.events(ConversationItemRetrieved))
    assert user.content[0].transcript == "How are you?" and len(user.content[0].audio) > 48_000
    assert assistant.content[0].transcript == "Fine thanks."
    assert len(assistant.content[0].audio) == 200 * 48


@pytest.mark.conformance("C-120")
def test_an_item_being_generated_can_be_retrieved() -> None:
    t = Timeline()
    t.engine.says("One two three.", step_s=0.5)
    t.client_sends(0.1, {"type": "response.create"})
    t.client_sends(0.5, {"type": "conversation.item.retrieve", "item_id": "item_1"})
    t.run(0.6)
    assert t.events(ConversationItemRetrieved)[0].item.status == "in_progress"


@pytest.mark.conformance("C-137")
def test_no_sound_stands_in_item_events() -> None:
    t = Timeline()
    t.engine.says("Fine.")
    t.user_speaks(0.5, 1.0)
    t.run(4.0)
    for event in [*t.events(ConversationItemAdded), *t.events(ConversationItemDone)]:
        for part in event.item.content:
            assert not part.audio


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
