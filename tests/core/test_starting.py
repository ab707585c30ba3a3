"""The session that a secret or a call would make is the one it makes."""

import msgspec
import pytest

from duologue.core.settings import SessionConfig
from duologue.core.starting import starting_session
from duologue.errors import Refusal
from duologue.events import (
    ConversationCreated,
    ResponseCreated,
    SessionCreated,
    SessionUpdated,
    SessionUpdateParams,
)
from duologue.events.translation import TranslationSessionUpdate
from duologue.runtime.recorder import TapeHeader
from duologue.testing.timeline import Timeline
from session_kit import update

START = {
    "type": "realtime",
    "instructions": "Be brief.",
    "audio": {
        "input": {
            "turn_detection": {"type": "server_vad", "silence_duration_ms": 900},
            "noise_reduction": {"type": "near_field"},
            "transcription": None,
        },
        "output": {"voice": "marin"},
    },
    "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}],
    "tool_choice": {"type": "function", "name": "f"},
}


def bound(start: dict[str, object]) -> SessionConfig:
    change = msgspec.convert(start, SessionUpdateParams)  # type: ignore[call-overload]
    return SessionConfig(
        id="sess_1", model="scripted", type=change.__struct_config__.tag, start=change
    )


def test_a_session_begins_as_it_was_shown_and_as_an_update_would_have_made_it() -> None:
    shown = starting_session(bound(START))
    t = Timeline(bound(START))
    assert t.events(SessionCreated)[0].session == shown

    updated = Timeline(SessionConfig(id="sess_1", model="scripted"))
    updated.client_sends(0.1, update(**START))
    updated.run(0.2)
    assert updated.events(SessionUpdated)[0].session == shown


def test_the_bound_turn_detection_is_the_clients_own_and_is_in_force() -> None:
    t = Timeline(bound(START))
    t.user_speaks(0.5, 1.0)
    t.run(1.7)
    assert "input_audio_buffer.speech_stopped" not in t.types()
    t.run(2.2)
    assert "input_audio_buffer.speech_stopped" in t.types()


@pytest.mark.conformance("C-024")
def test_what_was_bound_can_be_overridden() -> None:
    t = Timeline(bound(START))
    t.client_sends(0.1, update(instructions="Be long.", tools=[]))
    t.run(0.2)
    session = t.events(SessionUpdated)[0].session
    assert (session.instructions, session.tools) == ("Be long.", ())
    assert session.audio.output.voice == "marin"


def test_a_session_that_named_no_model_may_still_name_one_after_a_start() -> None:
    start = msgspec.convert({"type": "realtime"}, SessionUpdateParams)  # type: ignore[call-overload]
    t = Timeline(SessionConfig(id="sess_1", model="own", model_is_open=True, start=start))
    t.client_sends(0.1, update(model="gpt-realtime"))
    t.run(0.2)
    assert t.events(SessionUpdated)[0].session.model == "gpt-realtime"


def test_what_an_update_would_be_refused_is_refused_with_its_path() -> None:
    for start, code, param in (
        ({"audio": {"output": {"voice": "basso"}}}, "invalid_value", "session.audio.output.voice"),
        ({"prompt": {"id": "pmpt_1"}}, "invalid_value", "session.prompt.id"),
        ({"tools": [{"type": "function", "name": "f"}] * 2}, "invalid_value",
         "session.tools[1].name"),
    ):  # fmt: skip
        with pytest.raises(Refusal) as refusal:
            starting_session(bound({"type": "realtime", **start}))
        assert (refusal.value.code, refusal.value.param) == (code, param)


def test_a_tape_keeps_what_the_session_began_with() -> None:
    header = TapeHeader(bound(START), "1", 0.0)
    assert msgspec.json.decode(msgspec.json.encode(header), type=TapeHeader) == header


