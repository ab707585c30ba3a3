"""The transcript of what the user says: models by name, words before the commit, failures."""

import array

import pytest
from msgspec import UNSET, structs

from duologue.core import inputs
from duologue.core.agreement import Agreement
from duologue.core.talk import Transcript
from duologue.core.transcription_models import TranscriptionModels
from duologue.events import (
    ConversationItemInputAudioTranscriptionCompleted as Completed,
)
from duologue.events import (
    ConversationItemInputAudioTranscriptionDelta as Delta,
)
from duologue.events import (
    ConversationItemInputAudioTranscriptionFailed as Failed,
)
from duologue.events import (
    ConversationItemRetrieved,
    Error,
    InputAudioBufferCommitted,
    LogProb,
    ResponseCreated,
    SessionUpdated,
)
from duologue.testing.timeline import Timeline
from session_kit import update

COMMIT = {"type": "input_audio_buffer.commit"}


def transcribing(t: Timeline, at_s: float = 0.0, *, vad: bool = False, **transcription) -> None:
    settings: dict[str, object] = {"transcription": {"model": "whisper-1", **transcription}}
    if not vad:
        settings["turn_detection"] = None
    t.client_sends(at_s, update(audio={"input": settings}))


def deltas(t: Timeline) -> str:
    return "".join(event.delta for event in t.events(Delta))


@pytest.mark.conformance("C-105")
@pytest.mark.parametrize(
    "model",
    [
        *("whisper-1", "gpt-transcribe", "gpt-live-transcribe", "gpt-4o-transcribe"),
        *("gpt-4o-mini-transcribe", "gpt-4o-mini-transcribe-2025-12-15"),
        *("gpt-4o-transcribe-diarize", "gpt-realtime-whisper"),
    ],
)
def test_the_names_that_applications_use_are_accepted_and_echoed(model: str) -> None:
    t = Timeline()
    transcribing(t, model=model)
    t.run(0.1)
    (updated,) = t.events(SessionUpdated)
    shown = updated.session.audio.input.transcription
    assert (shown.model, shown.language, shown.prompt) == (model, None, None)


def test_an_unknown_model_is_refused_and_those_that_there_are_listed() -> None:
    t = Timeline()
    transcribing(t, model="parakeet")
    t.run(0.1)
    (error,) = t.events(Error)
    assert error.error.code == "invalid_value"
    assert error.error.param == "session.audio.input.transcription.model"
    assert "'whisper-1'" in error.error.message
    assert t.events(SessionUpdated) == []


def test_any_name_is_accepted_where_the_server_says_so() -> None:
    models = TranscriptionModels(is_open=True)
    assert models.find("parakeet") == "whisper-1"
    assert models.find("gpt-4o-transcribe-2031-01-01") == "gpt-4o-transcribe"


def test_a_language_that_the_model_does_not_know_is_refused() -> None:
    t = Timeline()
    config = structs.replace(
        t.config, transcription_models=TranscriptionModels(languages={"whisper-1": ("en",)})
    )
    t = Timeline(config)
    transcribing(t, 0.0, language="de")
    transcribing(t, 0.1, languages=["de", "fr"])
    transcribing(t, 0.2, language="en-US")
    t.run(0.5)
    params = [event.error.param for event in t.events(Error)]
    prefix = "session.audio.input.transcription"
    assert params == [f"{prefix}.language", f"{prefix}.languages"]
    assert len(t.events(SessionUpdated)) == 1


def test_language_prompt_and_keywords_reach_the_transcriber() -> None:
    t = Timeline()
    transcribing(t, language="en-GB", languages=["en", "de"], prompt="A talk.", keywords=["Ada"])
    t.client_sends(1.0, COMMIT)
    t.run(2.0)
    ((_, ask),) = t.transcriptions
    assert (ask.language, ask.languages, ask.hints) == ("en", ("en", "de"), "A talk. Ada")
    assert (ask.prompt, ask.keywords) == ("A talk.", ("Ada",))
    assert not ask.logprobs and not ask.partial and not ask.prefix


@pytest.mark.conformance("C-097")
def test_without_transcription_nothing_is_transcribed() -> None:
    t = Timeline()
    t.user_speaks(0.5, 1.5)
    t.engine.says("Yes.")
    t.run(4.0)
    assert t.transcriptions == [] and t.events(Delta) == [] and t.events(Completed) == []


