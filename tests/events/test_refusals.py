"""A faulty text frame becomes one refusal, by code and path, and never anything else."""

import base64
import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from duologue.errors import Refusal
from duologue.events import (
    CLIENT_EVENTS,
    SERVER_EVENTS,
    ErrorDetail,
    SessionUpdate,
    decode_client_event,
    encode_server_event,
    event_id_of,
)
from duologue.events.faults import refusal_of
from duologue.events.tidy import tidy
from events.examples import (
    CLIENT_EXAMPLES,
)
from events.frames import INPUT, decode, message, realtime, refused, response, vad

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(-1e9, 1e9) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=5,
)
fuzzed = settings(deadline=None, derandomize=True, max_examples=300)


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "{",
        "nonsense",
        '{"type":NaN}',
        '{"type":1e999}',
        b"\xff\xfe",
        b'{"type":"\xff"}',
        '{"type":"\\ud800"}',
        '{"type":"\ud800"}',
        '{"type":"input_audio_buffer.append","audio":"\ud800"}',
        "[" * 100_000,
        '{"type":"x","a":' * 5_000,
    ],
    ids=lambda frame: repr(frame)[:60],
)
def test_a_frame_that_is_not_json_is_invalid_json(frame):
    with refused("invalid_json", None):
        decode_client_event(frame)
    assert event_id_of(frame) is None


@pytest.mark.parametrize("raw", [3, None, [], "x", {}, {"type": None}, {"event_id": "mine"}])
def test_json_that_is_not_an_event_is_an_invalid_event(raw):
    with refused("invalid_event", None):
        decode(raw)


