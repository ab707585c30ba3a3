"""The way out: what is dropped while it waits, and what is not."""

import asyncio

import msgspec
import pytest

from duologue.core.settings import SessionConfig, Settings
from duologue.core.talk import Item
from duologue.engines.scripted import (
    LoudnessActivity,
    LoudnessTurnEnd,
    Script,
    ScriptedEngine,
    ScriptedReply,
    ScriptedTalk,
    ScriptedTranscriber,
)
from duologue.events import (
    ClientEvent,
    ConversationItemAdded,
    ConversationItemTruncated,
    ResponseOutputAudioDelta,
    ResponseOutputAudioDone,
    ResponseOutputAudioTranscriptDelta,
    SessionCreated,
)
from duologue.events.weight import EVENT_BYTES
from duologue.runtime.outbox import Outbox
from duologue.runtime.runner import Runner
from session_kit import create, truncate


def begin(outbox: Outbox) -> None:
    session = Settings(SessionConfig(id="sess_1", model="m")).session
    outbox.begin(SessionCreated(event_id="event_0", session=session))


def place(response_id: str, number: int, item_id: str = "item_1") -> dict[str, object]:
    return {
        "event_id": f"event_{number}",
        "response_id": response_id,
        "item_id": item_id,
        "output_index": 0,
        "content_index": 0,
    }


def sound(response_id: str, number: int, item_id: str = "item_1") -> ResponseOutputAudioDelta:
    return ResponseOutputAudioDelta(**place(response_id, number, item_id), delta=bytes(100))  # type: ignore[arg-type]


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


async def test_of_an_item_that_was_cut_only_its_own_sound_is_dropped() -> None:
    outbox = Outbox(100_000)
    for event in (sound("resp_1", 1), sound("resp_1", 2, "item_2"), sound("resp_1", 3)):
        assert outbox.put(event)
    outbox.drop_item_audio("item_1")
    begin(outbox)
    outbox.end()
    assert isinstance(await outbox.get(), SessionCreated)
    assert await outbox.get() == sound("resp_1", 2, "item_2")
    assert await outbox.get() is None


async def test_sound_that_waits_when_its_item_is_truncated_is_not_sent() -> None:
    was_put, was_cut = asyncio.Event(), asyncio.Event()

    class Told(ScriptedTalk):
        def put(self, item: Item, after: str | None = None) -> None:
            was_put.set()

        def cut(self, item_id: str, end_ms: int, text: str) -> None:
            was_cut.set()

    engine = ScriptedEngine(Script(replies=(ScriptedReply(text="one two three four"),)))
    runner = Runner(
        SessionConfig(id="sess_cut", model="scripted"),
        Told(engine),
        ScriptedTranscriber(engine),
        LoudnessActivity().open(),
        LoudnessTurnEnd(),
    )
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        tasks.create_task(runner.run())
        await runner.receive(msgspec.convert(create(), ClientEvent))
        await was_put.wait()  # all of it was said, and waits
        while not isinstance(event := await runner.next_event(), ConversationItemAdded):
            assert event is not None
        await runner.receive(msgspec.convert(truncate(event.item.id, 100), ClientEvent))
        await was_cut.wait()
        left = []
        while not isinstance(event := await runner.next_event(), ConversationItemTruncated):
            left.append(type(event))
        runner.disconnect()
    assert ResponseOutputAudioTranscriptDelta in left and ResponseOutputAudioDelta not in left


async def test_what_is_dropped_makes_room() -> None:
    outbox = Outbox(2 * (EVENT_BYTES + 100))
    assert outbox.put(sound("resp_1", 1)) and outbox.put(sound("resp_1", 2))
    assert not outbox.put(sound("resp_2", 3))
    outbox.drop_audio("resp_1")
    assert outbox.put(sound("resp_2", 4))
