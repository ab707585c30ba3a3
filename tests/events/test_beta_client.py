"""A beta client's event becomes the GA event that asks for the same, or is refused in its words."""

import json
import typing
from typing import Any

import msgspec
import pytest
from openai.types.beta.realtime import RealtimeClientEventParam

from duologue import events as ev
from duologue.errors import Refusal
from duologue.events.beta import Beta
from duologue.events.beta_client import BETA_CLIENT_EVENTS
from events.examples import SOUND

SESSION = {
    "model": "gpt-4o-realtime-preview",
    "modalities": ["text", "audio"],
    "instructions": "Be brief.",
    "voice": "sage",
    "input_audio_format": "g711_ulaw",
    "output_audio_format": "g711_alaw",
    "input_audio_transcription": {"model": "whisper-1", "language": "en", "prompt": "names"},
    "input_audio_noise_reduction": {"type": "far_field"},
    "turn_detection": {
        "type": "server_vad",
        "threshold": 0.6,
        "prefix_padding_ms": 200,
        "silence_duration_ms": 450,
        "create_response": False,
        "interrupt_response": False,
    },
    "tools": [{"type": "function", "name": "clock", "description": "C.", "parameters": {}}],
    "tool_choice": "required",
    "temperature": 0.7,
    "speed": 1.1,
    "max_response_output_tokens": 200,
    "tracing": "auto",
    "client_secret": {"expires_after": {"anchor": "created_at", "seconds": 60}},
}


def decode(raw: Any, *, strict: bool = False) -> Any:
    return Beta(strict=strict).decode(json.dumps(raw))


def session(*, strict: bool = False, **settings: Any) -> ev.RealtimeSessionUpdate:
    change = decode({"type": "session.update", "session": settings}, strict=strict).session
    assert isinstance(change, ev.RealtimeSessionUpdate)
    return change


def response(**settings: Any) -> ev.ResponseCreateParams:
    asked: ev.ResponseCreateParams = decode(
        {"type": "response.create", "response": settings}
    ).response
    return asked


def item(role: str, *content: dict[str, Any]) -> dict[str, Any]:
    message = {"type": "message", "role": role, "content": list(content)}
    return {"type": "conversation.item.create", "item": message}


def update(**settings: Any) -> dict[str, Any]:
    return {"type": "session.update", "session": settings}


def create(**settings: Any) -> dict[str, Any]:
    return {"type": "response.create", "response": settings}


@pytest.mark.conformance("C-202")
@pytest.mark.parametrize("strict", [False, True])
def test_every_key_of_a_flat_session_reaches_its_ga_place(strict: bool) -> None:
    assert session(strict=strict, **SESSION) == msgspec.convert(
        {
            "type": "realtime",
            "model": "gpt-4o-realtime-preview",
            "output_modalities": ["audio"],
            "instructions": "Be brief.",
            "audio": {
                "input": {
                    "format": {"type": "audio/pcmu"},
                    "transcription": {"model": "whisper-1", "language": "en", "prompt": "names"},
                    "noise_reduction": {"type": "far_field"},
                    "turn_detection": SESSION["turn_detection"],
                },
                "output": {"format": {"type": "audio/pcma"}, "voice": "sage", "speed": 1.1},
            },
            "tools": SESSION["tools"],
            "tool_choice": "required",
            "max_output_tokens": 200,
            "tracing": "auto",
        },
        ev.RealtimeSessionUpdate,
    )


def test_what_is_absent_or_null_stays_untouched_and_null_turns_off_what_can_be() -> None:
    untouched = session(voice=None, temperature=None, tools=None)
    assert untouched == session()
    off = session(
        turn_detection=None, input_audio_transcription=None, input_audio_noise_reduction=None
    )
    assert off.audio and off.audio.input
    listening = off.audio.input
    assert (listening.turn_detection, listening.transcription, listening.noise_reduction) == (
        None,
        None,
        None,
    )
    assert off.tracing is msgspec.UNSET


def test_a_turn_detection_gets_the_defaults_of_its_kind() -> None:
    given = session(turn_detection={"type": "server_vad"})
    assert given.audio and given.audio.input
    assert given.audio.input.turn_detection == ev.ServerVad()
    given = session(turn_detection={"type": "semantic_vad", "eagerness": "high"})
    assert given.audio and given.audio.input
    assert given.audio.input.turn_detection == ev.SemanticVad(eagerness="high")