REFUSED = [
    ("invalid_type", "type", {"type": 5}),
    ("invalid_value", "type", {"type": "session.destroy"}),
    ("missing_required_parameter", "session", {"type": "session.update"}),
    ("invalid_type", "session", {"type": "session.update", "session": "x"}),
    ("missing_required_parameter", "session.type", {"type": "session.update", "session": {}}),
    ("invalid_value", "session.type", {"type": "session.update", "session": {"type": "x"}}),
    ("invalid_type", "session.instructions", realtime(instructions=5)),
    ("invalid_value", "session.output_modalities", realtime(output_modalities=["audio", "text"])),
    ("invalid_value", "session.output_modalities", realtime(output_modalities=[])),
    ("invalid_value", "session.output_modalities[0]", realtime(output_modalities=["x"])),
    ("invalid_value", "session.tool_choice", realtime(tool_choice="clock")),
    ("missing_required_parameter", "session.tools[0].name", realtime(tools=[{"type": "function"}])),
    ("invalid_value", "session.tools[0].type", realtime(tools=[{"type": "x"}])),
    ("integer_below_min_value", "session.max_output_tokens", realtime(max_output_tokens=0)),
    ("integer_above_max_value", "session.max_output_tokens", realtime(max_output_tokens=10**40)),
    ("invalid_value", "session.max_output_tokens", realtime(max_output_tokens="many")),
    ("invalid_type", "session.max_output_tokens", realtime(max_output_tokens=True)),
    ("invalid_value", "session.reasoning.effort", realtime(reasoning={"effort": "none"})),
    (
        "decimal_above_max_value",
        "session.truncation.retention_ratio",
        realtime(truncation={"type": "retention_ratio", "retention_ratio": 1.1}),
    ),
    (
        "decimal_below_min_value",
        "session.audio.output.speed",
        realtime(audio={"output": {"speed": 0.1}}),
    ),
    (
        "decimal_above_max_value",
        "session.audio.output.speed",
        realtime(audio={"output": {"speed": 2}}),
    ),
    (
        "invalid_value",
        f"{INPUT}.format.rate",
        realtime(audio={"input": {"format": {"type": "audio/pcm", "rate": 16000}}}),
    ),
    ("invalid_type", f"{INPUT}.format", realtime(audio={"input": {"format": "pcm16"}})),
    (
        "decimal_below_min_value",
        f"{INPUT}.noise_reduction.strength",
        realtime(audio={"input": {"noise_reduction": {"type": "near_field", "strength": -0.1}}}),
    ),
    (
        "decimal_above_max_value",
        f"{INPUT}.noise_reduction.strength",
        realtime(audio={"input": {"noise_reduction": {"type": "far_field", "strength": 1.1}}}),
    ),
    (
        "invalid_value",
        f"{INPUT}.noise_reduction.type",
        realtime(audio={"input": {"noise_reduction": {"type": "mid_field"}}}),
    ),
    ("decimal_below_min_value", f"{INPUT}.turn_detection.threshold", vad(threshold=-0.1)),
    ("decimal_above_max_value", f"{INPUT}.turn_detection.threshold", vad(threshold=1.1)),
    (
        "integer_below_min_value",
        f"{INPUT}.turn_detection.idle_timeout_ms",
        vad(idle_timeout_ms=4999),
    ),
    (
        "integer_above_max_value",
        f"{INPUT}.turn_detection.idle_timeout_ms",
        vad(idle_timeout_ms=30001),
    ),
    ("invalid_value", f"{INPUT}.turn_detection.type", vad(type="x")),
    ("missing_required_parameter", "audio", {"type": "input_audio_buffer.append"}),
    ("invalid_value", "audio", {"type": "input_audio_buffer.append", "audio": "a!=="}),
    ("invalid_type", "audio", {"type": "input_audio_buffer.append", "audio": 5}),
    (
        "string_above_max_length",
        "event_id",
        {"type": "input_audio_buffer.append", "audio": "", "event_id": "x" * 513},
    ),
    ("missing_required_parameter", "item", {"type": "conversation.item.create"}),
    (
        "invalid_value",
        "item.type",
        {"type": "conversation.item.create", "item": {"type": "mcp_call"}},
    ),
    (
        "string_above_max_length",
        "item.id",
        {"type": "conversation.item.create", "item": message("user")["item"] | {"id": "x" * 65}},
    ),
    (
        "string_above_max_length",
        "item.call_id",
        {
            "type": "conversation.item.create",
            "item": {"type": "function_call_output", "call_id": "x" * 65, "output": ""},
        },
    ),
    ("invalid_value", "item.role", message("tool")),
    ("missing_required_parameter", "item.content[0].text", message("user", {"type": "input_text"})),
    (
        "missing_required_parameter",
        "item.content[0].text",
        message("assistant", {"type": "output_text"}),
    ),
    (
        "missing_required_parameter",
        "item.content[0].text",
        message("assistant", {"type": "output_audio", "audio": "", "transcript": "Hi"}),
    ),
    (
        "missing_required_parameter",
        "item.content[1].audio",
        message("user", {"type": "input_text", "text": ""}, {"type": "input_audio"}),
    ),
    (
        "invalid_value",
        "item.content[0].audio",
        message("user", {"type": "input_audio", "audio": "?"}),
    ),
    ("invalid_value", "item.content[0].type", message("user", {"type": "output_text", "text": ""})),
    ("invalid_value", "item.content[0].type", message("system", {"type": "input_audio"})),
    ("invalid_type", "item.content[0]", message("user", None)),
    (
        "integer_below_min_value",
        "audio_end_ms",
        CLIENT_EXAMPLES["conversation.item.truncate"][0] | {"audio_end_ms": -1},
    ),
    ("invalid_value", "response.conversation", response(conversation="x")),
    ("invalid_value", "response.metadata", response(metadata={str(n): "" for n in range(17)})),
    ("string_above_max_length", "response.metadata", response(metadata={"k": "x" * 513})),
    ("string_above_max_length", "response.metadata", response(metadata={"k" * 65: "x"})),
    ("invalid_type", "response.metadata", response(metadata={"k": 1})),
    (
        "missing_required_parameter",
        "response.input[1].id",
        response(input=[message("user")["item"], {"type": "item_reference"}]),
    ),
    (
        "invalid_value",
        "response.input[0].content[0].type",
        response(input=[message("system", {"type": "output_text", "text": ""})["item"]]),
    ),
]


@pytest.mark.parametrize(
    ("code", "param", "raw"), REFUSED, ids=[f"{code}-{param}" for code, param, _ in REFUSED]
)
@pytest.mark.parametrize("strict", [False, True])
def test_a_fault_is_refused_by_code_and_path(code, param, raw, strict):
    with refused(code, param):
        decode(raw, strict=strict)


