"""A model that owns the floor: what it decides, as events of the protocol, in timelines."""

import pytest

from duologue.audio import pcm as audio
from duologue.core import inputs
from duologue.core.prompts import PromptVersion, StoredPrompt
from duologue.core.rate_limits import Allowance
from duologue.core.settings import SessionConfig
from duologue.core.talk import Began, Call, Done, Failed, Floor, Heard, LiveEvent, Refused, Say
from duologue.events import (
    CancelledDetails,
    ConversationItemDone,
    ConversationItemInputAudioTranscriptionCompleted,
    ConversationItemTruncated,
    Error,
    FailedDetails,
    FunctionCallItem,
    InputAudioBufferCommitted,
    InputAudioBufferSpeechStarted,
    InputAudioBufferSpeechStopped,
    InputAudioBufferTimeoutTriggered,
    MessageItem,
    ResponseCreated,
    ResponseDone,
    ResponseError,
    ResponseOutputAudioDelta,
    SessionUpdated,
)
from duologue.testing.timeline import Timeline
from session_kit import REPLY, TURN, add, check_usage, codes, create, detect, truncate, update, user

TRANSCRIPTION = update(audio={"input": {"transcription": {"model": "whisper-1"}}})
TOOL = {"type": "function", "name": "look", "parameters": {"type": "object"}}


def with_model(*, plays: bool = False) -> Timeline:
    return Timeline(SessionConfig(id="sess_live", model="moshi", duplex=True, plays=plays))


def turn(start_ms: int, stop_ms: int, late_s: float = 0.1) -> list[tuple[float, LiveEvent]]:
    """The user's turn as a model tells of it, a little late."""
    return [
        (start_ms / 1000 + late_s, Floor("user_starts", start_ms)),
        (stop_ms / 1000 + late_s, Floor("user_stops", stop_ms)),
    ]


def words(text: str, at_s: float, *, word_ms: int = 200) -> list[tuple[float, LiveEvent]]:
    """The pieces of a reply in real time, its beginning before them and no end behind."""
    pieces: list[tuple[float, LiveEvent]] = [(at_s, Floor("reply_starts", round(at_s * 1000)))]
    voiced = 0
    for count, word in enumerate(text.replace(" ", "\0 ").split("\0")):
        voiced += len(word)
        say = Say(word, bytes(audio.BYTES_PER_MS * word_ms), voiced, tokens=1)
        pieces.append((at_s + count * word_ms / 1000, say))
    return pieces


def play(t: Timeline, *events: tuple[float, LiveEvent]) -> Timeline:
    for at_s, event in events:
        t.model_does(at_s, event)
    return t


def heard(t: Timeline, item_id: str) -> str | None:
    """The words of a message as the conversation has them now."""
    item = t.session._conversation.get(item_id, "").item  # type: ignore[union-attr]
    assert isinstance(item, MessageItem)
    return str(item.content[0].transcript)  # type: ignore[union-attr]


def test_the_model_is_opened_first_and_hears_everything() -> None:
    t = with_model()
    t.run(1.0)
    assert t.engine.live_jobs == ["job_1"]
    assert t.engine.heard_bytes == 31 * 32 * audio.BYTES_PER_MS
    assert not t.session.scores_audio
    assert t.types() == ["session.created"]


def test_a_turn_of_the_user_and_a_reply_are_the_events_of_any_voice_turn() -> None:
    t = with_model()
    t.transcripts = ["How many ounces?"]
    t.client_sends(0.1, TRANSCRIPTION)
    play(t, *turn(500, 1500), *words("Sixteen of them.", 2.0), (2.7, Done(tokens=2)))
    t.run(4.0)
    transcription = "conversation.item.input_audio_transcription"
    assert t.types() == [
        "session.created",
        "session.updated",
        *TURN,
        f"{transcription}.delta",
        f"{transcription}.completed",
        *REPLY,
    ]
    (started,) = t.events(InputAudioBufferSpeechStarted)
    (stopped,) = t.events(InputAudioBufferSpeechStopped)
    (committed,) = t.events(InputAudioBufferCommitted)
    assert (started.audio_start_ms, stopped.audio_end_ms) == (200, 1500)
    assert started.item_id == stopped.item_id == committed.item_id
    (question, answer) = t.engine.history
    assert question.parts[0].pcm and answer.parts[0].text == "Sixteen of them."
    # Whole windows: the one that the padding begins in is kept.
    assert len(question.parts[0].pcm) == (1500 - 192) * audio.BYTES_PER_MS
    (done,) = t.events(ResponseDone)
    assert done.response.status == "completed"
    check_usage(done.response.usage)
    assert t.spent == [done.response.usage.total_tokens]
    # Of the speech as the model dates it; windows of sound come whole, so 32 ms is not known.
    assert done.response.duologue.stages_ms == {"decision": 468, "first_audio": 468}