@pytest.mark.conformance("C-098", "C-103")
def test_silence_completes_with_an_empty_transcript_and_real_seconds() -> None:
    t = Timeline()
    transcribing(t)
    t.client_sends(1.0, COMMIT)
    t.run(2.0)
    (completed,) = t.events(Completed)
    assert completed.transcript == "" and completed.content_index == 0
    assert 0.9 < completed.usage.seconds <= 1.0
    assert t.events(Delta) == []


@pytest.mark.conformance("C-100", "C-101")
def test_a_failure_is_told_by_failed_alone_and_the_answer_comes() -> None:
    t = Timeline()
    transcribing(t, vad=True)
    t.user_speaks(0.5, 1.5)
    t.engine.says("Yes.")
    until_s = 1.5
    while not t.transcriptions:
        t.run(until_s := until_s + 0.05)
    t.enter(until_s, inputs.TranscriptionFailed("job_1", "overloaded", "Too much."))
    t.run(4.0)
    assert len(t.events(ResponseCreated)) == 1 and "response.done" in t.types()
    (failed,) = t.events(Failed)
    assert (failed.error.type, failed.error.code) == ("server_error", "overloaded")
    assert failed.error.param is UNSET
    assert t.events(Completed) == [] and t.events(Error) == []


@pytest.mark.conformance("C-068", "C-102")
def test_log_probabilities_come_only_where_included() -> None:
    logprob = LogProb(token="Hi", logprob=-0.1, bytes=(72, 105))
    for include in (None, ["item.input_audio_transcription.logprobs"]):
        t = Timeline()
        transcribing(t)
        t.client_sends(0.1, update(include=include))
        t.client_sends(1.0, COMMIT)
        t.run(1.05)
        ((_, ask),) = t.transcriptions
        assert ask.logprobs is bool(include)
        found = (logprob,) if ask.logprobs else None
        t.enter(1.06, inputs.Transcribed("job_1", Transcript("Hi", 1.0, None, found)))
        t.run(1.1)
        (completed,) = t.events(Completed)
        (delta,) = t.events(Delta)
        assert (completed.logprobs or None) == (delta.logprobs or None) == found


@pytest.mark.conformance("C-099")
def test_the_pieces_of_a_long_item_are_told_as_they_come() -> None:
    t = Timeline()
    transcribing(t)
    t.client_sends(1.0, COMMIT)
    t.run(1.05)
    t.enter(1.06, inputs.TranscribedPart("job_1", "One two."))
    t.enter(1.07, inputs.TranscribedPart("job_1", "Three."))
    t.enter(1.08, inputs.Transcribed("job_1", Transcript("One two. Three. Four.", 1.0, "en")))
    t.run(1.1)
    assert [event.delta for event in t.events(Delta)] == ["One two.", " Three.", " Four."]
    (completed,) = t.events(Completed)
    assert completed.transcript == "One two. Three. Four."
    assert [language.code for language in completed.languages] == ["en"]


@pytest.mark.conformance("C-099", "C-104")
def test_words_are_told_while_they_are_spoken_and_never_taken_back() -> None:
    t = Timeline()
    transcribing(t, model="gpt-realtime-whisper")
    t.hypotheses = ["How many", "How many ounces.", "How many ounces are", "How many ounces are in"]
    t.transcripts = ["How many ounces are in a pound?"]
    t.client_sends(5.5, COMMIT)
    t.run(5.0)
    before = t.events(Delta)
    assert [event.delta for event in before] == ["How many", " ounces are"]
    t.run(7.0)
    (committed,) = t.events(InputAudioBufferCommitted)
    assert {event.item_id for event in before} == {committed.item_id}
    types = t.types()
    name = "conversation.item.input_audio_transcription"
    assert types.index(f"{name}.delta") < types.index("input_audio_buffer.committed")
    assert types.index("input_audio_buffer.committed") < types.index(f"{name}.completed")
    (completed,) = t.events(Completed)
    assert deltas(t) == completed.transcript == "How many ounces are in a pound?"
    assert completed.usage.seconds == 6.0  # whole seconds for a streaming model
    (whole,) = [ask for _, ask in t.transcriptions if not ask.partial]
    assert whole.prefix == "How many ounces are"
    t.client_sends(7.1, {"type": "conversation.item.retrieve", "item_id": committed.item_id})
    t.run(7.2)
    (retrieved,) = t.events(ConversationItemRetrieved)
    assert retrieved.item.content[0].transcript == completed.transcript