@pytest.mark.conformance("C-202")
@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", "auto"),
        ("none", "none"),
        ("required", "required"),
        ("clock", ev.FunctionChoice(name="clock")),
        ({"type": "function", "name": "clock"}, ev.FunctionChoice(name="clock")),
        ({"type": "function", "function": {"name": "clock"}}, ev.FunctionChoice(name="clock")),
    ],
)
def test_a_function_is_chosen_by_plain_name_or_by_either_object(choice: Any, expected: Any) -> None:
    assert session(tool_choice=choice).tool_choice == expected
    assert response(tool_choice=choice).tool_choice == expected


@pytest.mark.parametrize("spoken", [["audio"], ["text", "audio"], ["audio", "text"]])
def test_a_reply_is_spoken_when_audio_is_among_the_modalities(spoken: list[str]) -> None:
    assert session(modalities=spoken).output_modalities == ("audio",)
    assert response(modalities=["text"]).output_modalities == ("text",)


def test_every_key_of_a_response_reaches_its_ga_place() -> None:
    asked = response(
        modalities=["text"],
        instructions="Sum up.",
        voice="sage",
        output_audio_format="pcm16",
        tools=[],
        temperature=1,
        max_response_output_tokens="inf",
        conversation="none",
        metadata={"topic": "sum"},
        input=[
            {"type": "item_reference", "id": "item_1"},
            {
                "type": "message",
                "role": "user",
                "content": [{"type": "item_reference", "id": "item_2"}],
            },
            {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "Hi"}]},
        ],
    )
    assert asked.audio and asked.audio.output
    assert (asked.audio.output.voice, asked.audio.output.format) == ("sage", ev.AudioPcm())
    assert asked.max_output_tokens == "inf"
    assert (asked.instructions, asked.conversation, asked.tools) == ("Sum up.", "none", ())
    assert asked.input == (
        ev.ItemReference(id="item_1"),
        ev.ItemReference(id="item_2"),
        ev.MessageItem(role="assistant", content=(ev.OutputText(text="Hi"),)),
    )
    assert response(max_output_tokens=20).max_output_tokens == 20


def test_the_parts_of_an_assistant_have_their_old_names() -> None:
    event = decode(item("assistant", {"type": "text", "text": "Hi"}))
    assert event.item.content == (ev.OutputText(text="Hi"),)
    event = decode(item("user", {"type": "input_text", "text": "Hi"}))
    assert event.item.content == (ev.InputText(text="Hi"),)


def test_a_transcription_session_is_updated_by_an_event_of_its_own() -> None:
    event = decode(
        {
            "type": "transcription_session.update",
            "session": {
                "input_audio_format": "g711_ulaw",
                "input_audio_transcription": {"model": "gpt-4o-transcribe", "language": "de"},
                "input_audio_noise_reduction": None,
                "turn_detection": {"type": "server_vad", "silence_duration_ms": 300},
                "include": ["item.input_audio_transcription.logprobs"],
                "modalities": ["text"],
            },
        },
        strict=True,
    )
    assert event.session == ev.TranscriptionSessionUpdate(
        audio=ev.TranscriptionAudioUpdate(
            input=ev.TranscriptionAudioInputUpdate(
                format=ev.AudioPcmu(),
                transcription=ev.AudioTranscription(model="gpt-4o-transcribe", language="de"),
                noise_reduction=None,
                turn_detection=ev.TranscriptionServerVad(silence_duration_ms=300),
            )
        ),
        include=("item.input_audio_transcription.logprobs",),
    )


