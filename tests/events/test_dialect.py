"""The dialects that say events as they are: one frame in, one event; one event out, one frame."""

import base64
import json

import pytest

from duologue.events import Error, ErrorDetail, InputAudioBufferCommit
from duologue.events.beta import Beta
from duologue.events.dialect import Dialect, Ga, Translation
from duologue.events.translation import (
    SessionClose,
    SessionClosed,
    SessionInputAudioBufferAppend,
    SessionOutputAudioDelta,
)
from events.frames import refused

COMMIT = json.dumps({"type": "input_audio_buffer.commit", "event_id": "mine"})
CLOSE = json.dumps({"type": "session.close", "event_id": "mine"})


def test_each_dialect_reads_its_own_vocabulary():
    assert Ga().decode(COMMIT) == InputAudioBufferCommit(event_id="mine")
    assert Translation().decode(CLOSE) == SessionClose(event_id="mine")
    sound = base64.b64encode(b"\1\0" * 5).decode()
    frame = json.dumps({"type": "session.input_audio_buffer.append", "audio": sound})
    event = Translation().decode(frame)
    assert isinstance(event, SessionInputAudioBufferAppend) and event.audio == b"\1\0" * 5


@pytest.mark.parametrize(("dialect", "frame"), [(Ga(), CLOSE), (Translation(), COMMIT)])
def test_neither_takes_the_events_of_the_other(dialect: Dialect, frame: str):
    with refused("invalid_value", "type"):
        dialect.decode(frame)


@pytest.mark.parametrize(("kind", "frame"), [(Ga, COMMIT), (Translation, CLOSE)])
def test_only_a_strict_one_refuses_a_key_that_is_not_known(kind: type, frame: str):
    coloured = json.dumps({**json.loads(frame), "colour": "red"})
    assert kind().decode(coloured) == kind().decode(frame)
    with refused("unknown_parameter", "colour"):
        kind(strict=True).decode(coloured)


def appended(kind: str, **keys: object) -> bytes:
    sound = base64.b64encode(b"\1\0" * 5).decode()
    return json.dumps({"type": kind, "audio": sound, **keys}).encode()


def test_appended_sound_is_known_at_a_glance_and_nothing_else_is():
    append, other = "input_audio_buffer.append", "session.input_audio_buffer.append"
    for dialect, mine, strange in ((Ga, append, other), (Beta, append, other)):
        assert dialect().sound_of(appended(mine, event_id="mine")) == b"\1\0" * 5
        assert dialect().sound_of(appended(strange)) is None
        assert dialect(strict=True).sound_of(appended(mine)) is None
    assert Translation().sound_of(appended(other)) == b"\1\0" * 5
    assert Translation().sound_of(appended(append)) is None
    assert Translation(strict=True).sound_of(appended(other)) is None
    for frame in (b"", b"{", b"[]", COMMIT.encode(), appended(append, audio="*")):
        assert Ga().sound_of(frame) is None and Beta().sound_of(frame) is None
        assert Translation().sound_of(frame) is None


def test_every_event_is_told_in_one_frame():
    delta = SessionOutputAudioDelta(event_id="event_1", delta=b"\1\0", elapsed_ms=200)
    (frame,) = Translation().encode(delta)
    raw = json.loads(frame)
    assert raw["type"] == "session.output_audio.delta" and raw["elapsed_ms"] == 200
    assert base64.b64decode(raw["delta"]) == b"\1\0"
    (frame,) = Translation().encode(SessionClosed(event_id="event_2"))
    assert json.loads(frame) == {"type": "session.closed", "event_id": "event_2"}
    error = Error(event_id="event_3", error=ErrorDetail(type="server_error", message="Broken."))
    for dialect in (Ga(), Translation()):
        (frame,) = dialect.encode(error)
        assert json.loads(frame)["error"]["message"] == "Broken."
