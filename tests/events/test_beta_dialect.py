"""What a beta connection remembers: its temperature, whose error it is, whether it is GA."""

import json
from typing import Any

import msgspec
import pytest

from beta_oracle import validate_beta_event
from duologue import events as ev
from duologue.events.beta import Beta
from duologue.events.beta_words import beta_path
from duologue.testing.timeline import Timeline
from events.examples import RUNNING, SERVER_EXAMPLES, SESSION
from oracle import validate_server_event

UPDATED = ev.SessionUpdated(event_id="e", session=SESSION)
CREATED = ev.SessionCreated(event_id="e", session=SESSION)
BEGUN = ev.ResponseCreated(event_id="e", response=RUNNING)
LIMITS = SERVER_EXAMPLES["rate_limits.updated"][0]


class Line:
    """A beta connection to a real session, on the clock of a timeline."""

    def __init__(self, **dialect: Any) -> None:
        self.dialect = Beta(**dialect)
        self.timeline = Timeline()
        self._read = 0

    def send(self, kind: str, **fields: Any) -> list[dict[str, Any]]:
        """Send an event, and get what is answered by half a second later."""
        asked = self.dialect.decode(json.dumps({"type": kind, **fields}))
        self.timeline.client_sends(self.timeline.now, asked)
        self.timeline.run(self.timeline.now + 0.5)
        return self.receive()

    def receive(self) -> list[dict[str, Any]]:
        """What has been told since the last time."""
        new = self.timeline.sent[self._read :]
        self._read = len(self.timeline.sent)
        return [json.loads(frame) for _, event in new for frame in self.dialect.encode(event)]


def tell(dialect: Beta, event: ev.ServerEvent) -> list[dict[str, Any]]:
    return [json.loads(frame) for frame in dialect.encode(event)]


def update(dialect: Beta, **session: Any) -> ev.SessionUpdate:
    event = dialect.decode(json.dumps({"type": "session.update", "session": session}))
    assert isinstance(event, ev.SessionUpdate)
    return event


@pytest.mark.conformance("C-202")
def test_a_temperature_is_shown_from_the_answer_to_its_update_on() -> None:
    line = Line()
    assert line.receive()[0]["session"]["temperature"] == 0.8
    (updated,) = line.send("session.update", session={"temperature": 1.1, "voice": "sage"})
    assert (updated["session"]["temperature"], updated["session"]["voice"]) == (1.1, "sage")
    (updated,) = line.send("session.update", session={"voice": "ash"})
    assert updated["session"]["temperature"] == 1.1


def test_a_temperature_beside_a_fault_changes_nothing() -> None:
    line = Line()
    line.receive()
    (error,) = line.send(
        "session.update", event_id="mine", session={"temperature": 1.1, "voice": "nobody"}
    )
    assert error["error"]["code"] == "invalid_value"
    assert error["error"]["param"] == "session.voice"
    assert error["error"]["event_id"] == "mine"
    (updated,) = line.send("session.update", session={})
    assert updated["session"]["temperature"] == 0.8


def test_answers_find_their_updates_when_several_are_on_their_way() -> None:
    dialect = Beta()
    first = update(dialect, temperature=0.6)
    second = dialect.decode('{"type": "session.update", "event_id": "b", "session": {}}')
    third = update(dialect, temperature=1.2)
    assert len({first.event_id, second.event_id, third.event_id}) == 3

    def refusal(event_id: Any) -> ev.Error:
        detail = ev.ErrorDetail(type="invalid_request_error", message="No.", event_id=event_id)
        return ev.Error(event_id="e", error=detail)

    assert tell(dialect, refusal("b"))[0]["error"]["event_id"] == "b", "of some other event"
    assert tell(dialect, refusal(first.event_id))[0]["error"]["event_id"] is None
    assert tell(dialect, refusal(second.event_id))[0]["error"]["event_id"] == "b"
    assert tell(dialect, UPDATED)[0]["session"]["temperature"] == 1.2


