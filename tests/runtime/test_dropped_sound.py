"""The way out: what is dropped while it waits, and what is not."""

import pytest

from duologue.core.settings import SessionConfig, Settings
from duologue.events import (
    ResponseOutputAudioDelta,
    ResponseOutputAudioDone,
    ResponseOutputAudioTranscriptDelta,
    SessionCreated,
)
from duologue.runtime.outbox import EVENT_OVERHEAD_BYTES, Outbox


def begin(outbox: Outbox) -> None:
    session = Settings(SessionConfig(id="sess_1", model="m")).session
    outbox.begin(SessionCreated(event_id="event_0", session=session))


def place(response_id: str, number: int) -> dict[str, object]:
    return {
        "event_id": f"event_{number}",
        "response_id": response_id,
        "item_id": "item_1",
        "output_index": 0,
        "content_index": 0,
    }


def sound(response_id: str, number: int, size: int = 100) -> ResponseOutputAudioDelta:
    return ResponseOutputAudioDelta(**place(response_id, number), delta=bytes(size))  # type: ignore[arg-type]


@pytest.mark.conformance("C-157")
async def test_sound_that_waits_is_dropped_with_its_response_and_all_else_leaves_in_order() -> None:
    outbox = Outbox(100_000)
    words = ResponseOutputAudioTranscriptDelta(**place("resp_1", 2), delta="One")  # type: ignore[arg-type]
    done = ResponseOutputAudioDone(**place("resp_1", 5))  # type: ignore[arg-type]
    for event in (sound("resp_1", 1), words, sound("resp_2", 3), sound("resp_1", 4), done):
        assert outbox.put(event)
    outbox.drop_audio("resp_1")
    begin(outbox)
    outbox.end()
    assert isinstance(await outbox.get(), SessionCreated)
    left = []
    while (event := await outbox.get()) is not None:
        left.append(event)
    assert left == [words, sound("resp_2", 3), done]


async def test_what_is_dropped_makes_room() -> None:
    outbox = Outbox(2 * (EVENT_OVERHEAD_BYTES + 100))
    assert outbox.put(sound("resp_1", 1)) and outbox.put(sound("resp_1", 2))
    assert not outbox.put(sound("resp_2", 3))
    outbox.drop_audio("resp_1")
    assert outbox.put(sound("resp_2", 4))
