"""A translation session: segments by voice activity, output in their order, a clean close."""

import pytest

from duologue.core import inputs
from duologue.core.rate_limits import Allowance
from duologue.core.settings import SessionConfig
from duologue.core.talk import Done, Say, Transcript
from duologue.events import AudioPcm, Error
from duologue.events.translation import (
    SessionInputTranscriptDelta,
    SessionOutputAudioDelta,
    SessionOutputTranscriptDelta,
    TranslationCreated,
    TranslationUpdated,
)
from duologue.testing.timeline import Timeline
from session_kit import codes

CONFIG = SessionConfig(
    id="sess_t", model="gpt-realtime-translate", type="translation", expires_at=9
)
CLOSE = {"type": "session.close"}


def change(**session: object) -> dict[str, object]:
    return {"type": "session.update", "session": session}


@pytest.mark.conformance("C-183")
def test_it_begins_with_its_own_kind_of_session() -> None:
    t = Timeline(CONFIG)
    (created,) = t.events(TranslationCreated)
    assert created.session.model == "gpt-realtime-translate"
    assert created.session.expires_at == 9
    assert created.session.audio.output.language == "en"
    assert created.session.audio.input.transcription is None


@pytest.mark.conformance("C-184", "C-185")
def test_speech_is_translated_without_a_word_from_the_client() -> None:
    t = Timeline(CONFIG)
    t.engine.says("Good day.")
    t.engine.says("How are you?")
    t.user_speaks(0.5, 1.5)
    t.user_speaks(3.0, 4.0)
    t.run(7.0)
    said = t.events(SessionOutputTranscriptDelta)
    assert "".join(event.delta for event in said) == "Good day. How are you?"
    sound = t.events(SessionOutputAudioDelta)
    assert sum(len(event.delta) for event in sound) == 5 * 200 * 48
    assert all(event.elapsed_ms % 200 == 0 for event in [*said, *sound])
    elapsed = [event.elapsed_ms for event in said]
    assert elapsed == sorted(elapsed) and 1600 <= elapsed[0] < 2400 and elapsed[-1] > 4000
    assert t.events(SessionInputTranscriptDelta) == [] and t.transcriptions == []


@pytest.mark.conformance("C-185")
def test_what_was_said_is_written_down_where_it_is_asked_for() -> None:
    t = Timeline(CONFIG)
    t.transcripts = ["Bonjour.", "Ça va ?"]
    t.client_sends(0.1, change(audio={"input": {"transcription": {"model": "whisper-1"}}}))
    t.user_speaks(0.5, 1.5)
    t.user_speaks(3.0, 4.0)
    t.run(7.0)
    heard = t.events(SessionInputTranscriptDelta)
    assert "".join(event.delta for event in heard) == "Bonjour. Ça va ?"


@pytest.mark.conformance("C-186")
def test_closing_translates_what_is_there_and_says_so_last() -> None:
    t = Timeline(CONFIG)
    t.engine.says("Good day.", after_s=2.0)
    t.user_speaks(0.5, 9.0)
    t.client_sends(1.5, CLOSE)
    t.run(6.0)
    assert t.types() == [
        "session.created",
        "session.output_transcript.delta",
        "session.output_audio.delta",
        "session.closed",
    ]
    assert len(t.translations) == 1
    assert t.closed is not None and t.closed.code == 1000


def test_closing_in_silence_is_done_at_once() -> None:
    t = Timeline(CONFIG)
    t.client_sends(1.0, CLOSE)
    t.run(1.1)
    assert t.types() == ["session.created", "session.closed"] and t.translations == []


def test_long_speech_is_cut_so_that_output_flows() -> None:
    t = Timeline(CONFIG)
    t.engine.says("First.")
    t.user_speaks(0.5, 40.0)
    t.run(20.0)
    assert t.types()[-1] == "session.output_audio.delta"
    assert 15.0 <= t.translations[0] / 48_000 < 15.1


def test_a_server_that_falls_behind_says_so_once_and_goes_on() -> None:
    t = Timeline(CONFIG)
    t.user_speaks(0.5, 400.0)
    t.run(300.0)  # the first segment is never translated
    assert codes(t) == ["overloaded"]
    assert len(t.translations) == 1