def test_a_response_shows_its_own_temperature_and_no_trace_of_it_elsewhere() -> None:
    line = Line()
    line.timeline.engine.says("Hello.", after_s=0.1)
    line.timeline.engine.says("Hello.", after_s=0.1)
    seen = line.send("response.create", response={"temperature": 1.0, "metadata": {"a": "b"}})
    shown = [event["response"] for event in seen if "response" in event]
    assert [(r["temperature"], r["metadata"]) for r in shown] == [(1.0, {"a": "b"})] * 2
    seen = line.send("response.create", response={"temperature": 1.0})
    shown = [event["response"] for event in seen if "response" in event]
    assert [(r["temperature"], r["metadata"]) for r in shown] == [(1.0, None)] * 2


@pytest.mark.parametrize(
    ("ga", "beta"),
    [
        ("session.audio.output.voice", "session.voice"),
        ("session.audio.output.voice.id", "session.voice"),
        ("session.audio.input.format.type", "session.input_audio_format"),
        ("session.audio.input.turn_detection.threshold", "session.turn_detection.threshold"),
        ("session.audio.input.transcription.model", "session.input_audio_transcription.model"),
        ("session.max_output_tokens", "session.max_response_output_tokens"),
        ("session.type", "type"),
        ("response.audio.output.voice", "response.voice"),
        ("response.input[0].id", "response.input[0].id"),
        ("audio_end_ms", "audio_end_ms"),
    ],
)
def test_paths_of_the_session_lead_back_to_where_the_client_wrote(ga: str, beta: str) -> None:
    assert beta_path(ga) == beta


def test_the_wrong_kind_of_update_is_refused_by_its_type() -> None:
    line = Line()
    line.receive()
    (error,) = line.send("transcription_session.update", session={})
    assert (error["error"]["code"], error["error"]["param"]) == ("invalid_value", "type")


def test_rate_limits_come_right_after_response_created_and_once() -> None:
    dialect = Beta()
    assert [event["type"] for event in tell(dialect, BEGUN)] == ["response.created"]
    assert tell(dialect, LIMITS) == []
    told = tell(dialect, BEGUN)
    assert [event["type"] for event in told] == ["response.created", "rate_limits.updated"]
    validate_beta_event(json.dumps(told[1]))
    assert [event["type"] for event in tell(dialect, BEGUN)] == ["response.created"]


def test_a_first_update_with_a_type_makes_the_connection_a_ga_one() -> None:
    dialect = Beta()
    assert "modalities" in tell(dialect, CREATED)[0]["session"]
    session = {"type": "realtime", "audio": {"output": {"voice": "sage"}}}
    ga = json.dumps({"type": "session.update", "event_id": "mine", "session": session})
    assert dialect.decode(ga) == ev.decode_client_event(ga)
    for examples in SERVER_EXAMPLES.values():
        for event in examples:
            frames = dialect.encode(event)
            if isinstance(event, ev.ConversationCreated):
                assert frames == ()
            else:
                assert frames == (ev.encode_server_event(event),)
                validate_server_event(*frames)
    old = '{"type": "transcription_session.update", "session": {}}'
    with pytest.raises(Exception, match="transcription_session"):
        dialect.decode(old)


def test_a_type_that_ga_refuses_is_refused_as_ga_does() -> None:
    dialect = Beta()
    with pytest.raises(Exception, match="'realtime'"):
        dialect.decode('{"type": "session.update", "session": {"type": "music"}}')
    assert "audio" in tell(dialect, UPDATED)[0]["session"], "its client speaks GA nevertheless"


@pytest.mark.parametrize(
    "first",
    [
        '{"type": "session.update", "session": {}}',
        '{"type": "session.update", "session": {"type": null}}',
        '{"type": "transcription_session.update", "session": {}}',
    ],
)
def test_only_the_first_update_decides(first: str) -> None:
    dialect = Beta()
    dialect.decode('{"type": "input_audio_buffer.clear"}')
    dialect.decode(first)
    later = update(dialect, type="realtime", voice="sage")
    assert isinstance(later.session, ev.RealtimeSessionUpdate)
    assert "modalities" in tell(dialect, UPDATED)[0]["session"]


def test_no_trace_of_the_dialect_s_own_names_is_told() -> None:
    line = Line()
    line.timeline.engine.says("Hello.", after_s=0.1)
    told = [
        *line.receive(),
        *line.send("session.update", session={"voice": "nobody"}),
        *line.send("session.update", session={"temperature": 1.0}),
        *line.send("response.create", response={"temperature": 1.0}),
    ]
    text = msgspec.json.encode(told).decode()
    assert "duologue:" not in text and "duologue." not in text
