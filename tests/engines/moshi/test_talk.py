"""Talks and the clock behind them, around a stand-in for the model; threads and loop are real."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any
from weakref import WeakSet

import pytest

from duologue.core.talk import Ask, Began, CallPart, Done, Floor, Item, LiveEvent, Part, Say, Tool
from duologue.engines.moshi.clock import BACKLOG_FRAMES, STALLED_S
from duologue.engines.moshi.engine import MoshiEngine, fit, quickest_threads
from duologue.engines.moshi.floor import DONE_FRAMES
from duologue.engines.moshi.frames import FRAME_BYTES, FRAME_MS
from duologue.engines.moshi.pace import MEASURED_STEPS
from duologue.engines.moshi.talk import UNREAD_EVENTS, MoshiTalk
from duologue.engines.moshi.text import TextStream, Vocabulary
from duologue.errors import ConfigFault, EngineBusy, EngineFault
from duologue.runtime.ports import LiveTalk
from waiting import started

from .parrot import CUE, LOUD, QUIET, VOCABULARY, WORD, Parrot

ASK = Ask()


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "moshi"]


@pytest.fixture
async def parrot() -> Parrot:
    return Parrot(3)


@pytest.fixture
async def engine(parrot: Parrot) -> AsyncIterator[MoshiEngine]:
    engine = MoshiEngine(parrot, VOCABULARY, 3000)
    yield engine
    parrot.gate.set()
    await engine.aclose()
    assert threads() == []


async def upto(events: AsyncIterator[LiveEvent], kind: type) -> list[LiveEvent]:
    """The events up to the first of a kind."""
    found: list[LiveEvent] = []
    async with asyncio.timeout(10):
        async for event in events:
            found.append(event)
            if isinstance(event, kind):
                break
    return found


async def test_a_talk_hears_answers_and_is_done(engine: MoshiEngine, parrot: Parrot) -> None:
    talk = await engine.open(ASK)
    talk.hear(CUE * 3 + QUIET * DONE_FRAMES)
    async with aclosing(talk.live(ASK)) as live:  # type: ignore[type-var]
        events = await upto(live, Done)
    kinds = [e.kind if isinstance(e, Floor) else type(e).__name__ for e in events]
    assert kinds == ["reply_starts", "Began", *["Say"] * (3 + DONE_FRAMES), "Done"]
    said = [event for event in events if isinstance(event, Say)]
    assert "".join(say.text for say in said) == "word word word"
    assert b"".join(say.pcm for say in said) == LOUD * 3 + QUIET * DONE_FRAMES
    assert [len(step) for step in parrot.steps] == [1] * (3 + DONE_FRAMES)
    await talk.aclose()


async def test_sound_may_be_cut_anywhere(engine: MoshiEngine, parrot: Parrot) -> None:
    talk = await engine.open(ASK)
    line = CUE * 2 + QUIET * DONE_FRAMES
    async with aclosing(talk.live(ASK)) as live:  # type: ignore[type-var]
        for start in range(0, len(line), 1001):
            talk.hear(line[start : start + 1001])
        events = await upto(live, Done)
    assert b"".join(step[0] for step in parrot.steps) == line
    assert any(isinstance(event, Say) for event in events)
    await talk.aclose()


async def test_less_than_a_frame_is_no_step(engine: MoshiEngine, parrot: Parrot) -> None:
    quiet, other = await engine.open(ASK), await engine.open(ASK)
    async with aclosing(quiet.live(ASK)) as live, aclosing(other.live(ASK)) as rest:  # type: ignore[type-var]
        waiting = asyncio.ensure_future(anext(live))
        quiet.hear(CUE[:-2])
        other.hear(CUE)
        await upto(rest, Say)
        assert [set(step) for step in parrot.steps] == [{1}]
        quiet.hear(CUE[-2:])
        assert isinstance(await asyncio.wait_for(waiting, 10), Floor)
        assert parrot.steps[-1] == {0: CUE}
    await quiet.aclose()
    await other.aclose()


async def test_a_conversation_that_is_not_live_yet_keeps_its_latest_sound(
    engine: MoshiEngine, parrot: Parrot, caplog: pytest.LogCaptureFixture
) -> None:
    talk = await engine.open(ASK)
    frames = [bytes([n]) * FRAME_BYTES for n in range(BACKLOG_FRAMES + 5)]
    with caplog.at_level(logging.WARNING):
        for frame in frames:
            talk.hear(frame)
    assert parrot.steps == []
    assert [record.levelname for record in caplog.records] == ["WARNING"]  # once, not five times
    assert "is behind by 2880 ms" in caplog.text
    async with aclosing(talk.live(ASK)) as live:  # type: ignore[type-var]
        waiting = asyncio.ensure_future(anext(live))
        await parrot.stepped(BACKLOG_FRAMES)
        assert [step[0] for step in parrot.steps] == frames[5:]
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    await talk.aclose()


async def test_moments_are_of_the_line_though_some_of_it_fell(engine: MoshiEngine) -> None:
    talk = await engine.open(ASK)
    talk.hear(QUIET * 40)
    talk.hear(LOUD * 2 + CUE * 3 + QUIET * DONE_FRAMES)
    async with aclosing(talk.live(ASK)) as live:  # type: ignore[type-var]
        events = await upto(live, Done)
    floors = {event.kind: event.at_ms for event in events if isinstance(event, Floor)}
    assert floors["reply_starts"] == 41 * FRAME_MS
    assert floors["user_starts"] == 40 * FRAME_MS
    await talk.aclose()


async def test_a_slow_step_falls_behind_within_bounds(engine: MoshiEngine, parrot: Parrot) -> None:
    parrot.gate.clear()
    talk = await engine.open(ASK)
    async with aclosing(talk.live(ASK)) as live:  # type: ignore[type-var]
        waiting = await started(anext(live))
        talk.hear(CUE)
        await parrot.stepped(1)
        for _ in range(200):
            talk.hear(QUIET)
        parrot.gate.set()
        await asyncio.wait_for(waiting, 10)
        await upto(live, Done)
        await parrot.stepped(1 + BACKLOG_FRAMES)
    await talk.aclose()


async def test_who_is_late_is_left_out_and_the_others_go_on(
    engine: MoshiEngine, parrot: Parrot
) -> None:
    talks = [await engine.open(ASK) for _ in range(3)]
    lives = [talk.live(ASK) for talk in talks]
    waiting = [await started(anext(live)) for live in lives]
    for talk in talks[:2]:
        talk.hear(CUE)
    await asyncio.wait_for(asyncio.gather(*waiting[:2]), 10)
    assert not waiting[2].done()
    assert {slot for step in parrot.steps for slot in step} == {0, 1}
    talks[2].hear(CUE)
    assert isinstance(await asyncio.wait_for(waiting[2], 10), Floor)
    for live, talk in zip(lives, talks, strict=True):
        await live.aclose()  # type: ignore[attr-defined]
        await talk.aclose()


async def test_frames_that_come_together_are_one_step(engine: MoshiEngine, parrot: Parrot) -> None:
    parrot.gate.clear()
    talks = [await engine.open(ASK) for _ in range(3)]
    lives = [talk.live(ASK) for talk in talks]
    waiting = [await started(anext(live)) for live in lives]
    talks[0].hear(CUE)
    await parrot.stepped(1)
    talks[1].hear(CUE)
    talks[2].hear(CUE)
    talks[0].hear(CUE)
    parrot.gate.set()
    await asyncio.wait_for(asyncio.gather(*waiting), 10)
    assert [set(step) for step in parrot.steps] == [{0}, {0, 1, 2}]
    for live, talk in zip(lives, talks, strict=True):
        await live.aclose()  # type: ignore[attr-defined]
        await talk.aclose()


async def test_a_line_that_stops_in_a_reply_is_followed_by_silence_until_that_is_done(
    engine: MoshiEngine, parrot: Parrot
) -> None:
    talk = await engine.open(ASK)
    begun_s = asyncio.get_running_loop().time()
    talk.hear(CUE * 2 + CUE[:101])
    async with aclosing(talk.live(ASK)) as live:  # type: ignore[type-var]
        await upto(live, Done)
        taken_s = asyncio.get_running_loop().time() - begun_s
        assert taken_s >= STALLED_S + (DONE_FRAMES - 2) * FRAME_MS / 1000  # in real time
        frames = [step[0] for step in parrot.steps]
        assert frames[2] == CUE[:100].ljust(FRAME_BYTES, b"\0")  # what there was of one, first
        assert set(frames[3:]) == {QUIET}
        count = len(frames)
        talk.hear(CUE[101:] + CUE)  # the odd byte finds its other half
        await upto(live, Say)
        assert parrot.steps[count][0] == CUE
    await talk.aclose()


async def test_a_reader_who_does_not_read_stops_the_model_and_it_goes_on_when_they_do(
    engine: MoshiEngine, parrot: Parrot
) -> None:
    talk, other = await engine.open(ASK), await engine.open(ASK)
    async with aclosing(talk.live(ASK)) as live, aclosing(other.live(ASK)) as rest:  # type: ignore[type-var]
        talk.hear(CUE)
        await upto(live, Say)
        for count in range(UNREAD_EVENTS):
            talk.hear(CUE)
            await parrot.stepped(2 + count)
        other.hear(CUE)
        await upto(rest, Say)
        talk.hear(CUE * 2)
        other.hear(CUE)
        await upto(rest, Say)
        assert {slot for step in parrot.steps[1 + UNREAD_EVENTS :] for slot in step} == {1}
        async with asyncio.timeout(10):
            for _ in range(UNREAD_EVENTS + 2):
                assert isinstance(await anext(live), Say)
    await talk.aclose()
    await other.aclose()


async def test_places_are_given_once_and_given_back(engine: MoshiEngine, parrot: Parrot) -> None:
    talks = [await engine.open(ASK) for _ in range(3)]
    with pytest.raises(EngineBusy, match="all 3 places"):
        await engine.open(ASK)
    await talks[1].aclose()
    await talks[1].aclose()
    again = await engine.open(ASK)
    with pytest.raises(EngineBusy):
        await engine.open(ASK)
    again.hear(CUE)
    async with aclosing(again.live(ASK)) as live:  # type: ignore[type-var]
        await upto(live, Say)
    assert [slot for slot, _ in parrot.seeds] == [1]  # made new before its first step
    for talk in (talks[0], talks[2], again):
        await talk.aclose()


async def test_a_place_that_is_taken_again_is_made_new(engine: MoshiEngine, parrot: Parrot) -> None:
    for _ in range(3):
        talk = await engine.open(ASK)
        talk.hear(CUE)
        async with aclosing(talk.live(ASK)) as live:  # type: ignore[type-var]
            events = await upto(live, Say)
        assert Began({"audio": 1}, {"audio": 0}) in events
        await talk.aclose()
    assert [slot for slot, _ in parrot.seeds] == [0, 0, 0]
    assert len({seed for _, seed in parrot.seeds}) == 3


async def test_closing_while_a_step_runs_tells_nobody_of_its_frame(
    engine: MoshiEngine, parrot: Parrot
) -> None:
    parrot.gate.clear()
    talk = await engine.open(ASK)
    live = talk.live(ASK)
    waiting = await started(anext(live, None))
    talk.hear(CUE)
    await parrot.stepped(1)
    await talk.aclose()
    talk.hear(CUE)
    other = await engine.open(ASK)
    other.hear(QUIET)
    parrot.gate.set()
    assert await asyncio.wait_for(waiting, 10) is None  # that it is closed is no failure
    rest = other.live(ASK)
    nothing = asyncio.ensure_future(anext(rest))
    await parrot.stepped(2)
    assert not nothing.done()
    nothing.cancel()
    await asyncio.gather(nothing, return_exceptions=True)
    await other.aclose()


async def test_no_more_are_let_in_while_steps_take_longer_than_their_frames() -> None:
    parrot = Slow(2)
    engine = MoshiEngine(parrot, VOCABULARY, 3000)
    talk = await engine.open(ASK)
    talk.hear(QUIET * (MEASURED_STEPS - 1) + CUE)
    async with aclosing(talk.live(ASK)) as live:  # type: ignore[type-var]
        await upto(live, Say)
        with pytest.raises(EngineBusy, match="behind: it needs .* ms for 80 ms"):
            await engine.open(ASK)
    await talk.aclose()
    again = await engine.open(ASK)  # nobody is there: let them try
    await again.aclose()
    await engine.aclose()


class Slow(Parrot):
    """Needs a little longer than 80 ms for a step."""

    def step(self, heard: Any) -> Any:
        threading.Event().wait(0.085)
        return super().step(heard)


async def test_a_step_that_fails_ends_its_conversations_and_no_others(
    engine: MoshiEngine, parrot: Parrot, caplog: pytest.LogCaptureFixture
) -> None:
    broken, sound = await engine.open(ASK), await engine.open(ASK)
    parrot.breaks = True
    broken.hear(CUE)
    with pytest.raises(EngineFault, match="failed in a step: RuntimeError"):
        await asyncio.wait_for(anext(broken.live(ASK)), 10)
    parrot.breaks = False
    sound.hear(CUE)
    async with aclosing(sound.live(ASK)) as live:  # type: ignore[type-var]
        await upto(live, Say)
    broken.hear(CUE)
    async with aclosing(broken.live(ASK)) as live:  # type: ignore[type-var]
        events = await upto(live, Say)  # it may be tried again, and remembers nothing
    assert events[:2] == [Floor("reply_starts", 2 * FRAME_MS), Began({"audio": 1}, {"audio": 0})]
    assert [slot for slot, _ in parrot.seeds] == [0, 1, 0]
    await broken.aclose()
    again = await engine.open(ASK)
    again.hear(CUE)
    async with aclosing(again.live(ASK)) as live:  # type: ignore[type-var]
        await upto(live, Say)
    assert "out of memory" in caplog.text
    await sound.aclose()
    await again.aclose()


async def test_one_live_at_a_time_and_none_after_the_end(engine: MoshiEngine) -> None:
    talk = await engine.open(ASK)
    talk.hear(CUE * 2)
    live = talk.live(ASK)
    await asyncio.wait_for(anext(live), 10)
    with pytest.raises(EngineFault, match="live already"):
        await anext(talk.live(ASK))
    await live.aclose()  # type: ignore[attr-defined]
    await talk.aclose()
    with pytest.raises(EngineFault, match="has ended"):
        await anext(talk.live(ASK))


async def test_who_begins_to_listen_in_the_middle_of_a_reply_is_told_of_its_beginning(
    engine: MoshiEngine,
) -> None:
    talk = await engine.open(ASK)
    for _ in range(2):
        talk.hear(CUE)
        async with aclosing(talk.live(ASK)) as live:  # type: ignore[type-var]
            events = await upto(live, Say)
        kinds = [e.kind if isinstance(e, Floor) else type(e).__name__ for e in events]
        assert kinds == ["reply_starts", "Began", "Say"]
    await talk.aclose()


async def test_a_frame_that_cannot_be_told_ends_that_conversation_alone(
    parrot: Parrot, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Vocabulary):
        """Breaks for the first who reads with it."""

        def stream(self) -> TextStream:
            return super().stream() if count.pop() else TextStream(None)  # type: ignore[arg-type]

    count = [True, False]
    engine = MoshiEngine(parrot, Broken({WORD: "word"}), 3000)
    broken, sound = await engine.open(ASK), await engine.open(ASK)
    for talk in (broken, sound):
        talk.hear(CUE)
    with pytest.raises(EngineFault, match="failed in a step: AttributeError"):
        await asyncio.wait_for(anext(broken.live(ASK)), 10)
    async with aclosing(sound.live(ASK)) as live:  # type: ignore[type-var]
        await upto(live, Say)
    assert "a frame of place 0 was not taken" in caplog.text
    await broken.aclose()
    await sound.aclose()
    await engine.aclose()


async def test_a_response_that_is_asked_for_is_refused_with_the_reason(engine: MoshiEngine) -> None:
    talk = await engine.open(ASK)
    for ask in (ASK, Ask(keep=False, context=())):
        with pytest.raises(EngineFault, match="speaks of itself.*not even out of band"):
            await anext(talk.reply(ask))
    await talk.aclose()


@pytest.mark.parametrize(
    ("ask", "names"),
    [
        (Ask(instructions="Be brief."), "instructions"),
        (Ask(speed=1.5), "speed"),
        (Ask(tools=(Tool("look"),), speed=0.5, max_tokens=1), "tools, speed"),
    ],
)
async def test_settings_that_have_no_effect_are_told_in_the_log(
    engine: MoshiEngine, caplog: pytest.LogCaptureFixture, ask: Ask, names: str
) -> None:
    talk = await engine.open(ASK)
    with caplog.at_level(logging.INFO):
        talk.configure(ASK)
        assert not caplog.records
        talk.configure(ask)
    (record,) = caplog.records
    assert record.getMessage().endswith(f"without effect: {names}")
    await talk.aclose()


async def test_notes_change_nothing_and_raise_nothing(engine: MoshiEngine, parrot: Parrot) -> None:
    talk = await engine.open(ASK)
    talk.configure(Ask(instructions="Be brief."))
    item = Item("item_1", "user", (Part(text="Hello"),))
    talk.expect(item)
    talk.expect(None)
    talk.put(item)
    talk.put(Item("item_2", "call", call=CallPart("call_1", "look", "{}")), "item_1")
    talk.put(Item("item_3", "result", (Part(text="sun"),), call_id="call_1"))
    talk.cut("item_4", 200, "Hel")
    talk.played("item_4", 4800)
    assert isinstance(talk, MoshiTalk)
    talk.nudge(ASK)
    talk.drop("item_1")
    await talk.aclose()
    assert parrot.steps == []


async def test_a_shut_down_engine_ends_its_talks_lets_nobody_in_and_leaves_no_thread() -> None:
    engine = MoshiEngine(Parrot(2), VOCABULARY, 3000)
    talk: LiveTalk = await engine.open(ASK)
    waiting = await started(anext(talk.live(ASK)))
    assert threads() == ["moshi"]
    await engine.aclose()
    await engine.aclose()
    assert threads() == []
    with pytest.raises(EngineFault, match="shut down"):
        await asyncio.wait_for(waiting, 10)
    with pytest.raises(EngineFault, match="shut down"):
        await engine.open(ASK)
    with pytest.raises(EngineFault, match="shut down"):
        await anext(talk.live(ASK))
    await talk.aclose()


def test_as_many_places_are_made_as_can_be_stepped_in_time() -> None:
    made: list[int] = []

    class Heavy(Parrot):
        """Needs 20 ms for each place."""

        def step(self, heard: Any) -> Any:
            threading.Event().wait(0.02 * self.slots)
            return super().step(heard)

    def make(slots: int) -> Parrot:
        made.append(slots)
        return Heavy(slots)

    assert fit(make, 8).slots == 2
    assert made == [8, 4, 2]


class Memory:
    """Of a machine, for so many places; the models that live take theirs."""

    def __init__(self, places: int, *, at_step: bool, error: type[Exception]) -> None:
        self.places, self.at_step, self.error = places, at_step, error
        self.made: list[int] = []
        self.living: WeakSet[Parrot] = WeakSet()
        self.most = 0

    def make(self, slots: int) -> Parrot:
        memory = self
        self.made.append(slots)

        class Large(Parrot):
            def step(self, heard: Any) -> Any:
                memory.check(self.slots)
                return super().step(heard)

        if not self.at_step:
            self.check(slots)
        model = Large(slots)
        self.living.add(model)
        self.most = max(self.most, sum(each.slots for each in self.living))
        return model

    def check(self, slots: int) -> None:
        if slots > self.places:
            raise self.error("CUDA out of memory. Tried to allocate 1.6 GiB.")


@pytest.mark.parametrize("error", [RuntimeError, MemoryError])
@pytest.mark.parametrize("at_step", [False, True])
def test_as_many_places_are_made_as_memory_lasts_for(
    at_step: bool, error: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    memory = Memory(3, at_step=at_step, error=error)
    assert fit(memory.make, 8).slots == 2
    assert memory.made == [8, 4, 2]
    assert memory.most == (8 if at_step else 2)  # never two of them at once
    assert "no memory for 4 places; trying 2" in caplog.text


def test_a_machine_without_memory_for_one_place_is_told_before_serving() -> None:
    memory = Memory(0, at_step=False, error=RuntimeError)
    with pytest.raises(ConfigFault, match="engine: moshi has not enough memory"):
        fit(memory.make, 2)


def test_another_failure_than_of_memory_is_not_taken_for_it() -> None:
    def make(slots: int) -> Parrot:
        raise RuntimeError("no such device")

    with pytest.raises(RuntimeError, match="no such device"):
        fit(make, 8)


def test_a_model_that_is_too_slow_is_gone_before_a_smaller_one_is_made() -> None:
    held: list[int] = []
    living: WeakSet[Parrot] = WeakSet()

    class Heavy(Parrot):
        def step(self, heard: Any) -> Any:
            threading.Event().wait(0.04 * self.slots)
            return super().step(heard)

    def make(slots: int) -> Parrot:
        held.append(sum(each.slots for each in living))
        model = Heavy(slots)
        living.add(model)
        return model

    assert fit(make, 4).slots == 1
    assert held == [0, 0, 0]


def test_a_machine_that_cannot_keep_up_with_one_place_is_told_before_serving() -> None:
    with pytest.raises(ConfigFault, match="engine: moshi needs [0-9]+ ms on this machine"):
        fit(Slow, 1)


@pytest.mark.parametrize(
    ("step_s", "tried", "best"),
    [
        ({8: 0.04, 4: 0.02, 2: 0.01, 1: 0.005}, [8, 4, 2, 1], 1),
        ({8: 0.005, 4: 0.02}, [8, 4], 8),
        ({6: 0.02, 3: 0.005, 1: 0.04}, [6, 3, 1], 3),
        ({4: 0.005, 2: 0.02, 1: 0.001}, [4, 2], 4),
        ({1: 0.001}, [1], 1),
    ],
)
def test_as_many_threads_are_used_as_are_quickest(
    step_s: dict[int, float], tried: list[int], best: int
) -> None:
    were_set: list[int] = []

    class Threaded(Parrot):
        def step(self, heard: Any) -> Any:
            threading.Event().wait(step_s[were_set[-1]])
            return super().step(heard)

    assert quickest_threads(Threaded, were_set.append, tried[0]) == best
    assert were_set == [*tried, best]


def test_without_memory_for_a_trial_there_is_a_thread_for_each_core() -> None:
    were_set: list[int] = []
    memory = Memory(0, at_step=True, error=MemoryError)
    assert quickest_threads(memory.make, were_set.append, 4) == 4
    assert were_set[-1] == 4


async def test_the_engine_says_what_it_is(engine: MoshiEngine) -> None:
    shown = engine.traits.shown()
    assert (shown.end_to_end, shown.duplex, shown.rewinds, shown.tools) == (
        True,
        True,
        False,
        False,
    )
    assert (shown.voices, shown.context_tokens) == ((), 3000)