def test_sound_behind_the_end_of_a_turn_belongs_to_the_next() -> None:
    t = with_model()
    play(t, (1.2, Floor("user_starts", 500)), (1.9, Floor("user_stops", 1000)))
    play(t, (2.0, Floor("user_starts", 1100)), (2.5, Floor("user_stops", 2400)))
    t.run(3.0)
    starts = [event.audio_start_ms for event in t.events(InputAudioBufferSpeechStarted)]
    stops = [event.audio_end_ms for event in t.events(InputAudioBufferSpeechStopped)]
    assert (starts, stops) == ([200, 1000], [1000, 2400])
    first, second = (item.parts[0].pcm or b"" for item in t.engine.history)
    assert len(second) == 1400 * audio.BYTES_PER_MS
    assert len(first) == 808 * audio.BYTES_PER_MS


def test_what_nobody_says_is_not_kept() -> None:
    t = with_model()
    t.run(60.0)
    assert t.session._turn.held_samples <= audio.samples_of_ms(3400)  # type: ignore[union-attr]
    play(t, *turn(59_000, 60_500))
    t.run(61.0)
    assert len(t.engine.history[0].parts[0].pcm or b"") < 1900 * audio.BYTES_PER_MS


def test_a_model_that_yields_is_a_barge_in() -> None:
    t = with_model()
    play(t, *words("One two three four five.", 1.0), (2.0, Floor("user_starts", 1900)))
    play(t, (2.05, Floor("yields", 1950)), (2.8, Floor("user_stops", 2700)))
    play(t, *words("Yes?", 3.0), (3.3, Done()))
    t.run(4.0)
    first, second = t.events(ResponseDone)
    assert first.response.status == "cancelled"
    assert first.response.status_details == CancelledDetails(reason="turn_detected")
    assert second.response.status == "completed"
    kinds = t.types()
    assert kinds.index(TURN[0]) < kinds.index("response.done")
    # Told in the order of time: the reply that was cut off, the question, the answer.
    assert [item.role for item in t.engine.history] == ["assistant", "user", "assistant"]


def test_of_a_call_s_reply_that_yields_the_words_that_were_played_are_kept() -> None:
    t = with_model(plays=True)
    said = words("One two three four five.", 1.0, word_ms=1000)
    pieces = [(1.0, event) for _, event in said]  # faster than it is played
    play(t, *pieces, (3.2, Floor("user_starts", 3100)), (3.25, Floor("yields", 3150)))
    t.run(5.0)
    (truncated,) = t.events(ConversationItemTruncated)
    assert truncated.audio_end_ms == 2240
    assert heard(t, truncated.item_id) == "One two"
    assert t.engine.gone_out[-1] == (truncated.item_id, audio.samples_of_ms(2240))
    kinds = t.types()
    assert kinds.index("output_audio_buffer.cleared") < kinds.index("response.done")
    # Not yet known to the engine when it was cut: put with what was heard.
    assert t.engine.history[-1].parts[0].text == "One two"


def test_what_is_still_played_of_a_reply_that_is_done_falls_when_the_user_speaks() -> None:
    t = with_model(plays=True)
    pieces = [(1.0, event) for _, event in words("One two three.", 1.0, word_ms=1000)]
    play(t, *pieces, (1.0, Done()), (2.5, Floor("user_starts", 2400)))
    t.run(5.0)
    (truncated,) = t.events(ConversationItemTruncated)
    assert heard(t, truncated.item_id) == "One two"
    assert t.engine.cuts == [(truncated.item_id, 1500, "One two")]
    assert t.events(ResponseDone)[0].response.status == "completed"


def test_a_model_that_speaks_on_while_the_user_does_is_not_interrupted() -> None:
    t = with_model(plays=True)
    play(t, *words("One two three four five.", 1.0), *turn(1300, 1500), (2.1, Done()))
    t.run(4.0)
    (done,) = t.events(ResponseDone)
    assert done.response.status == "completed"
    assert not t.events(ConversationItemTruncated)
    assert "output_audio_buffer.cleared" not in t.types()


def test_what_has_gone_out_is_told_to_the_model() -> None:
    t = with_model()
    play(t, *words("One two.", 1.0), (1.5, Done()))
    t.run(2.0)
    (delta, *_) = t.events(ResponseOutputAudioDelta)
    assert t.engine.gone_out == [(delta.item_id, 4800), (delta.item_id, 9600)]


