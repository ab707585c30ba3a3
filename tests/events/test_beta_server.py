"""What a beta client is told: old names, flat objects, nothing of GA's, nothing twice."""

import re
from pathlib import Path

import msgspec
import pytest

from beta_oracle import KNOWN_BETA_EVENTS, validate_beta_event
from duologue import events as ev
from duologue.events.beta_server import BETA_SERVER_EVENTS, to_beta
from events.examples import (
    ASSISTANT_ITEM,
    AUDIO,
    CALL_ITEM,
    FULL_SESSION,
    LISTED,
    MCP_CALLS,
    SERVER_EXAMPLES,
    SESSION,
    TRANSCRIPTION_SESSION,
    USAGE,
    USER_ITEM,
)
from events.variants import variants

NOT_TOLD = {
    "conversation.item.done",
    "conversation.item.input_audio_transcription.segment",
    "input_audio_buffer.timeout_triggered",
    "input_audio_buffer.dtmf_event_received",
    "mcp_list_tools.in_progress",
    "mcp_list_tools.completed",
    "mcp_list_tools.failed",
    "response.mcp_call_arguments.delta",
    "response.mcp_call_arguments.done",
    "response.mcp_call.in_progress",
    "response.mcp_call.completed",
    "response.mcp_call.failed",
}
"""GA events for which the beta protocol has no word."""


def told(event: ev.ServerEvent, temperature: float = 0.8) -> dict[str, object]:
    """The JSON of what a beta client is told."""
    answer = to_beta(event, temperature)
    assert answer is not None
    frame: dict[str, object] = msgspec.json.decode(msgspec.json.encode(answer))
    return frame


@pytest.mark.conformance("C-200", "C-205")
@pytest.mark.parametrize("name", ev.SERVER_EVENTS)
def test_the_sdk_s_beta_models_accept_what_becomes_of_every_server_event(name: str) -> None:
    examples = [*SERVER_EXAMPLES[name], *variants(ev.SERVER_EVENTS[name])]
    answers = [answer for event in examples if (answer := to_beta(event, 0.8))]
    assert bool(answers) == (name not in NOT_TOLD)
    for answer in answers:
        validate_beta_event(msgspec.json.encode(answer).decode())


def test_the_events_of_a_beta_connection_are_those_of_the_sdk() -> None:
    assert set(BETA_SERVER_EVENTS) == KNOWN_BETA_EVENTS


@pytest.mark.conformance("C-205")
def test_every_event_that_has_a_beta_name_of_its_own_loses_its_ga_name() -> None:
    ga_only = set(ev.SERVER_EVENTS) - KNOWN_BETA_EVENTS
    for examples in SERVER_EXAMPLES.values():
        for event in examples:
            answer = to_beta(event, 0.8)
            if answer is not None:
                assert answer.__struct_config__.tag not in ga_only


def test_class_names_are_the_wire_names_in_camel_case_after_beta() -> None:
    for name, kind in BETA_SERVER_EVENTS.items():
        words = re.split(r"[._]", name)
        assert kind.__name__.removeprefix("Beta") == "".join(word.capitalize() for word in words)


def test_a_session_is_flat_and_has_no_type() -> None:
    assert told(ev.SessionCreated(event_id="e", session=SESSION), 0.9) == {
        "type": "session.created",
        "event_id": "e",
        "session": {
            "id": "sess_1",
            "object": "realtime.session",
            "model": "gpt-realtime",
            "expires_at": 1_760_000_000,
            "modalities": ["text", "audio"],
            "instructions": "",
            "voice": "marin",
            "input_audio_format": "pcm16",
            "output_audio_format": "pcm16",
            "input_audio_transcription": None,
            "input_audio_noise_reduction": None,
            "turn_detection": {
                "type": "server_vad",
                "threshold": 0.5,
                "prefix_padding_ms": 300,
                "silence_duration_ms": 500,
                "create_response": True,
                "interrupt_response": True,
            },
            "tools": [],
            "tool_choice": "auto",
            "temperature": 0.9,
            "speed": 1.0,
            "max_response_output_tokens": "inf",
            "tracing": None,
            "prompt": None,
            "include": None,
        },
    }