def test_a_transcript_that_goes_back_on_what_was_told_does_not_count() -> None:
    t = Timeline()
    transcribing(t, delay="minimal")
    t.hypotheses = ["Go on", "Go on now"]
    t.transcripts = ["Gone."]
    t.client_sends(2.0, COMMIT)
    t.run(3.0)
    (completed,) = t.events(Completed)
    assert deltas(t) == completed.transcript == "Go on"


def test_one_hypothesis_at_a_time_is_asked_for() -> None:
    t = Timeline()
    transcribing(t, model="gpt-realtime-whisper", delay="minimal")
    t.run(10.0)
    assert len(t.transcriptions) == 1, "the first was never answered"


def test_in_a_pause_nothing_stands_in_the_way_of_the_answer() -> None:
    t = Timeline()
    transcribing(t, vad=True, model="gpt-realtime-whisper", delay="minimal")
    t.user_speaks(0.5, 1.5)
    t.engine.says("Yes.")
    t.run(1.9)
    (job,) = t.engine.cancelled
    assert job.startswith("job_")
    asked = len(t.transcriptions)
    t.run(2.0)
    assert [ask.partial for _, ask in t.transcriptions[asked:]] in ([], [False])


def test_nothing_is_told_of_sound_that_was_cleared() -> None:
    t = Timeline()
    transcribing(t, model="gpt-realtime-whisper", delay="minimal")
    t.hypotheses = ["One two", "One two three"]
    t.client_sends(0.7, {"type": "input_audio_buffer.clear"})
    t.run(0.9)
    assert t.events(Delta) == []


def test_growing_sound_is_looked_at_in_pieces_of_bounded_length() -> None:
    t = Timeline()
    transcribing(t, model="gpt-realtime-whisper", delay="xhigh")
    t.hypotheses = ["words"] * 100
    t.transcripts = ["words one.", "words two.", "words three."]
    t.client_sends(61.0, COMMIT)
    t.run(62.0)
    longest_s = max(size for size, _ in t.transcriptions) / 48_000
    assert longest_s < 27
    wholes = [size for size, ask in t.transcriptions if not ask.partial]
    assert len(wholes) == 3 and 60 < sum(wholes) / 48_000 < 61.1
    (completed,) = t.events(Completed)
    assert deltas(t) == completed.transcript == "words one. words two. words three."


def test_a_piece_is_cut_where_it_is_quietest() -> None:
    t = Timeline()
    t.microphone = False
    transcribing(t, model="gpt-realtime-whisper", delay="xhigh")
    t.hypotheses = ["words"] * 100
    for end_ms in range(32, 30_000, 32):
        level = 20 if end_ms == 24_000 else 900
        window = array.array("h", [level] * 768).tobytes()
        t.enter(end_ms / 1000, inputs.AudioReceived(window))
    t.run(30.0)
    (closed,) = [size for size, ask in t.transcriptions if not ask.partial]
    assert closed == 24_000 * 48


def test_a_hypothesis_that_fails_is_no_fault_and_the_sound_is_looked_at_again() -> None:
    t = Timeline()
    transcribing(t, model="gpt-realtime-whisper", delay="minimal")
    t.run(0.6)
    assert len(t.transcriptions) == 1
    t.enter(0.6, inputs.TranscriptionFailed("job_1", "overloaded", "Too much."))
    t.hypotheses = ["One two", "One two three"]
    t.run(2.0)
    assert deltas(t) == "One two"
    assert t.events(Failed) == [] and t.events(Error) == []


def test_of_a_hypothesis_only_the_whole_counts() -> None:
    t = Timeline()
    transcribing(t, model="gpt-realtime-whisper", delay="minimal")
    t.run(0.6)
    t.enter(0.6, inputs.TranscribedPart("job_1", "One"))
    t.run(0.7)
    assert t.events(Delta) == []
    t.enter(0.7, inputs.Transcribed("job_1", Transcript("One two", 0.6)))
    t.hypotheses = ["One two three"]
    t.run(1.5)
    assert deltas(t) == "One two"


def test_two_hypotheses_agree_word_by_word() -> None:
    agreement = Agreement()
    assert agreement.take("Hello") == ""
    assert agreement.take("Hello there.") == "Hello"
    assert agreement.take("Hello there my") == ""
    assert agreement.take("Hello there my friend") == " there my"
    assert agreement.take("Goodbye") == "", "not a word is taken back"
    assert agreement.agreed == "Hello there my"


def test_scripts_without_spaces_agree_letter_by_letter() -> None:
    agreement = Agreement()
    agreement.take("今日は天")
    assert agreement.take("今日は天気") == "今日は天"
