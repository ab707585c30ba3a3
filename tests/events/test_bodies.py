"""Bodies of HTTP requests that mint secrets: judged as client events are, by path."""

import json
from typing import Any

import pytest

from duologue.errors import Refusal
from duologue.events import RealtimeSession, TranscriptionSession
from duologue.events.beta_secrets import (
    BetaClientSecret,
    BetaSessionCreate,
    BetaSessionWithSecret,
    BetaTranscriptionSessionCreate,
    BetaTranscriptionSessionWithSecret,
    beta_refusal,
    decode_beta_body,
    with_secret,
)
from duologue.events.client_secrets import ClientSecretCreate, TranslationClientSecretCreate
from duologue.events.codec import decode_body
from duologue.events.session import Audio, AudioOutput
from events.frames import refused

SECRET = BetaClientSecret(value="ek_1", expires_at=60)


def body(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


@pytest.mark.conformance("C-021")
def test_no_body_asks_for_ten_minutes_and_the_server_s_own_session() -> None:
    for data in (b"", b"{}"):
        wanted = decode_body(data, ClientSecretCreate)
        assert (wanted.expires_after.seconds, wanted.expires_after.anchor) == (600, "created_at")
        assert not wanted.session


@pytest.mark.conformance("C-021")
@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"expires_after": {"seconds": 9}}, "integer_below_min_value", "expires_after.seconds"),
        ({"expires_after": {"seconds": 7201}}, "integer_above_max_value", "expires_after.seconds"),
        ({"expires_after": {"anchor": "now"}}, "invalid_value", "expires_after.anchor"),
        ({"session": {}}, "missing_required_parameter", "session.type"),
    ],
)
def test_a_body_that_cannot_be_is_refused_by_path(
    fields: dict[str, Any], code: str, param: str
) -> None:
    with refused(code, param):
        decode_body(body(**fields), ClientSecretCreate)


def test_old_spellings_and_unknown_keys_are_for_servers_that_are_not_strict() -> None:
    choice = {"type": "function", "function": {"name": "f"}}
    data = body(session={"type": "realtime", "tool_choice": choice}, surplus=1)
    session: Any = decode_body(data, ClientSecretCreate).session
    assert session.tool_choice.name == "f"
    with refused("unknown_parameter", "surplus"):
        decode_body(body(surplus=1), ClientSecretCreate, strict=True)


def test_a_translation_must_name_its_model() -> None:
    wanted = decode_body(body(session={"model": "m"}), TranslationClientSecretCreate)
    assert (wanted.session.type, wanted.session.model) == ("translation", "m")
    with refused("missing_required_parameter", "session.model"):
        decode_body(body(session={}), TranslationClientSecretCreate)


@pytest.mark.conformance("C-203")
def test_a_beta_body_is_a_flat_session_and_the_answer_one_with_its_secret() -> None:
    choice = {"type": "function", "function": {"name": "f"}}
    tools = [{"type": "function", "name": "f"}]
    data = body(voice="marin", temperature=0.7, tools=tools, tool_choice=choice)
    wanted = decode_beta_body(data, BetaSessionCreate, strict=False)
    start: Any = wanted.start
    assert (start.audio.output.voice, start.tool_choice.name) == ("marin", "f")
    assert (wanted.client_secret.seconds, wanted.shown_temperature) == (60, 0.7)

    audio = Audio(output=AudioOutput(voice="marin"))
    session = RealtimeSession(id="sess_1", model="m", expires_at=0, audio=audio)
    answer = with_secret(session, 0.7, SECRET)
    assert isinstance(answer, BetaSessionWithSecret)
    assert (answer.client_secret, answer.voice, answer.temperature) == (SECRET, "marin", 0.7)


@pytest.mark.parametrize("named", ["expires_at", "expires_after"])
def test_a_beta_transcription_body_calls_the_life_of_its_secret_by_either_name(named: str) -> None:
    detection = {"type": "semantic_vad", "eagerness": "low"}
    data = body(turn_detection=detection, client_secret={named: {"seconds": 90}})
    wanted = decode_beta_body(data, BetaTranscriptionSessionCreate, strict=False)
    start: Any = wanted.start
    assert start.audio.input.turn_detection.eagerness == "low"
    assert (wanted.client_secret.seconds, wanted.shown_temperature) == (90, 0.8)

    answer = with_secret(TranscriptionSession(id="sess_1", expires_at=0), 0.8, SECRET)
    assert isinstance(answer, BetaTranscriptionSessionWithSecret)
    assert answer.client_secret == SECRET


def test_an_empty_beta_body_asks_for_nothing_in_particular() -> None:
    wanted = decode_beta_body(b"", BetaSessionCreate, strict=True)
    assert (wanted.client_secret.seconds, wanted.shown_temperature) == (60, 0.8)


def test_a_beta_refusal_names_the_field_where_it_lies_bare() -> None:
    given = Refusal(
        "invalid_value", "Bad 'session.audio.output.voice'.", "session.audio.output.voice"
    )
    refusal = beta_refusal(given)
    assert (refusal.code, refusal.param, refusal.message) == (
        "invalid_value",
        "voice",
        "Bad 'voice'.",
    )
    assert beta_refusal(Refusal("invalid_json", "Bad.")).param is None