def test_words_that_the_model_writes_down_are_the_transcript() -> None:
    t = with_model()
    t.client_sends(0.1, TRANSCRIPTION)
    started, stopped = turn(500, 1500)
    play(t, started, (1.0, Heard("How many")), stopped, (1.8, Heard(" ounces?")))
    play(t, (1.9, Heard(final=True)))
    t.run(3.0)
    (completed,) = t.events(ConversationItemInputAudioTranscriptionCompleted)
    assert completed.transcript == "How many ounces?"
    assert completed.item_id == t.events(InputAudioBufferCommitted)[0].item_id
    assert completed.usage.seconds == pytest.approx(1.308)
    assert not t.transcriptions, "heard twice"


def test_words_without_an_end_end_with_the_next_turn_or_the_model() -> None:
    t = with_model()
    t.client_sends(0.1, TRANSCRIPTION)
    for start_ms, said in ((500, "One."), (2000, "Two.")):
        started, stopped = turn(start_ms, start_ms + 1000)
        play(t, started, (stopped[0] - 0.1, Heard(said)), stopped)
    t.enter(4.0, inputs.LiveFailed("job_1", "engine_error", "gone"))
    t.run(5.0)
    done = t.events(ConversationItemInputAudioTranscriptionCompleted)
    assert [event.transcript for event in done] == ["One.", "Two."]


def test_no_words_are_told_of_an_item_that_was_deleted() -> None:
    t = with_model()
    t.client_sends(0.1, TRANSCRIPTION)
    started, stopped = turn(500, 1500)
    play(t, started, (1.0, Heard("How many")), stopped, (2.5, Heard(" ounces?", final=True)))
    t.client_sends(2.0, {"type": "conversation.item.delete", "item_id": "item_1"})
    t.run(3.0)
    assert t.types()[-1] == "conversation.item.deleted"


def test_nobody_is_told_words_that_were_not_asked_for() -> None:
    t = with_model()
    started, stopped = turn(500, 1500)
    play(t, started, (1.0, Heard("How many")), stopped, (1.8, Heard(" ounces?", final=True)))
    t.run(3.0)
    assert t.types() == ["session.created", *TURN]


def test_a_call_ends_its_response_and_the_model_talks_on_in_another() -> None:
    t = with_model()
    t.client_sends(0.1, update(tools=[TOOL]))
    play(t, (1.0, Floor("reply_starts", 1000)))
    play(t, (1.0, Call(0, name="look", delta="{}", tokens=3)), (1.1, Call(0, final=True)))
    play(t, *words("One moment.", 1.2)[1:])
    t.run(1.5)
    (done,) = t.events(ResponseDone)
    (call,) = done.response.output
    assert isinstance(call, FunctionCallItem) and done.response.status == "completed"
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "blue"}
    t.client_sends(1.6, add(result))
    t.client_sends(1.6, create())  # what every stock client sends next
    play(t, (1.8, Done()), *words("It is blue.", 2.0), (2.7, Done()))
    t.run(4.0)
    assert codes(t) == []
    assert [item.role for item in t.engine.history] == ["call", "assistant", "result", "assistant"]
    assert len(t.engine.nudges) == 1
    statuses = [event.response.status for event in t.events(ResponseDone)]
    assert statuses == ["completed"] * 3


def text_tokens(t: Timeline) -> list[tuple[int, int]]:
    """Of each response, the text that it has read and written."""
    usages = [event.response.usage for event in t.events(ResponseDone)]
    for usage in usages:
        check_usage(usage)
    return [
        (usage.input_token_details.text_tokens, usage.output_token_details.text_tokens)
        for usage in usages
    ]


def test_usage_that_is_told_after_a_call_is_that_of_the_next_response() -> None:
    t = with_model()
    t.client_sends(0.1, update(tools=[TOOL]))
    play(t, (1.0, Floor("reply_starts", 1000)), (1.0, Began({"text": 10}, {"text": 4})))
    play(t, (1.0, Call(0, name="look", delta="{}", tokens=3)), (1.1, Call(0, final=True)))
    play(t, (1.2, Began({"text": 25}, {"text": 20})), (1.2, Done(tokens=5)))
    play(t, (2.0, Floor("reply_starts", 2000)), (2.0, Began({"text": 30})))
    play(t, *words("It is blue.", 2.0)[1:], (2.7, Done(tokens=1)))
    play(t, *words("Yes.", 3.0), (3.3, Done()))
    t.run(4.0)
    assert text_tokens(t) == [(10, 3), (30 + 15, 3 + 1 + 5), (0, 1)]
    details = t.events(ResponseDone)[1].response.usage.input_token_details
    assert details.cached_tokens_details.text_tokens == 16
    assert sum(t.spent) == sum(
        event.response.usage.total_tokens for event in t.events(ResponseDone)
    )


