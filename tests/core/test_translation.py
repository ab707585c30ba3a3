"""A translation session: segments by voice activity, output in their order, a clean close."""

import pytest

from duologue.core import inputs
from duologue.core.settings import SessionConfig
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