def test_a_transcription_session_shows_what_was_left_out() -> None:
    whole = starting_session(
        bound(
            {
                "type": "transcription",
                "include": ["item.input_audio_transcription.logprobs"],
                "audio": {
                    "input": {
                        "transcription": {"model": "gpt-4o-transcribe"},
                        "noise_reduction": {"type": "far_field"},
                    }
                },
            }
        )
    )
    raw = msgspec.to_builtins(whole)
    assert raw["object"] == "realtime.transcription_session"
    assert raw["include"] == ("item.input_audio_transcription.logprobs",)
    audio = raw["audio"]["input"]
    assert audio["transcription"] == {
        "model": "gpt-4o-transcribe",
        "language": None,
        "prompt": None,
    }
    assert audio["noise_reduction"] == {"type": "far_field", "strength": 1.0}
    assert audio["turn_detection"]["type"] == "server_vad"
    assert "create_response" not in audio["turn_detection"]


def translation(language: str) -> SessionConfig:
    start = msgspec.convert({"audio": {"output": {"language": language}}}, TranslationSessionUpdate)
    return SessionConfig(
        id="sess_1", model="gpt-realtime-translate", type="translation", translation_start=start
    )


def test_a_translation_session_has_the_language_that_was_asked_for() -> None:
    assert msgspec.to_builtins(starting_session(translation("en-GB"))) == {
        "type": "translation",
        "id": "sess_1",
        "model": "gpt-realtime-translate",
        "expires_at": 0,
        "audio": {
            "input": {"transcription": None, "noise_reduction": None},
            "output": {"language": "en-GB"},
        },
    }


@pytest.mark.parametrize("start", [{}, {"audio": {}}, {"audio": {"input": {}}}])
def test_a_transcription_session_that_asks_for_nothing_has_the_defaults(
    start: dict[str, object],
) -> None:
    whole = starting_session(bound({"type": "transcription", **start}))
    assert whole == starting_session(bound({"type": "transcription"}))


@pytest.mark.parametrize(
    ("audio", "shown"),
    [
        ({}, {"input": {"transcription": None, "noise_reduction": None}}),
        (
            {
                "input": {
                    "transcription": {"model": "whisper-1"},
                    "noise_reduction": {"type": "near_field"},
                }
            },
            {
                "input": {
                    "transcription": {"model": "whisper-1"},
                    "noise_reduction": {"type": "near_field", "strength": 1.0},
                }
            },
        ),
    ],
)
def test_a_translation_session_hears_as_it_was_asked_to(
    audio: dict[str, object], shown: dict[str, object]
) -> None:
    start = msgspec.convert({"audio": audio}, TranslationSessionUpdate)
    whole = starting_session(
        SessionConfig(id="sess_1", model="scripted", type="translation", translation_start=start)
    )
    assert msgspec.to_builtins(whole)["audio"] == {**shown, "output": {"language": "en"}}


def test_the_conversation_is_announced_where_the_owner_wants_it() -> None:
    config = SessionConfig(id="sess_1", model="scripted", announces_conversation=True)
    t = Timeline(config)
    assert t.types() == ["session.created", "conversation.created"]
    t.client_sends(0.1, {"type": "response.create"})
    t.run(0.2)
    created = t.events(ConversationCreated)[0].conversation.id
    assert t.events(ResponseCreated)[0].response.conversation_id == created


def test_the_edge_is_told_how_the_session_listens() -> None:
    t = Timeline(bound(START))
    assert t.session.audio_input == t.events(SessionCreated)[0].session.audio.input


def test_a_language_that_is_not_spoken_here_cannot_be_bound() -> None:
    with pytest.raises(Refusal) as refusal:
        starting_session(translation("es"))
    assert refusal.value.param == "session.audio.output.language"


@pytest.mark.parametrize("kind", ["transcription", "translation"])
def test_sessions_of_every_kind_begin_as_they_were_shown(kind: str) -> None:
    config = bound({"type": "transcription", "audio": {"input": {"turn_detection": None}}})
    if kind == "translation":
        config = translation("en-GB")
    t = Timeline(config)
    assert t.sent[0][1].session == starting_session(config)
    assert kind != "transcription" or not t.session.scores_audio