def test_usage_of_talk_that_goes_on_after_a_call_is_counted_once() -> None:
    t = with_model()
    t.client_sends(0.1, update(tools=[TOOL]))
    play(t, (1.0, Floor("reply_starts", 1000)), (1.0, Began({"text": 10})))
    play(t, (1.0, Call(0, name="look", delta="{}", tokens=3)), (1.1, Call(0, final=True)))
    play(t, *words("One moment.", 1.2)[1:], (1.8, Began({"text": 25})), (1.8, Done(tokens=5)))
    t.run(3.0)
    assert text_tokens(t) == [(10, 3), (15, 2 + 5)]


@pytest.mark.parametrize("end", [Floor("yields", 1200), Failed("engine_error", "broke")])
def test_what_a_reply_that_ended_after_its_call_had_read_is_not_lost(end: LiveEvent) -> None:
    t = with_model()
    t.client_sends(0.1, update(tools=[TOOL]))
    play(t, (1.0, Floor("reply_starts", 1000)))
    play(t, (1.0, Call(0, name="look", delta="{}")), (1.1, Call(0, final=True)))
    play(t, (1.2, Began({"audio": 7})), (1.2, end), *words("Yes.", 3.0), (3.3, Done()))
    t.run(4.0)
    _, second = t.events(ResponseDone)
    assert second.response.usage.input_token_details.audio_tokens == 7


def test_response_create_is_a_hint_and_its_settings_are_those_of_the_next_reply() -> None:
    t = with_model()
    t.client_sends(0.5, add(user("Say something.")))
    t.client_sends(0.6, create(metadata={"a": "b"}, output_modalities=["text"]))
    t.client_sends(0.7, create(metadata={"a": "c"}, output_modalities=["text"]))
    t.run(1.0)
    assert not t.events(ResponseCreated), "the model has said nothing yet"
    play(t, *words("Something.", 1.0), (1.3, Done()), *words("More.", 2.0), (2.3, Done()))
    t.run(3.0)
    first, second = t.events(ResponseDone)
    assert first.response.metadata == {"a": "c"} and second.response.metadata is None
    assert first.response.output[0].content[0].text == "Something."
    assert second.response.output[0].content[0].transcript == "More."
    assert len(t.engine.nudges) == 2 and not t.engine.nudges[0].speak


def test_settings_that_the_model_refuses_are_told_and_end_nothing() -> None:
    t = with_model()
    refused = Refused("tools_not_supported", "It calls nothing.")
    t.client_sends(0.5, create(metadata={"a": "b"}))
    play(t, (0.6, refused), *words("Something.", 1.0), (1.1, refused), (1.3, Done()))
    t.run(2.0)
    assert [event.error.message for event in t.events(Error)] == ["It calls nothing."] * 2
    assert t.events(Error)[0].error.code == "tools_not_supported"
    (done,) = t.events(ResponseDone)
    assert done.response.status == "completed" and done.response.metadata == {"a": "b"}


def test_the_settings_of_a_hint_that_the_model_did_not_take_end_with_the_next_turn() -> None:
    t = with_model()
    t.client_sends(0.5, create(metadata={"a": "b"}, output_modalities=["text"]))
    play(t, *turn(1000, 2000), *words("Hi.", 3.0), (3.3, Done()))
    t.run(4.0)
    (done,) = t.events(ResponseDone)
    assert done.response.metadata is None
    assert done.response.output[0].content[0].transcript == "Hi."


@pytest.mark.parametrize(
    ("response", "param"),
    [
        ({"input": []}, "response.input"),
        ({"tool_choice": {"type": "function", "name": "no"}}, "response.tool_choice"),
    ],
)
def test_response_create_that_cannot_be_had_is_refused(
    response: dict[str, object], param: str
) -> None:
    t = with_model()
    t.client_sends(0.5, create(**response))
    t.run(1.0)
    (error,) = t.events(Error)
    assert (error.error.code, error.error.param) == ("invalid_value", param)
    assert not t.engine.nudges


def test_out_of_band_responses_run_beside_the_model() -> None:
    t = with_model()
    t.engine.says("Aside.")
    play(t, *words("One two three.", 0.5), (2.0, Done()))
    t.client_sends(0.6, create(conversation="none", input=[], output_modalities=["text"]))
    t.run(3.0)
    aside, spoken = t.events(ResponseDone)
    assert aside.response.conversation_id is None
    assert spoken.response.output[0].content[0].transcript == "One two three."