def test_a_bad_choice_is_told_what_would_have_done():
    with refused("invalid_value", "type", says="'response.create'"):
        decode({"type": "x"})
    with refused("invalid_value", f"{INPUT}.turn_detection.type", says="'semantic_vad'"):
        decode(vad(type="x"))
    with refused("invalid_value", "session.tool_choice", says="'required'"):
        decode(realtime(tool_choice="x"))
    with refused("invalid_value", "session.output_modalities", says="'audio', 'text'"):
        decode(realtime(output_modalities=["text", "audio"]))


@pytest.mark.parametrize("kind", ["realtime", "transcription"])
@pytest.mark.parametrize(
    ("name", "most"), [("prefix_padding_ms", 10_000), ("silence_duration_ms", 30_000)]
)
def test_times_of_turn_detection_have_their_limits(kind, name, most):
    def frame(ms):
        detection = {"type": "server_vad", name: ms}
        session = {"type": kind, "audio": {"input": {"turn_detection": detection}}}
        return {"type": "session.update", "session": session}

    for ms in (0, most):
        assert getattr(decode(frame(ms)).session.audio.input.turn_detection, name) == ms
    with refused("integer_above_max_value", f"{INPUT}.turn_detection.{name}"):
        decode(frame(most + 1))
    with refused("integer_below_min_value", f"{INPUT}.turn_detection.{name}"):
        decode(frame(-1))


@pytest.mark.conformance("C-049")
@pytest.mark.parametrize(
    ("param", "raw"),
    [
        ("session.temperature", realtime(temperature=0.8)),
        ("session.audio.input.model", realtime(audio={"input": {"model": "x"}})),
        (
            "session.tools[1].strict",
            realtime(
                tools=[
                    {"type": "function", "name": "a"},
                    {"type": "function", "name": "b", "strict": True},
                ]
            ),
        ),
        (
            "item.content[0].speaker",
            message("user", {"type": "input_text", "text": "", "speaker": 1}),
        ),
        ("extra", {"type": "input_audio_buffer.append", "audio": "", "extra": 1}),
        (
            "session.colour",
            {"type": "session.update", "session": {"type": "transcription", "colour": "x"}},
        ),
    ],
)
def test_an_unknown_key_is_refused_when_strict(param, raw):
    decode(raw)
    with refused("unknown_parameter", param):
        decode(raw, strict=True)


@pytest.mark.conformance("C-182")
@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(
    ("param", "settings"),
    [
        ("session.instructions", {"instructions": "x"}),
        ("session.tools", {"tools": []}),
        ("session.output_modalities", {"output_modalities": ["text"]}),
        ("session.model", {"model": "gpt-realtime"}),
        ("session.audio.output", {"audio": {"output": {"voice": "alloy"}}}),
    ],
)
def test_settings_of_a_conversation_are_refused_in_a_transcription_session(param, settings, strict):
    with refused("unknown_parameter", param):
        decode(
            {"type": "session.update", "session": {"type": "transcription", **settings}},
            strict=strict,
        )


def test_sound_beyond_the_limit_is_refused():
    audio = base64.b64encode(bytes(15 * 1024 * 1024 + 1)).decode()
    with refused("string_above_max_length", "audio"):
        decode({"type": "input_audio_buffer.append", "audio": audio})
    with refused("string_above_max_length", "item.content[0].audio"):
        decode(message("user", {"type": "input_audio", "audio": audio}))


@pytest.mark.parametrize("levels", [*range(61, 1021, 20), 5000])
def test_deep_nesting_is_refused_even_where_everything_is_allowed(levels):
    deep = '{"a":' * levels + "1" + "}" * levels
    frame = (
        '{"type":"session.update","session":{"type":"realtime","tools":['
        '{"type":"function","name":"f","parameters":' + deep + "}]}}"
    )
    with pytest.raises(Refusal) as refusal:
        decode_client_event(frame)
    # Beyond some depth, which the stack decides, the JSON is not even read.
    assert refusal.value.code == "invalid_value" or (
        levels > 300 and refusal.value.code == "invalid_json"
    )


@fuzzed
@given(frame=st.binary() | st.text(st.characters()))
def test_arbitrary_frames_are_only_ever_refused(frame):
    with refused_or_decoded():
        decode_client_event(frame)
    event_id_of(frame)