def test_a_failed_segment_is_an_error_and_the_next_is_translated() -> None:
    t = Timeline(CONFIG)
    t.engine.answers(inputs.ReplyFailed("", "engine_error", "Tongue-tied."))
    t.engine.says("Good day.")
    t.user_speaks(0.5, 1.5)
    t.user_speaks(3.0, 4.0)
    t.run(7.0)
    (error,) = t.events(Error)
    assert (error.error.type, error.error.code) == ("server_error", "engine_error")
    assert t.types()[-1] == "session.output_audio.delta"


@pytest.mark.conformance("C-187")
def test_language_and_transcription_change_and_nothing_else() -> None:
    t = Timeline(CONFIG)
    t.client_sends(0.1, change(audio={"output": {"language": "en-GB"}}))
    t.client_sends(0.2, change(model="gpt-realtime-translate", type="translation"))
    t.client_sends(0.3, change(model="another"))
    t.client_sends(0.4, change(audio={"output": {"language": "fr"}}))
    t.client_sends(0.5, change(audio={"input": {"transcription": {"model": "parakeet"}}}))
    t.client_sends(0.6, change(audio={"input": {"noise_reduction": {"type": "near_field"}}}))
    t.run(1.0)
    assert [event.error.param for event in t.events(Error)] == [
        "session.model",
        "session.audio.output.language",
        "session.audio.input.transcription.model",
    ]
    assert set(codes(t)) == {"invalid_value"}
    session = t.events(TranslationUpdated)[-1].session
    assert session.audio.output.language == "en-GB"
    assert session.audio.input.noise_reduction.strength == 1.0
    assert session.audio.input.transcription is None
    listening = t.session.audio_input  # what the edge is told: 24 kHz PCM, and the cleaning
    assert isinstance(listening.format, AudioPcm)
    assert listening.noise_reduction == session.audio.input.noise_reduction
    assert len(t.events(TranslationUpdated)) == 3


def transcribing() -> Timeline:
    t = Timeline(CONFIG)
    t.client_sends(0.1, change(audio={"input": {"transcription": {"model": "whisper-1"}}}))
    return t


def test_a_failed_input_transcript_is_an_error_and_the_later_ones_come() -> None:
    t = transcribing()
    t.user_speaks(0.5, 1.5)
    t.user_speaks(3.0, 4.0)
    t.transcripts = ["Bonjour.", "Ça va ?"]
    until_s = 1.5
    while not t.transcriptions:
        t.run(until_s := until_s + 0.05)
    t.enter(until_s, inputs.TranscriptionFailed("job_1", "overloaded", "Too much."))
    t.run(7.0)
    (error,) = t.events(Error)
    assert (error.error.type, error.error.code) == ("server_error", "overloaded")
    assert [event.delta for event in t.events(SessionInputTranscriptDelta)] == ["Ça va ?"]
    t.enter(7.1, inputs.TranscriptionFailed("job_1", "overloaded", "Again."))
    t.run(7.2)
    assert len(t.events(Error)) == 1, "its fate was told"


def test_input_transcripts_come_in_the_order_of_speech_whichever_is_done_first() -> None:
    t = transcribing()
    t.user_speaks(0.5, 1.5)
    t.transcripts = ["Bonjour."]
    until_s = 1.5
    while not t.transcriptions:
        t.run(until_s := until_s + 0.002)
    t.microphone = False
    for n, speech in enumerate([1.0] * 4 + [0.0] * 13):  # a word and a pause, faster than life
        at_s = until_s + 0.002 * n
        t.enter(at_s, inputs.AudioReceived(bytes(32 * 48), speech))
    t.run(until_s + 0.05)
    assert len(t.transcriptions) == 2
    t.enter(until_s + 0.06, inputs.Transcribed("job_3", Transcript("Ça va ?", 0.5)))
    t.run(until_s + 0.1)
    assert t.events(SessionInputTranscriptDelta) == []
    t.run(until_s + 1.0)
    heard = t.events(SessionInputTranscriptDelta)
    assert [event.delta for event in heard] == ["Bonjour.", " Ça va ?"]
    assert heard[0].elapsed_ms < heard[1].elapsed_ms


def test_the_part_of_an_input_transcript_waits_for_the_whole() -> None:
    t = transcribing()
    t.user_speaks(0.5, 1.5)
    t.transcripts = ["Bonjour à tous."]
    until_s = 1.5
    while not t.transcriptions:
        t.run(until_s := until_s + 0.05)
    t.enter(until_s, inputs.TranscribedPart("job_1", "Bonjour"))
    t.run(3.0)
    assert [event.delta for event in t.events(SessionInputTranscriptDelta)] == ["Bonjour à tous."]