def test_a_reply_that_the_client_cancels_is_silent_to_its_end() -> None:
    t = with_model()
    play(t, *words("One two three four five.", 1.0), (2.2, Done()))
    t.client_sends(1.5, {"type": "response.cancel"})
    play(t, *words("Sorry.", 3.0), (3.3, Done()))
    t.run(4.0)
    first, second = t.events(ResponseDone)
    assert first.response.status_details == CancelledDetails(reason="client_cancelled")
    assert second.response.output[0].content[0].transcript == "Sorry."
    assert len(t.events(ResponseCreated)) == 2
    deltas = [at for at, event in t.sent if isinstance(event, ResponseOutputAudioDelta)]
    assert not [at for at in deltas if 1.5 < at < 3.0]
    assert t.engine.history[0].parts[0].text == "One two three"


def test_a_truncation_trims_the_record_and_tells_the_model() -> None:
    t = with_model()
    play(t, *words("One two three four.", 1.0), (1.9, Done()))
    t.run(2.0)
    (item_id,) = (event.item.id for event in t.events(ConversationItemDone))
    t.client_sends(2.5, truncate(item_id, 400))
    t.run(3.0)
    assert heard(t, item_id) == "One two"
    assert t.engine.cuts == [(item_id, 400, "One two")]


COMMIT = {"type": "input_audio_buffer.commit"}


def test_a_commit_in_the_middle_of_a_turn_leaves_its_rest_an_item_of_its_own() -> None:
    t = with_model()
    t.transcripts = ["How many", "ounces?"]
    t.client_sends(0.1, TRANSCRIPTION)
    play(t, (1.0, Floor("user_starts", 900)), (2.5, Floor("user_stops", 2400)), *turn(4000, 5000))
    t.client_sends(2.0, COMMIT)
    t.run(6.0)
    first, rest, later = t.events(InputAudioBufferSpeechStarted)
    items = [event.item_id for event in t.events(InputAudioBufferCommitted)]
    assert items == [first.item_id, rest.item_id, later.item_id]
    assert (rest.audio_start_ms, later.audio_start_ms) == (1984, 3700)
    stops = t.events(InputAudioBufferSpeechStopped)
    assert [(event.item_id, event.audio_end_ms) for event in stops] == [
        (rest.item_id, 2400),
        (later.item_id, 5000),
    ]
    whole, remainder, _ = (item.parts[0].pcm or b"" for item in t.engine.history)
    assert len(whole) + len(remainder) == (2400 - 576) * audio.BYTES_PER_MS, "nothing is lost"
    assert all(item.was_heard for item in t.engine.history), "the model needs none of it again"
    done = t.events(ConversationItemInputAudioTranscriptionCompleted)
    assert [event.transcript for event in done] == ["How many", "ounces?", ""]
    assert codes(t) == []


@pytest.mark.parametrize("stop_ms", [1900, 2050])
def test_a_commit_at_the_end_of_a_turn_is_that_turn(stop_ms: int) -> None:
    """A client that commits when its button is let go is before the model, which is late."""
    t = with_model()
    play(t, (1.0, Floor("user_starts", 900)), (2.4, Floor("user_stops", stop_ms)))
    t.client_sends(2.0, COMMIT)
    t.client_sends(2.0, create(metadata={"a": "b"}))
    play(t, *words("Hi.", 3.0), (3.3, Done()), *turn(4000, 5000))
    t.run(6.0)
    first, later = t.events(InputAudioBufferSpeechStarted)
    items = [event.item_id for event in t.events(InputAudioBufferCommitted)]
    assert items == [first.item_id, later.item_id]
    assert t.events(InputAudioBufferSpeechStopped)[0].item_id == later.item_id
    (done,) = t.events(ResponseDone)
    assert done.response.metadata == {"a": "b"}, "it answers what was asked for"
    assert done.response.duologue.stages_ms["decision"] >= 900, "of the speech, not the commit"


def test_a_commit_outside_of_a_turn_is_the_sound_that_is_held() -> None:
    t = with_model()
    t.client_sends(2.0, COMMIT)
    play(t, *turn(3000, 4000))
    t.run(5.0)
    assert len(t.events(InputAudioBufferCommitted)) == 2
    assert len(t.events(InputAudioBufferSpeechStarted)) == 1


def test_of_words_that_the_model_writes_each_part_of_a_turn_has_its_own() -> None:
    t = with_model()
    t.client_sends(0.1, TRANSCRIPTION)
    started, stopped = turn(500, 2500)
    play(t, started, (1.0, Heard("How")), (1.6, Heard(" many")), (2.2, Heard(" ounces?")), stopped)
    t.client_sends(1.5, COMMIT)
    t.client_sends(2.0, COMMIT)
    play(t, (2.7, Heard(" Or grams?", final=True)))
    t.run(4.0)
    done = t.events(ConversationItemInputAudioTranscriptionCompleted)
    assert [event.transcript for event in done] == ["How", " many", " ounces? Or grams?"]
    items = [event.item_id for event in t.events(InputAudioBufferCommitted)]
    assert [event.item_id for event in done] == items
    assert not t.transcriptions