@fuzzed
@given(
    kind=st.sampled_from([*CLIENT_EVENTS, "x"]),
    fields=st.dictionaries(
        st.sampled_from(("session", "item", "response", "audio", "event_id", "item_id")), JSON
    ),
    strict=st.booleans(),
)
def test_arbitrary_json_is_only_ever_refused(kind, fields, strict):
    with refused_or_decoded():
        decode_client_event(json.dumps({"type": kind, **fields}), strict=strict)


@fuzzed
@given(st.data())
def test_an_event_with_any_part_of_it_replaced_is_only_ever_refused(data):
    kind = data.draw(st.sampled_from(sorted(CLIENT_EXAMPLES)))
    raw = msgspec.json.decode(
        msgspec.json.encode(data.draw(st.sampled_from(CLIENT_EXAMPLES[kind])))
    )
    spot, key = data.draw(st.sampled_from(list(_spots(raw))))
    spot[key] = data.draw(JSON)
    try:
        frame = json.dumps(raw)
    except ValueError:
        return  # an integer that Python does not print
    with refused_or_decoded():
        decode_client_event(frame, strict=data.draw(st.booleans()))


def _spots(value):
    entries = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in entries:
        yield value, key
        if isinstance(inner, dict | list):
            yield from _spots(inner)


class refused_or_decoded:
    """Expect no exception but a `Refusal` with a code, a message and a path or None."""

    def __enter__(self):
        return self

    def __exit__(self, kind, error, _):
        if not isinstance(error, Refusal):
            return False
        assert error.code and error.message
        assert error.param is None or "$" not in error.param
        encode_server_event(
            SERVER_EVENTS["error"](
                event_id="e",
                error=ErrorDetail(
                    type="invalid_request_error",
                    code=error.code,
                    message=error.message,
                    param=error.param,
                ),
            )
        )
        return True


# The name of an event at fault


@pytest.mark.parametrize(
    ("frame", "name"),
    [
        ('{"type":"x","event_id":"mine"}', "mine"),
        ('{"event_id":"mine"}', "mine"),
        ('{"type":5,"session":{"event_id":"inner"},"event_id":"mine"}', "mine"),
        ('{"type":"x","session":{"event_id":"inner"}}', None),
        ('{"type":"x","event_id":7}', None),
        ('{"type":"x","event_id":null}', None),
        (json.dumps({"event_id": "x" * 513}), None),
        ("[]", None),
        ("{", None),
    ],
)
def test_the_event_id_of_a_bad_event_is_found(frame, name):
    assert event_id_of(frame) == name


def test_a_fault_inside_a_clients_own_mapping_is_named_by_the_mapping():
    with refused("missing_required_parameter", "session.prompt.variables"):
        decode(realtime(prompt={"id": "p", "variables": {"mine": {}}}))
    with refused("invalid_type", "response.metadata"):
        decode(response(metadata={"mine": 1}))


def test_an_idle_timeout_is_server_vad_s_alone():
    for idle_timeout_ms in (None, 6000):
        detection = {"type": "semantic_vad", "idle_timeout_ms": idle_timeout_ms}
        frame = realtime(audio={"input": {"turn_detection": detection}})
        if idle_timeout_ms is None:
            assert decode(frame).session.audio.input.turn_detection.eagerness == "auto"
            continue
        with refused("invalid_value", f"{INPUT}.turn_detection.idle_timeout_ms"):
            decode(frame)


def test_a_fault_whose_value_is_not_there_is_named_all_the_same():
    with pytest.raises(msgspec.ValidationError) as fault:
        msgspec.convert(vad(threshold=2), SessionUpdate)
    refusal = refusal_of(fault.value, SessionUpdate, {})
    assert refusal.param == f"{INPUT}.turn_detection.threshold"


@pytest.mark.parametrize("value", [[[]] * 70, {"a": [{"b": "x"}] * 70}])
def test_what_is_wide_is_not_deep(value):
    assert tidy({"session": {"metadata": value}})["session"]["metadata"] is value


def test_nesting_that_no_encoder_follows_is_refused():
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    with refused("invalid_value", None):
        tidy({"session": {"metadata": deep}})