def test_a_segment_without_words_adds_nothing_to_the_input_transcript() -> None:
    t = transcribing()
    t.user_speaks(0.5, 1.5)
    t.user_speaks(3.0, 4.0)
    t.user_speaks(5.5, 6.5)
    t.transcripts = ["Bonjour.", "", "Ça va ?"]
    t.run(9.0)
    heard = [event.delta for event in t.events(SessionInputTranscriptDelta)]
    assert heard == ["Bonjour.", " Ça va ?"]


def test_sound_without_text_and_text_without_sound_are_both_told() -> None:
    t = Timeline(CONFIG)
    t.engine.answers(Say("Good day.", b""), Say("", bytes(48_000)), Done())
    t.user_speaks(0.5, 1.5)
    t.run(4.0)
    assert [event.delta for event in t.events(SessionOutputTranscriptDelta)] == ["Good day."]
    assert [len(event.delta) for event in t.events(SessionOutputAudioDelta)] == [24_000, 24_000]


def test_what_a_job_says_after_its_end_is_not_told() -> None:
    t = transcribing()
    t.engine.says("Good day.")
    t.transcripts = ["Bonjour."]
    t.user_speaks(0.5, 1.5)
    t.run(4.0)
    told = len(t.sent)
    for job in ("job_1", "job_2"):
        t.enter(4.1, inputs.ReplyEvent(job, Say("More.", bytes(4800))))
        t.enter(4.2, inputs.ReplyFailed(job, "engine_error", "Tongue-tied."))
        t.enter(4.3, inputs.Transcribed(job, Transcript("Encore.", 1.0)))
    t.run(4.4)
    assert len(t.sent) == told


@pytest.mark.conformance("C-186")
def test_closing_twice_is_closing_once() -> None:
    t = Timeline(CONFIG)
    t.engine.says("Good day.", after_s=2.0)
    t.user_speaks(0.5, 1.5)
    t.client_sends(2.5, CLOSE)
    t.client_sends(2.6, CLOSE)
    t.run(6.0)
    assert t.types()[-1] == "session.closed" and t.types().count("session.closed") == 1
    assert codes(t) == []


def test_what_is_left_right_after_a_cut_is_too_short_to_translate() -> None:
    t = Timeline(CONFIG)
    t.engine.says("First.", after_s=1.0)
    t.user_speaks(0.5, 40.0)
    until_s = 15.0
    while not t.translations:
        t.run(until_s := until_s + 0.032)
    t.client_sends(until_s + 0.04, CLOSE)
    t.run(until_s + 5.0)
    assert len(t.translations) == 1
    assert t.types()[-1] == "session.closed"


def test_sound_that_is_not_scored_ends_no_pause_and_is_translated_with_the_rest() -> None:
    t = Timeline(CONFIG)
    t.engine.says("Good day.")
    t.user_speaks(0.5, 1.5)
    t.enter(1.0, inputs.AudioReceived(bytes(480)))  # less than a window was left
    t.run(4.0)
    plain = Timeline(CONFIG)
    plain.user_speaks(0.5, 1.5)
    plain.run(4.0)
    assert t.translations == [plain.translations[0] + 480]


def test_an_update_of_the_output_that_names_no_language_keeps_it() -> None:
    t = Timeline(CONFIG)
    t.client_sends(0.1, change(audio={"output": {"language": "en-GB"}}))
    t.client_sends(0.2, change(audio={"output": {}}))
    t.run(0.3)
    shown = [event.session.audio.output.language for event in t.events(TranslationUpdated)]
    assert shown == ["en-GB", "en-GB"]


def test_a_frame_that_cannot_be_read_is_refused_by_its_id() -> None:
    t = Timeline(CONFIG)
    t.client_sends(0.1, {"type": "response.create", "event_id": "mine"})
    t.run(0.2)
    (error,) = t.events(Error)
    assert (error.error.code, error.error.param) == ("invalid_value", "type")
    assert error.error.event_id == "mine"


def test_limits_of_responses_do_not_touch_it() -> None:
    t = Timeline(CONFIG)
    t.enter(0.1, inputs.AllowanceChanged(Allowance(100.0, "requests", 1)))
    t.enter(0.2, inputs.LimitsUpdated(()))
    t.engine.says("Good day.")
    t.user_speaks(0.5, 1.5)
    t.run(4.0)
    assert t.types() == [
        "session.created",
        "session.output_transcript.delta",
        "session.output_audio.delta",
    ]