@pytest.mark.parametrize("at_s", [2.2, 2.7])
def test_words_behind_a_commit_that_ends_the_turn_are_those_of_its_item(at_s: float) -> None:
    t = with_model()
    t.client_sends(0.1, TRANSCRIPTION)
    play(t, (0.6, Floor("user_starts", 500)), (1.0, Heard("How")))
    t.client_sends(2.0, COMMIT)
    play(t, (2.5, Floor("user_stops", 1950)), (at_s, Heard(" many?", final=True)))
    t.run(4.0)
    (done,) = t.events(ConversationItemInputAudioTranscriptionCompleted)
    assert done.transcript == "How many?"


def test_a_commit_while_the_words_of_the_item_before_still_come_ends_those() -> None:
    t = with_model()
    t.transcripts = ["(noise)"]
    t.client_sends(0.1, TRANSCRIPTION)
    started, stopped = turn(500, 1500)
    play(t, started, (1.0, Heard("How many")), stopped)
    t.client_sends(3.0, COMMIT)
    t.client_sends(3.5, COMMIT)
    t.run(5.0)
    done = t.events(ConversationItemInputAudioTranscriptionCompleted)
    assert [event.transcript for event in done] == ["How many", "(noise)", ""]


def test_a_turn_that_fills_the_buffer_is_ended_and_the_model_is_not_waited_for() -> None:
    t = with_model()
    play(t, (1.0, Floor("user_starts", 900)), (1810.0, Floor("user_stops", 1_809_900)))
    play(t, *turn(1_815_000, 1_816_000))
    t.run(1820.0)
    assert t.types() == ["session.created", *TURN, *TURN]
    assert codes(t) == []
    stops = [event.audio_end_ms for event in t.events(InputAudioBufferSpeechStopped)]
    assert 1_790_000 < stops[0] < 1_809_000 and stops[1] == 1_816_000
    assert t.engine.heard_bytes == 1_820_000 // 32 * 32 * audio.BYTES_PER_MS


def test_a_long_silence_after_a_reply_is_a_hint_to_the_model() -> None:
    t = with_model()
    t.client_sends(0.1, detect("server_vad", idle_timeout_ms=5000))
    play(t, *words("Hello.", 1.0), (1.2, Done()), *words("Are you there?", 7.0), (8.0, Done()))
    t.run(6.5)
    (silence,) = t.events(InputAudioBufferTimeoutTriggered)
    (committed,) = t.events(InputAudioBufferCommitted)
    assert silence.item_id == committed.item_id
    assert len(t.engine.nudges) == 1
    assert len(t.events(ResponseCreated)) == 1, "the model has said nothing yet"
    t.run(9.0)
    assert [event.response.status for event in t.events(ResponseDone)] == ["completed"] * 2
    assert [item.role for item in t.engine.history] == ["assistant", "user", "assistant"]
    assert codes(t) == []


def test_a_clear_withdraws_the_turn_and_the_next_one_is_whole() -> None:
    t = with_model()
    play(t, (1.0, Floor("user_starts", 900)), (2.5, Floor("user_stops", 2400)), *turn(3000, 4000))
    t.client_sends(2.0, {"type": "input_audio_buffer.clear"})
    t.run(5.0)
    first, second = t.events(InputAudioBufferSpeechStarted)
    (committed,) = t.events(InputAudioBufferCommitted)
    assert committed.item_id == second.item_id != first.item_id
    assert t.engine.heard_bytes == 156 * 32 * audio.BYTES_PER_MS, "the model has heard it all"


@pytest.mark.parametrize(
    ("change", "param"),
    [
        (detect(None), ""),
        (detect(create_response=False), ".create_response"),
        (detect("semantic_vad", interrupt_response=False), ".interrupt_response"),
    ],
)
def test_turn_detection_that_takes_the_floor_from_the_model_is_refused(
    change: dict[str, object], param: str
) -> None:
    t = with_model()
    t.client_sends(0.5, change)
    t.run(1.0)
    (error,) = t.events(Error)
    assert error.error.code == "invalid_value"
    assert error.error.param == f"session.audio.input.turn_detection{param}"


