"""Text frames become events; events become text frames."""

import base64
import json

import msgspec
import pytest
from msgspec import UNSET

from duologue.errors import Refusal
from duologue.events import (
    CLIENT_EVENTS,
    SERVER_EVENTS,
    AudioPcm,
    FunctionChoice,
    InputAudio,
    InputAudioBufferAppend,
    OutputText,
    ResponseCreate,
    ResponseCreateParams,
    ServerVad,
    SessionUpdate,
    decode_client_event,
    encode_server_event,
)
from events.examples import (
    CLIENT_EXAMPLES,
    FULL_SESSION,
    RUNNING,
    SECRET_TOOL,
    SERVER_EXAMPLES,
    SESSION,
    USER_ITEM,
)
from events.frames import decode, message, realtime, refused, response, vad
from events.variants import variants

# What is understood


@pytest.mark.parametrize("name", CLIENT_EVENTS)
def test_what_clients_send_is_decoded_also_strictly(name):
    assert CLIENT_EXAMPLES.get(name), f"tests/events/examples.py has no example of {name}"
    for raw in CLIENT_EXAMPLES[name]:
        event = decode(raw)
        assert type(event) is CLIENT_EVENTS[name]
        assert event == decode(raw, strict=True)


@pytest.mark.parametrize("name", CLIENT_EVENTS)
def test_a_client_event_survives_the_wire_or_its_parts_are_refused(name):
    for event in variants(CLIENT_EVENTS[name]):
        data = msgspec.json.encode(event)
        try:
            assert decode_client_event(data) == event
        except Refusal as refusal:
            # Types allow what only the rules on parts forbid: sound of the assistant, nothing.
            assert refusal.code == "missing_required_parameter"
            assert refusal.param is not None
            assert refusal.param.endswith((".text", ".audio", ".image_url"))
        else:
            assert decode_client_event(data, strict=True) == event


@pytest.mark.parametrize("name", SERVER_EVENTS)
def test_a_server_event_survives_the_wire(name):
    for event in SERVER_EXAMPLES[name]:
        text = encode_server_event(event)
        assert msgspec.json.decode(text, type=SERVER_EVENTS[name]) == event


def test_sound_is_base64_on_the_wire_and_bytes_here():
    event = decode(
        {"type": "input_audio_buffer.append", "audio": base64.b64encode(b"abc").decode()}
    )
    assert event == InputAudioBufferAppend(audio=b"abc")


def test_text_and_bytes_frames_are_the_same():
    text = '{"type":"response.create","event_id":"é"}'
    assert decode_client_event(text) == decode_client_event(text.encode())


def test_absent_null_and_value_are_told_apart():
    def transcription(**given):
        event = decode(realtime(audio={"input": given}))
        return event.session.audio.input.transcription

    assert transcription() is UNSET
    assert transcription(transcription=None) is None
    assert transcription(transcription={"model": "w"}).model == "w"


@pytest.mark.parametrize("strict", [False, True])
def test_null_for_a_setting_that_cannot_be_cleared_changes_nothing(strict):
    nulls = realtime(
        model=None,
        output_modalities=None,
        instructions=None,
        tools=None,
        tool_choice=None,
        max_output_tokens=None,
        truncation=None,
        parallel_tool_calls=None,
        audio={"input": {"format": None}, "output": {"speed": None, "voice": None}},
    )
    empty = realtime(audio={"input": {}, "output": {}})
    assert decode({**nulls, "event_id": None}, strict=strict) == decode(empty)
    assert decode(response(metadata=None, input=None), strict=strict) == ResponseCreate()
    assert decode({"type": "response.create", "response": None}, strict=strict) == ResponseCreate()


def test_null_for_a_setting_that_can_be_cleared_clears_it():
    session = decode(realtime(tracing=None, prompt=None, include=None)).session
    assert (session.tracing, session.prompt, session.include) == (None, None, None)


def test_nulls_inside_what_belongs_to_the_client_are_kept():
    parameters = {"properties": {"a": {"default": None, "enum": [None, 1]}}}
    tool = {"type": "function", "name": "f", "parameters": parameters}
    assert decode(realtime(tools=[tool])).session.tools[0].parameters == parameters


def test_numbers_inside_what_belongs_to_the_client_are_kept_however_long():
    parameters = {"maximum": 10**30, "minimum": -(2**64), "multipleOf": 1e-7}
    tool = decode(realtime(tools=[{"type": "function", "name": "f", "parameters": parameters}]))
    assert json.loads(msgspec.json.encode(tool.session.tools[0].parameters)) == parameters


def test_server_vad_has_the_defaults_of_the_protocol():
    assert decode(vad()).session.audio.input.turn_detection == ServerVad(
        threshold=0.5,
        prefix_padding_ms=300,
        silence_duration_ms=500,
        idle_timeout_ms=None,
        create_response=True,
        interrupt_response=True,
    )


def test_a_pcm_format_without_a_rate_is_24_khz():
    event = decode(realtime(audio={"output": {"format": {"type": "audio/pcm"}}}))
    assert event.session.audio.output.format == AudioPcm(rate=24000)


@pytest.mark.conformance("C-049")
def test_unknown_keys_are_ignored():
    assert decode(realtime(temperature=0.8, audio={"input": {"x": 1}}) | {"y": []}) == decode(
        realtime(audio={"input": {}})
    )