@pytest.mark.parametrize(
    ("frame", "code", "param", "says"),
    [
        (update(temperature=0.5), "decimal_below_min_value", "session.temperature", "0.6"),
        (update(temperature=1.3), "decimal_above_max_value", "session.temperature", "1.2"),
        (create(temperature=2), "decimal_above_max_value", "response.temperature", "1.2"),
        (update(speed=2), "decimal_above_max_value", "session.speed", "1.5"),
        (update(voice=7), "invalid_type", "session.voice", "a string"),
        (update(input_audio_format="wav"), "invalid_value", "session.input_audio_format", "g711_"),
        (update(modalities=["video"]), "invalid_value", "session.modalities[0]", "'text'"),
        (update(modalities=[]), "invalid_value", "session.modalities", ""),
        (
            update(max_response_output_tokens=0),
            "integer_below_min_value",
            "session.max_response_output_tokens",
            "1",
        ),
        (
            update(turn_detection={"type": "magic"}),
            "invalid_value",
            "session.turn_detection.type",
            "'semantic_vad'",
        ),
        (
            update(turn_detection={"type": "server_vad", "threshold": 2}),
            "decimal_above_max_value",
            "session.turn_detection.threshold",
            "1",
        ),
        (
            update(tools=[{"type": "mcp", "server_label": "files"}]),
            "invalid_value",
            "session.tools[0].type",
            "'function'",
        ),
        (
            update(tool_choice={"type": "function"}),
            "missing_required_parameter",
            "session.tool_choice.name",
            "",
        ),
        (create(conversation="mine"), "invalid_value", "response.conversation", "'none'"),
        (
            item("user", {"type": "text", "text": "Hi"}),
            "invalid_value",
            "item.content[0].type",
            "'input_audio'",
        ),
        (
            item("assistant", {"type": "input_text", "text": "Hi"}),
            "invalid_value",
            "item.content[0].type",
            "'text', 'audio'.",
        ),
        (
            item("assistant", {"type": "audio", "audio": SOUND}),
            "missing_required_parameter",
            "item.content[0].text",
            "",
        ),
        (
            create(
                input=[
                    {
                        "type": "message",
                        "role": "user",
                        "content": [
                            {"type": "input_text", "text": "Hi"},
                            {"type": "item_reference", "id": "item_1"},
                        ],
                    }
                ]
            ),
            "invalid_value",
            "response.input[0].content",
            "only part",
        ),
        ({"type": "session.upgrade"}, "invalid_value", "type", "'transcription_session.update'"),
        ({"session": {}}, "invalid_event", None, ""),
        ([], "invalid_event", None, ""),
    ],
)
def test_a_fault_is_told_by_the_path_the_client_wrote(
    frame: Any, code: str, param: str | None, says: str
) -> None:
    with pytest.raises(Refusal) as caught:
        decode(frame)
    assert (caught.value.code, caught.value.param) == (code, param)
    assert says in caught.value.message
    assert "'output_text'" not in caught.value.message


@pytest.mark.parametrize(
    ("name", "most"), [("prefix_padding_ms", 10_000), ("silence_duration_ms", 30_000)]
)
def test_times_of_turn_detection_have_their_limits(name: str, most: int) -> None:
    decode(update(turn_detection={"type": "server_vad", name: most}))
    with pytest.raises(Refusal) as caught:
        decode(update(turn_detection={"type": "server_vad", name: most + 1}))
    assert caught.value.code == "integer_above_max_value"
    assert caught.value.param == f"session.turn_detection.{name}"


@pytest.mark.parametrize(
    ("frame", "param"),
    [
        (update(audio={"output": {"voice": "sage"}}), "session.audio"),
        (update(output_modalities=["audio"]), "session.output_modalities"),
        (
            update(turn_detection={"type": "server_vad", "idle_timeout_ms": 5000}),
            "session.turn_detection.idle_timeout_ms",
        ),
        (create(audio={}), "response.audio"),
        ({"type": "input_audio_buffer.append", "audio": SOUND, "level": 1}, "level"),
    ],
)
def test_keys_of_ga_are_unknown_ones_and_ignored_or_refused(frame: Any, param: str) -> None:
    decode(frame)
    if frame["type"] == "session.update":
        change = decode(frame).session
        assert not change.output_modalities and not change.audio.output.voice
    with pytest.raises(Refusal) as caught:
        decode(frame, strict=True)
    assert (caught.value.code, caught.value.param) == ("unknown_parameter", param)


def test_sound_takes_the_same_short_way_as_in_ga() -> None:
    frame = json.dumps({"type": "input_audio_buffer.append", "event_id": "a", "audio": SOUND})
    assert Beta().decode(frame) == ev.decode_client_event(frame)


def test_there_is_a_field_for_every_key_the_beta_sdk_can_send() -> None:
    theirs = {
        typing.get_args(typing.get_type_hints(param)["type"])[0]: param
        for param in typing.get_args(RealtimeClientEventParam)
    }
    assert set(theirs) == set(BETA_CLIENT_EVENTS)
    for name, attribute in (
        ("session.update", "session"),
        ("transcription_session.update", "session"),
        ("response.create", "response"),
    ):
        sdk = typing.get_type_hints(theirs[name])[attribute]
        ours = typing.get_type_hints(BETA_CLIENT_EVENTS[name])[attribute]
        assert set(typing.get_type_hints(sdk)) <= set(ours.__struct_fields__)
