"""Sessions that only listen, in any order of events and inputs: nothing breaks them.

A transcription session and a translation are given client events of every type of theirs with any
fields, windows of sound and every input that their shell may make, results of jobs that never were
included. Each event that leaves is judged (`judging.py`).
"""

from typing import Any, get_args

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drawing import drawn
from duologue.core import inputs, outputs
from duologue.core.settings import SessionConfig
from duologue.events import CLIENT_EVENTS, InputAudioBufferAppend
from duologue.events.translation import TRANSLATION_CLIENT_EVENTS
from duologue.testing.timeline import Timeline, read
from session_kit import update

WINDOW = bytes(1536)
STARTS = (outputs.Respond, outputs.Transcribe, outputs.Translate, outputs.ScoreTurn)
NEVER: dict[str, tuple[type, ...]] = {
    # What needs an engine that answers, or belongs to the other kind.
    "transcription": (
        inputs.ReplyEvent,
        inputs.ReplyFailed,
        inputs.LiveEvent,
        inputs.LiveFailed,
        inputs.Played,
        inputs.Resumed,
        inputs.ReceivedTranslation,
    ),
    # It is had over a WebSocket only, which is not waited for.
    "translation": (
        inputs.LiveEvent,
        inputs.LiveFailed,
        inputs.Played,
        inputs.Resumed,
        inputs.Lost,
        inputs.Found,
        inputs.TurnScored,
        inputs.Received,
    ),
}
CHANGES: dict[str, list[dict[str, Any]]] = {
    "transcription": [
        update(type="transcription", audio={"input": {"turn_detection": None}}),
        update(type="transcription", audio={"input": {"turn_detection": {"type": "server_vad"}}}),
        update(type="transcription", audio={"input": {"turn_detection": {"type": "semantic_vad"}}}),
        {"type": "input_audio_buffer.commit"},
        {"type": "input_audio_buffer.clear"},
    ],
    "translation": [
        {
            "type": "session.update",
            "session": {"audio": {"input": {"transcription": {"model": "whisper-1"}}}},
        },
        {"type": "session.close"},
    ],
}


def client_kinds(kind: str) -> list[type]:
    vocabulary = CLIENT_EVENTS if kind == "transcription" else TRANSLATION_CLIENT_EVENTS
    return [each for name, each in vocabulary.items() if not name.endswith("audio_buffer.append")]


def steps(kind: str) -> st.SearchStrategy[list[Any]]:
    """Windows (a bool: voiced), client events (dicts) and inputs."""
    own = (inputs.Received, inputs.ReceivedTranslation, inputs.AudioReceived)
    entering = [
        drawn(each)
        for each in get_args(inputs.Input)
        if each not in (*NEVER[kind], *own, inputs.Dismissed, inputs.Disconnected)
    ]
    sent = [drawn(each).map(msgspec.to_builtins) for each in client_kinds(kind)]
    sounds = st.tuples(st.booleans(), st.integers(1, 30))
    changes = st.sampled_from(CHANGES[kind])
    return st.lists(st.one_of(sounds, changes, *sent, *entering), min_size=1, max_size=30)


@pytest.mark.parametrize("kind", ["transcription", "translation"])
@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_nothing_that_comes_in_any_order_breaks_it(kind: Any, data: st.DataObject) -> None:
    t = Timeline(SessionConfig(id="sess_any", model="scripted", type=kind, expires_at=9))
    jobs = ["job_never"]

    def enter(entry: Any) -> None:
        t.now += 0.02
        if hasattr(entry, "job"):  # of a job that was begun, whichever that is
            entry = msgspec.structs.replace(entry, job=jobs[len(entry.job) % len(jobs)])
        batch = t.session.handle(entry, t.now)
        jobs.extend(output.job for output in batch if isinstance(output, STARTS))
        t._carry_out(batch)

    for step in data.draw(steps(kind)):
        if isinstance(step, tuple):
            voiced, count = step
            for _ in range(count):
                scored = t.session.scores_audio
                enter(inputs.AudioReceived(WINDOW, float(voiced) if scored else None))
        elif isinstance(step, dict):
            enter(read(step, translation=kind == "translation"))
        else:
            enter(step)
    enter(inputs.Disconnected())
    assert t.session.deadline is None


def test_every_input_is_of_one_kind_of_session_or_of_all() -> None:
    known = set(get_args(inputs.Input))
    assert all(set(never) < known for never in NEVER.values())
    assert InputAudioBufferAppend not in client_kinds("transcription")