# Old spellings


def test_old_names_of_an_assistants_parts_are_understood():
    event = decode(message("assistant", {"type": "text", "text": "Hi"}))
    assert event.item.content == (OutputText(text="Hi"),)
    raw = message("assistant", {"type": "text", "text": "Hi"})["item"]
    assert decode(response(input=[raw])).response.input == (event.item,)


def test_a_nested_function_choice_is_understood():
    nested = {"type": "function", "function": {"name": "f"}}
    assert decode(realtime(tool_choice=nested)).session.tool_choice == FunctionChoice(name="f")
    assert decode(response(tool_choice=nested)).response.tool_choice == FunctionChoice(name="f")


@pytest.mark.parametrize(
    ("settings", "means"),
    [
        ({"modalities": ["text", "audio"]}, ("audio",)),
        ({"modalities": ["text"]}, ("text",)),
        ({"modalities": ["audio", "text"], "output_modalities": ["text"]}, ("text",)),
    ],
)
def test_modalities_stand_in_for_output_modalities(settings, means):
    assert decode(response(**settings)) == ResponseCreate(
        response=ResponseCreateParams(output_modalities=means)
    )


def test_old_spellings_are_refused_when_strict():
    with refused("invalid_value", "item.content[0].type"):
        decode(message("assistant", {"type": "text", "text": "Hi"}), strict=True)
    with refused("unknown_parameter", "response.modalities"):
        decode(response(modalities=["text"]), strict=True)


# What is sent


def sent(name, number=0):
    return json.loads(encode_server_event(SERVER_EXAMPLES[name][number]))


@pytest.mark.conformance("C-047")
def test_a_session_shows_every_key_of_the_protocol():
    session = sent("session.created")["session"]
    assert set(session) == {
        "type", "object", "id", "model", "expires_at", "output_modalities", "instructions",
        "audio", "tools", "tool_choice", "max_output_tokens", "truncation", "tracing", "prompt",
        "include",
    }  # fmt: skip
    assert set(session["audio"]["input"]) == {
        "format", "noise_reduction", "transcription", "turn_detection",
    }  # fmt: skip
    assert set(session["audio"]["output"]) == {"format", "voice", "speed"}
    assert session["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": 24000}
    assert session["audio"]["input"]["turn_detection"]["idle_timeout_ms"] is None


def test_a_transcription_session_shows_no_key_of_replies():
    session = sent("session.created", 1)["session"]
    assert set(session) == {"type", "object", "id", "expires_at", "audio", "include"}
    assert session["audio"]["input"]["turn_detection"] == {
        "type": "server_vad",
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 500,
    }


def test_secrets_of_a_tool_are_never_shown():
    assert "hush" not in encode_server_event(SERVER_EXAMPLES["session.updated"][0])
    assert FULL_SESSION.tools[1] == SECRET_TOOL.echo()
    assert SECRET_TOOL.echo().allowed_tools == ("read",)


def test_keys_that_can_be_null_are_sent_as_null():
    assert sent("error")["error"] == {
        "type": "invalid_request_error",
        "code": "invalid_json",
        "message": "No.",
        "param": None,
        "event_id": None,
    }
    added = sent("conversation.item.added")
    assert added["previous_item_id"] is None
    assert added["item"]["content"] == [{"type": "input_audio", "transcript": None}]
    running = sent("response.created")["response"]
    assert running["usage"] is None
    assert running["status_details"] is None
    assert json.loads(msgspec.json.encode(RUNNING))["metadata"] == {"topic": "time"}


def test_keys_that_cannot_be_null_are_left_out():
    failed = sent("conversation.item.input_audio_transcription.failed")
    assert set(failed["error"]) == {"type", "message"}
    delta = sent("conversation.item.input_audio_transcription.delta")
    assert "logprobs" not in delta
    assert sent("response.mcp_call_arguments.delta")["obfuscation"] == ""


def test_events_and_sessions_cannot_be_changed():
    for thing, field in (
        (SESSION, "id"),
        (USER_ITEM, "id"),
        (SERVER_EXAMPLES["error"][0], "error"),
    ):
        with pytest.raises(AttributeError):
            setattr(thing, field, None)
    assert isinstance(USER_ITEM.content[0], InputAudio)
    assert SessionUpdate.__struct_config__.frozen


def test_text_of_an_engine_that_is_no_text_does_not_keep_the_event_back():
    event = next(e for e in SERVER_EXAMPLES["response.done"] if e.response.output)
    plain = json.loads(encode_server_event(event))
    item = msgspec.structs.replace(event.response.output[0], id="item \ud83d")
    bad = msgspec.structs.replace(
        event.response,
        metadata={"k\ud83d": "half \ud83d, 😀"},
        output=(item, *event.response.output[1:]),
    )
    told = json.loads(encode_server_event(msgspec.structs.replace(event, response=bad)))
    assert told["response"].pop("metadata") == {"k\ufffd": "half \ufffd, 😀"}
    assert told["response"]["output"][0].pop("id") == "item \ufffd"
    plain["response"].pop("metadata", None)
    plain["response"]["output"][0].pop("id")
    assert told == plain
