"""Whatever a session sends, in any order: GA clients hear GA, beta clients beta, never both."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from beta_oracle import validate_beta_event
from core.test_properties import AnySession
from duologue import events as ev
from duologue.core.settings import SessionConfig
from duologue.core.talk import Call, Done
from duologue.events.beta import Beta
from duologue.events.beta_server import BETA_SERVER_EVENTS
from duologue.events.dialect import Ga
from duologue.testing.timeline import Timeline
from oracle import validate_server_event
from session_kit import add, create, truncate, update, user

GA_NAMES = set(ev.SERVER_EVENTS) - set(BETA_SERVER_EVENTS)
BETA_NAMES = set(BETA_SERVER_EVENTS) - set(ev.SERVER_EVENTS)
GA_WORDS = (
    *('"output_modalities"', '"output_text"', '"output_audio"', '"audio/', '"type":"realtime"'),
    *('"type":"transcription"', '"idle_timeout_ms"', '"languages"', '"audio":{'),
)
"""Keys and values that only GA objects have."""


def said(t: Timeline, dialect: Any) -> list[str]:
    """What a client of the dialect is told of everything a timeline sent."""
    return [frame for _, event in t.sent for frame in dialect.encode(event)]


def judge(t: Timeline) -> list[str]:
    """Both dialects of one session, each by its own client; gives the beta names in order."""
    for frame in said(t, Ga()):
        validate_server_event(frame)
        assert json.loads(frame)["type"] not in BETA_NAMES
    names: list[str] = []
    created: set[str] = set()
    event_ids: set[str] = set()
    for frame in said(t, Beta()):
        validate_beta_event(frame)
        assert not [word for word in GA_WORDS if word in frame], frame
        event = json.loads(frame)
        assert event["type"] not in GA_NAMES
        assert event["event_id"] not in event_ids
        event_ids.add(event["event_id"])
        if event["type"] == "conversation.item.created":
            assert event["item"]["id"] not in created, "an item was created twice"
            created.add(event["item"]["id"])
        if event["type"] == "conversation.item.deleted":
            created.remove(event["item_id"])
        if not (event["type"].endswith(".delta") and event["type"] in names[-2:]):
            names.append(event["type"])
    assert created == set(t.mirror.order)
    return names


def beta_timeline() -> Timeline:
    return Timeline(SessionConfig(id="sess_beta", model="scripted", announces_conversation=True))


@pytest.mark.conformance("C-200", "C-201", "C-205")
def test_a_voice_turn() -> None:
    t = beta_timeline()
    t.client_sends(0.0, update(audio={"input": {"transcription": {"model": "whisper-1"}}}))
    t.transcripts = ["How much?"]
    t.engine.says("Sixteen ounces.", after_s=0.3)
    t.user_speaks(0.5, 1.5)
    t.run(4.0)
    assert judge(t) == [
        "session.created",
        "conversation.created",
        "session.updated",
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.created",
        "response.created",
        "conversation.item.input_audio_transcription.delta",
        "conversation.item.input_audio_transcription.completed",
        "response.output_item.added",
        "conversation.item.created",
        "response.content_part.added",
        "response.audio_transcript.delta",
        "response.audio.delta",
        "response.audio.done",
        "response.audio_transcript.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.done",
    ]


@pytest.mark.conformance("C-201", "C-205")
def test_a_text_turn() -> None:
    t = beta_timeline()
    t.client_sends(0.1, add(user("hello")))
    t.client_sends(0.2, create(output_modalities=["text"]))
    t.engine.says("Good day.", after_s=0.1)
    t.run(2.0)
    assert judge(t)[2:] == [
        "conversation.item.created",
        "response.created",
        "response.output_item.added",
        "conversation.item.created",
        "response.content_part.added",
        "response.text.delta",
        "response.text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.done",
    ]


@pytest.mark.conformance("C-205")
def test_a_barge_in_with_truncation() -> None:
    t = beta_timeline()
    t.engine.says("one two three four five six", after_s=0.1, step_s=0.2)
    t.engine.says("Fine.")
    t.user_speaks(0.3, 1.0)
    t.user_speaks(2.0, 2.6)
    t.run(2.3)
    (first, *_) = t.events(ev.ResponseOutputItemAdded)
    t.client_sends(2.4, truncate(first.item.id, 200))
    t.client_sends(2.5, {"type": "conversation.item.retrieve", "item_id": first.item.id})
    t.run(6.0)
    names = judge(t)
    assert names.index("conversation.item.truncated") < names.index("conversation.item.retrieved")
    assert names.count("response.done") == 2
    statuses = [event.response.status for event in t.events(ev.ResponseDone)]
    assert statuses == ["cancelled", "completed"]


@pytest.mark.conformance("C-205")
def test_a_tool_call_and_an_out_of_band_response() -> None:
    t = beta_timeline()
    tool = {"type": "function", "name": "clock"}
    t.client_sends(0.0, update(tools=[tool]))
    t.client_sends(0.1, create())
    t.engine.answers(Call(0, name="clock", delta="{"), Call(0, delta="}", final=True), Done())
    t.engine.says("Noon.")
    t.run(1.0)
    (done,) = t.events(ev.ResponseFunctionCallArgumentsDone)
    output = {"type": "function_call_output", "call_id": done.call_id, "output": "12:00"}
    t.client_sends(1.1, add(output))
    t.client_sends(1.2, create(conversation="none", metadata={"topic": "time"}))
    t.run(3.0)
    names = judge(t)
    assert "response.function_call_arguments.done" in names
    assert names.count("conversation.item.created") == 2, "none for the out-of-band answer"


class AnyBetaSession(AnySession):
    """Every run of the session's own properties, heard by a client of each dialect."""

    def teardown(self) -> None:
        super().teardown()
        judge(self.t)


TestAnyBetaSession = AnyBetaSession.TestCase
TestAnyBetaSession.settings = settings(
    max_examples=20,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