def test_other_turn_detection_is_shown_and_only_its_padding_has_an_effect() -> None:
    t = with_model()
    t.client_sends(0.1, detect(prefix_padding_ms=96, silence_duration_ms=9000))
    t.client_sends(0.2, detect("semantic_vad", eagerness="low"))
    t.client_sends(0.3, detect(prefix_padding_ms=96, silence_duration_ms=9000))
    play(t, *turn(960, 1600))
    t.run(3.0)
    shown = t.events(SessionUpdated)[-1].session.audio.input.turn_detection
    assert shown.silence_duration_ms == 9000
    assert t.events(InputAudioBufferSpeechStarted)[0].audio_start_ms == 864
    assert t.events(InputAudioBufferSpeechStopped)[0].audio_end_ms == 1600


def test_a_model_that_is_gone_is_reported_once_and_opened_again() -> None:
    t = with_model()
    for at_s, job in ((1.0, "job_1"), (2.5, "job_2"), (5.0, "job_3")):
        t.enter(at_s, inputs.LiveFailed(job, "engine_error", "The upstream has gone away."))
    t.run(10.0)
    (error,) = t.events(Error)
    assert (error.error.type, error.error.code) == ("server_error", "engine_error")
    assert len(t.engine.live_jobs) == 4
    play(t, *words("Here again.", 11.0), (11.5, Done()))
    t.run(12.0)
    assert t.events(ResponseDone)[0].response.status == "completed"
    t.enter(12.0, inputs.LiveFailed(t.engine.live_jobs[-1], "engine_error", "Gone again."))
    t.run(13.5)
    assert len(t.events(Error)) == 2 and len(t.engine.live_jobs) == 5


def test_response_create_while_the_model_stays_away_is_told_why_it_has_no_answer() -> None:
    t = with_model()
    t.microphone = False
    t.enter(0.1, inputs.LiveFailed("job_1", "engine_error", "The upstream has gone away."))
    t.client_sends(5.0, create())
    t.run(5.0)
    t.enter(5.1, inputs.LiveFailed(t.engine.live_jobs[-1], "engine_error", "Still away."))
    t.run(6.0)
    assert [error.error.message for error in t.events(Error)] == [
        "The upstream has gone away.",
        "Still away.",
    ]


def test_a_model_that_goes_in_the_middle_fails_its_reply_and_ends_the_turn() -> None:
    t = with_model()
    play(t, *words("One two three.", 1.0), (1.3, Floor("user_starts", 1250)))
    t.enter(1.5, inputs.LiveFailed("job_1", "engine_error", "The upstream has gone away."))
    play(t, (1.6, Say("late", b"", 0)), (1.7, Done()))
    t.run(2.0)
    (done,) = t.events(ResponseDone)
    assert isinstance(done.response.status_details, FailedDetails)
    assert done.response.status_details.error.code == "engine_error"
    assert t.types().count("input_audio_buffer.committed") == 1
    assert not t.events(Error)


def test_a_reply_that_fails_is_not_the_end_of_the_model() -> None:
    t = with_model()
    play(t, *words("One two three.", 1.0), (1.3, Failed("engine_error", "The voice broke.")))
    play(t, (1.4, Say("late", b"", 0)), (1.5, Done()), *turn(2000, 3000))
    play(t, *words("Again.", 3.5), (3.8, Done()))
    t.run(5.0)
    first, second = t.events(ResponseDone)
    assert first.response.status_details == FailedDetails(
        error=ResponseError(type="server_error", code="engine_error", message="The voice broke.")
    )
    assert second.response.status == "completed"
    assert t.engine.live_jobs == ["job_1"], "nothing is opened anew"
    assert not t.events(Error)


def test_what_fails_outside_of_a_response_is_told_by_an_error() -> None:
    t = with_model()
    t.client_sends(0.5, create(metadata={"a": "b"}))
    play(t, (0.6, Failed("rate_limit_exceeded", "The upstream is over its limits.")))
    play(t, (1.0, Floor("reply_starts", 1000)))
    play(t, (1.0, Call(0, name="look", delta="{}")), (1.1, Call(0, final=True)))
    play(t, (1.2, Failed("engine_error", "The model broke.")))
    play(t, *words("Again.", 3.5), (3.8, Done()))
    t.run(5.0)
    first, second = t.events(Error)
    assert (first.error.type, first.error.code) == ("server_error", "rate_limit_exceeded")
    assert second.error.message == "The model broke."
    called, spoken = t.events(ResponseDone)
    assert called.response.status == spoken.response.status == "completed"
    assert called.response.metadata is None, "the hint was refused"


def test_a_reply_that_the_client_cancels_before_its_first_word_is_told_to_the_model() -> None:
    t = with_model()
    play(t, (1.0, Floor("reply_starts", 1000)))
    t.client_sends(1.1, {"type": "response.cancel"})
    play(t, *words("One two.", 1.2)[1:], (1.6, Failed("engine_error", "gone")))
    play(t, *words("Sorry.", 3.0), (3.3, Done()))
    t.run(4.0)
    first, second = t.events(ResponseDone)
    assert first.response.status_details == CancelledDetails(reason="client_cancelled")
    assert first.response.output == ()
    assert second.response.output[0].content[0].transcript == "Sorry."
    assert t.engine.hushes == 1
    assert codes(t) == [], "nobody waits for the end of that reply"


