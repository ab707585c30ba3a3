import base64
import json
from typing import Any

from openai.resources.realtime.realtime import AsyncRealtimeConnection
from openai.types.realtime import RealtimeServerEvent

from duologue.talk_client.turn import Turn
from talk_client.signals import tone


def event(type_: str, **fields: Any) -> RealtimeServerEvent:
    """An event as the SDK reads it off the wire."""
    text = json.dumps({"type": type_, "event_id": "event_1", **fields})
    return AsyncRealtimeConnection.parse_event(None, text)  # type: ignore[arg-type]


def stopped() -> RealtimeServerEvent:
    return event("input_audio_buffer.speech_stopped", item_id="item_1", audio_end_ms=900)


def created(id_: str) -> RealtimeServerEvent:
    return event("response.created", response={"id": id_, "status": "in_progress"})


def done(id_: str, status: str = "completed", **fields: Any) -> RealtimeServerEvent:
    return event("response.done", response={"id": id_, "status": status, **fields})


def started() -> RealtimeServerEvent:
    return event("input_audio_buffer.speech_started", item_id="item_1", audio_start_ms=0)


def spoken(pcm: bytes) -> RealtimeServerEvent:
    return event("response.output_audio.delta", delta=base64.b64encode(pcm).decode())


def receive(turn: Turn, *events: tuple[float, RealtimeServerEvent]) -> None:
    for now, received in events:
        turn.receive(received, now)


def test_stages_are_counted_from_the_end_of_speech() -> None:
    turn = Turn()
    turn.speech_end = 1.0
    receive(
        turn,
        (0.1, started()),
        (1.5, stopped()),
        (1.5, created("resp_1")),
        (1.7, event("response.output_audio_transcript.delta", delta="Hello.")),
        (1.8, spoken(tone(50))),
        (
            1.9,
            event(
                "conversation.item.input_audio_transcription.completed",
                item_id="item_1",
                transcript=" Hi. ",
            ),
        ),
        (2.0, done("resp_1", duologue={"stages_ms": {"decision": 495, "first_audio": 790}})),
    )
    assert turn.answered and turn.transcribed
    assert (turn.heard, turn.said, turn.pcm) == ("Hi.", "Hello.", tone(50))
    assert turn.client_ms() == {
        "decision": 500,
        "first_token": 700,
        "first_audio": 800,
        "transcript": 900,
    }
    assert turn.server_ms == {"decision": 495, "first_audio": 790}
    assert turn.cuts == 0


def test_a_question_that_was_answered_too_early_counts_as_cut() -> None:
    turn = Turn()
    turn.speech_end = 3.0
    receive(
        turn,
        (0.1, started()),
        (1.5, stopped()),
        (1.5, created("resp_1")),
        (1.8, spoken(tone(50))),
        (1.9, started()),
        (1.9, done("resp_1", "cancelled")),
    )
    assert not turn.answered
    receive(turn, (3.5, stopped()), (3.5, created("resp_2")), (4.0, done("resp_2")))
    assert turn.answered
    assert turn.cuts == 1
    assert turn.pcm == b""
    assert turn.client_ms() == {"decision": 500}


def test_a_failed_answer_says_why() -> None:
    turn = Turn()
    details = {"type": "failed", "error": {"code": "engine_error", "message": "out of memory"}}
    receive(turn, (1.0, created("resp_1")), (1.1, done("resp_1", "failed", status_details=details)))
    assert turn.failure == "out of memory"
