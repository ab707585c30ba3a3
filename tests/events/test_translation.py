"""The dialect of translation sessions: what we send the SDK accepts, what it sends we take."""

import base64
import json
import typing

import pytest
from openai.types.realtime.realtime_translation_client_event import RealtimeTranslationClientEvent
from openai.types.realtime.realtime_translation_server_event import RealtimeTranslationServerEvent
from pydantic import TypeAdapter

from duologue.events import encode_server_event
from duologue.events.translation import (
    TRANSLATION_CLIENT_EVENTS,
    TRANSLATION_SERVER_EVENTS,
    SessionInputAudioBufferAppend,
    TranslationUpdate,
    decode_translation_event,
)
from events.frames import refused
from events.variants import variants

SERVER = TypeAdapter(RealtimeTranslationServerEvent)


def names(union) -> set[str]:
    kinds = typing.get_args(typing.get_args(union)[0])
    return {typing.get_args(kind.model_fields["type"].annotation)[0] for kind in kinds}


def decode(strict=False, **raw):
    return decode_translation_event(json.dumps(raw), strict=strict)


def test_both_vocabularies_are_the_sdk_s():
    assert set(TRANSLATION_CLIENT_EVENTS) == names(RealtimeTranslationClientEvent)
    assert set(TRANSLATION_SERVER_EVENTS) == names(RealtimeTranslationServerEvent)


@pytest.mark.parametrize("name", TRANSLATION_SERVER_EVENTS)
def test_the_sdk_accepts_whatever_the_types_of_a_server_event_allow(name):
    for event in variants(TRANSLATION_SERVER_EVENTS[name]):
        text = encode_server_event(event)
        seen = SERVER.validate_json(text, strict=True)
        assert seen.type == name
        raw = json.loads(text)
        assert seen.model_dump(include=set(raw), exclude_unset=True, mode="json") == raw


def test_sound_and_settings_are_read():
    sound = base64.b64encode(b"\1\0" * 5).decode()
    event = decode(type="session.input_audio_buffer.append", audio=sound)
    assert isinstance(event, SessionInputAudioBufferAppend) and event.audio == b"\1\0" * 5
    audio = {"input": {"transcription": None}, "output": {"language": "en"}}
    event = decode(type="session.update", session={"audio": audio})
    assert isinstance(event, TranslationUpdate)
    assert event.session.audio.input.transcription is None


@pytest.mark.conformance("C-188")
def test_events_of_a_conversation_are_refused_with_those_that_there_are():
    with refused("invalid_value", "type", says="'session.input_audio_buffer.append'"):
        decode(type="input_audio_buffer.append", audio="")


def test_bad_sound_and_unknown_keys_are_refused_by_path():
    with refused("invalid_value", "audio"):
        decode(type="session.input_audio_buffer.append", audio="?")
    with refused("missing_required_parameter", "session.audio.input.transcription.model"):
        decode(type="session.update", session={"audio": {"input": {"transcription": {}}}})
    decode(type="session.update", session={"colour": "red"})
    with refused("unknown_parameter", "session.colour"):
        decode(strict=True, type="session.update", session={"colour": "red"})