def test_a_hint_that_the_client_takes_back_is_taken_back_from_the_model() -> None:
    t = with_model()
    t.client_sends(0.5, create(metadata={"a": "b"}))
    t.client_sends(0.6, {"type": "response.cancel"})
    t.client_sends(0.7, {"type": "response.cancel"})
    play(t, *words("Anyway.", 1.0), (1.3, Done()))
    t.run(2.0)
    assert t.engine.hushes == 1
    assert codes(t) == ["response_cancel_not_active"], "only the second had nothing to cancel"
    assert t.events(ResponseDone)[0].response.metadata is None


def test_an_out_of_band_response_that_is_cancelled_leaves_the_model_its_reply() -> None:
    t = with_model()
    t.engine.answers()
    play(t, *words("One two three.", 0.5), (2.0, Done()))
    t.client_sends(0.6, create(conversation="none", input=[], output_modalities=["text"]))
    t.run(0.7)
    aside = t.events(ResponseCreated)[-1].response.id
    t.client_sends(0.8, {"type": "response.cancel", "response_id": aside})
    t.run(3.0)
    assert t.engine.hushes == 0
    assert [event.response.status for event in t.events(ResponseDone)] == ["cancelled", "completed"]


def test_a_model_beyond_the_caller_s_limits_is_not_heard() -> None:
    t = with_model()
    t.enter(0.5, inputs.AllowanceChanged(Allowance(1.5, "requests", 1)))
    play(t, *words("One two.", 1.0), (1.5, Done()), *words("Three.", 2.0), (2.3, Done()))
    t.client_sends(0.7, create())
    t.run(3.0)
    first, second = t.events(ResponseDone)
    assert first.response.status_details.error.code == "rate_limit_exceeded"
    assert second.response.status == "completed"
    assert codes(t) == ["rate_limit_exceeded"]
    assert len(t.engine.asks) == 1, "what failed at once is not counted"
    assert t.engine.hushes == 1, "nor is it said to nobody"


def test_a_model_that_breaks_the_rules_harms_nobody() -> None:
    t = with_model()
    t.microphone = False
    play(t, (0.1, Say("outside", bytes(960), 7)), (0.2, Done()), (0.3, Floor("yields", 0)))
    play(t, (0.4, Floor("user_stops", 100)), (0.5, Floor("user_starts", 10**9)))
    play(t, (0.6, Heard("words", final=True)), (0.7, Call(0, name="f", delta="{}", final=True)))
    play(t, *words("One", 1.0), *words("Two", 2.0), (2.3, Done()), (2.4, Done()))
    t.run(3.0)
    assert t.types() == ["session.created", *REPLY, *REPLY]


def test_a_reply_that_reaches_its_limit_is_hushed_once() -> None:
    t = with_model()
    t.client_sends(0.0, update(max_output_tokens=10))
    play(t, *words("one two three four five six seven eight nine ten", 1.0))
    t.run(6.0)
    (done,) = t.events(ResponseDone)
    assert done.response.status == "incomplete"
    assert t.engine.hushes == 1


def test_nothing_of_a_reply_is_heard_behind_a_call_that_reached_the_limit() -> None:
    t = with_model()
    t.client_sends(0.0, update(max_output_tokens=1, tools=[TOOL]))
    call = Call(0, "look", "{}", final=True, tokens=5)
    play(t, (1.0, Floor("reply_starts", 1000)), (1.1, call), (1.2, Say("Hello", b"", 5)))
    play(t, (1.5, Done()))
    t.run(4.0)
    assert [event.response.status for event in t.events(ResponseDone)] == ["incomplete"]
    assert t.engine.hushes == 1


def test_a_prompt_that_is_asked_for_is_that_of_the_reply() -> None:
    version = PromptVersion(output_modalities=("text",), max_output_tokens=7)
    prompts = {"brief": StoredPrompt(current="1", versions={"1": version})}
    t = Timeline(SessionConfig(id="sess_live", model="moshi", duplex=True, prompts=prompts))
    t.client_sends(0.5, create(prompt={"id": "brief"}))
    play(t, *words("one two", 1.0), (2.0, Done()))
    t.run(3.0)
    (nudge,) = t.engine.nudges
    assert (nudge.speak, nudge.max_tokens) == (False, 7)
    response = t.events(ResponseDone)[0].response
    assert (response.output_modalities, response.max_output_tokens) == (("text",), 7)