def test_settings_that_were_changed_have_their_old_names_and_values() -> None:
    session = told(ev.SessionUpdated(event_id="e", session=FULL_SESSION))["session"]
    assert isinstance(session, dict)
    expected = {
        "modalities": ["text"],
        "voice": "voice_1",
        "input_audio_format": "g711_ulaw",
        "input_audio_transcription": {"model": "whisper-1", "language": "en", "prompt": None},
        "input_audio_noise_reduction": {"type": "near_field"},
        "turn_detection": {
            "type": "semantic_vad",
            "eagerness": "low",
            "create_response": True,
            "interrupt_response": True,
        },
        "tool_choice": "clock",
        "max_response_output_tokens": 500,
    }
    assert {key: session[key] for key in expected} == expected
    assert [tool["name"] for tool in session["tools"]] == ["clock"], "MCP servers are not shown"


def test_a_transcription_session_has_its_own_event_names() -> None:
    created = told(ev.SessionCreated(event_id="e", session=TRANSCRIPTION_SESSION))
    updated = told(ev.SessionUpdated(event_id="e", session=TRANSCRIPTION_SESSION))
    assert created["type"] == "transcription_session.created"
    assert updated["type"] == "transcription_session.updated"
    assert updated["session"] == {
        "id": "sess_3",
        "object": "realtime.transcription_session",
        "expires_at": 1_760_000_000,
        "input_audio_format": "pcm16",
        "input_audio_transcription": {"model": "whisper-1"},
        "input_audio_noise_reduction": None,
        "turn_detection": {
            "type": "server_vad",
            "threshold": 0.5,
            "prefix_padding_ms": 300,
            "silence_duration_ms": 500,
        },
        "include": None,
    }


def test_a_response_is_flat_and_its_items_have_their_old_parts() -> None:
    response = ev.Response(
        id="resp_1",
        status="completed",
        output=(ASSISTANT_ITEM, CALL_ITEM, LISTED, *MCP_CALLS),
        conversation_id="conv_1",
        max_output_tokens=100,
        audio=AUDIO,
        usage=USAGE,
        metadata={"topic": "time"},
    )
    assert told(ev.ResponseDone(event_id="e", response=response))["response"] == {
        "object": "realtime.response",
        "id": "resp_1",
        "status": "completed",
        "status_details": None,
        "output": [
            {
                "type": "message",
                "id": "item_a",
                "object": "realtime.item",
                "status": "completed",
                "role": "assistant",
                "content": [{"type": "audio", "transcript": "Hello there."}],
            },
            {
                "type": "function_call",
                "id": "item_f",
                "object": "realtime.item",
                "status": "in_progress",
                "name": "clock",
                "call_id": "call_1",
                "arguments": "",
            },
        ],
        "conversation_id": "conv_1",
        "modalities": ["text", "audio"],
        "voice": "marin",
        "output_audio_format": "pcm16",
        "temperature": 0.8,
        "max_output_tokens": 100,
        "usage": {
            "total_tokens": 30,
            "input_tokens": 20,
            "output_tokens": 10,
            "input_token_details": {
                "text_tokens": 5,
                "audio_tokens": 15,
                "cached_tokens": 4,
                "cached_tokens_details": {"text_tokens": 4, "audio_tokens": 0},
            },
            "output_token_details": {"text_tokens": 3, "audio_tokens": 7},
        },
        "metadata": {"topic": "time"},
    }


@pytest.mark.conformance("C-201")
def test_an_item_is_created_once_when_it_is_added_and_never_done() -> None:
    for item in (USER_ITEM, ASSISTANT_ITEM, CALL_ITEM):
        added = ev.ConversationItemAdded(event_id="e", previous_item_id=None, item=item)
        done = ev.ConversationItemDone(event_id="e", previous_item_id=None, item=item)
        assert told(added)["type"] == "conversation.item.created"
        assert to_beta(done, 0.8) is None


def test_the_arguments_of_a_call_end_without_its_name() -> None:
    (done,) = SERVER_EXAMPLES["response.function_call_arguments.done"]
    assert "name" not in told(done)


def test_the_reference_page_has_every_beta_event() -> None:
    page = Path(__file__).parents[2].joinpath("docs", "reference", "events.md").read_text()
    beta = page.split("## Beta", 1)[1]
    assert all(f"`{name}`" in beta for name in BETA_SERVER_EVENTS)
