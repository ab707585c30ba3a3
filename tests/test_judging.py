"""The judges themselves: they object to what strict clients reject, every time, and say why."""

from typing import Any

import msgspec
import pytest
from pydantic import ValidationError

from duologue.events import SERVER_EVENTS, encode_server_event
from duologue.testing.timeline import Timeline
from events.examples import SERVER_EXAMPLES
from judging import Judge, judge_timeline, shape_of
from published_schema import SchemaDiffers, differences


def wire(name: str, number: int = 0) -> dict[str, Any]:
    """An example of an event as a client gets it."""
    event: dict[str, Any] = msgspec.json.decode(encode_server_event(SERVER_EXAMPLES[name][number]))
    return event


def test_an_event_that_is_not_valid_is_refused_as_often_as_it_comes() -> None:
    good = wire("response.done", 1)
    Judge()(good)
    bad = {**good, "response": {**good["response"], "status": "interrupted"}}
    for _ in range(2):
        with pytest.raises(ValidationError):
            Judge()(bad)


def test_shapes_tell_apart_what_a_model_would_and_nothing_else() -> None:
    good = wire("response.done", 1)
    renamed = {**good, "event_id": "event_another"}
    assert shape_of(good) == shape_of(renamed)
    for other in (
        {**good, "event_id": None},
        {**good, "event_id": 1},
        {**good, "surplus": "x"},
        {**good, "response": {**good["response"], "status": "queued"}},
        {key: value for key, value in good.items() if key != "event_id"},
    ):
        assert shape_of(good) != shape_of(other)


def test_the_dialect_follows_the_session_object() -> None:
    judge = Judge()
    judge(wire("session.created"))
    with pytest.raises(KeyError):
        judge({"type": "response.text.delta", "event_id": "event_1"})
    flat = {"type": "session.created", "event_id": "event_1", "session": {"id": "sess_1"}}
    judge(flat)
    assert judge.dialect == "beta"
    judge(wire("session.created", 1))
    assert judge.dialect == "ga"


@pytest.mark.parametrize("name", SERVER_EVENTS)
def test_the_published_schemas_differ_from_no_example(name: str) -> None:
    found = [
        difference
        for number in range(len(SERVER_EXAMPLES[name]))
        for difference in differences(wire(name, number))
        if ".voice: {'id'" not in difference  # the SDK has voices by id, the server echoes names
    ]
    assert found == []


def test_what_the_published_schemas_do_not_describe_is_a_warning() -> None:
    started = wire("input_audio_buffer.speech_started")
    deaf = {**wire("session.created"), "event_id": "event_1"}
    deaf["session"]["tools"] = [{"type": "mcp", "server_label": "x", "tunnel_id": "no tunnel"}]
    with pytest.warns(SchemaDiffers, match=r"session\.tools\.0\.tunnel_id"):
        Judge()(deaf)
    assert differences({**started, "audio_start_ms": "0"}) == [
        "input_audio_buffer.speech_started: audio_start_ms: '0' is not of type 'integer'"
    ]


def test_every_timeline_is_judged() -> None:
    assert judge_timeline in Timeline.judges
