"""The short way of appended sound: what it takes keeps its place among all that is received."""

import asyncio
from collections.abc import Sequence

from duologue.core import inputs
from duologue.core.settings import SessionConfig, Settings
from duologue.errors import EngineFault
from duologue.events import AudioInput, AudioPcmu, InputAudioBufferAppend, InputAudioBufferCommit
from duologue.runtime.inbox import Inbox
from duologue.runtime.intake import AT_ONCE_BYTES, SCORE_AT_ONCE, Intake
from duologue.runtime.ports import WINDOW_SAMPLES, Told

WINDOW = bytes(2 * WINDOW_SAMPLES)


class Asked:
    """Windows that wait for their scores."""

    def __init__(self, count: int, told: Told) -> None:
        self.count = count
        self.scores: asyncio.Future[list[float]] = asyncio.get_running_loop().create_future()
        self._told = told

    def answer(self, *scores: float) -> None:
        """What they are, or what went wrong."""
        self.scores.set_result(list(scores))
        self._told(self.scores)

    def fail(self, fault: EngineFault) -> None:
        """There will be none."""
        self.scores.set_exception(fault)
        self._told(self.scores)


class Detector:
    """Satisfies `ActivityStream`: it answers when the test says so."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []

    def score(
        self,
        windows: Sequence[bytes],
        told: Told | None = None,
    ) -> asyncio.Future[list[float]]:
        assert told is not None, "sound that came the short way has nobody who awaits its scores"
        self.asked.append(Asked(len(windows), told))
        return self.asked[-1].scores

    def close(self) -> None:
        """Nothing kept."""


class Way:
    """An intake with its inbox and its detector."""

    def __init__(self, *, limit: int = 256, is_scored: bool = True) -> None:
        self.settings: AudioInput = Settings(SessionConfig(id="s", model="m")).session.audio.input
        self.inbox = Inbox(limit, lambda: None)
        self.detector = Detector()
        self.faults: list[BaseException] = []
        self.intake = Intake(
            self.detector,
            self.inbox,
            lambda: is_scored,
            lambda: self.settings,
            self._refused,
            self.faults.append,
        )

    async def _refused(self, event: object) -> None:
        """Never."""

    async def begun(self) -> "Way":
        """With a first frame received, which asks for the settings."""
        await self.intake.receive(InputAudioBufferAppend(audio=b""))
        return self

    @property
    def received(self) -> list[inputs.Input]:
        """What stands in the inbox; it is taken."""
        return list(self.inbox.drain(1000))


async def test_windows_enter_with_their_scores_once_these_are_there() -> None:
    way = await Way().begun()
    assert way.intake.append_now(WINDOW[:1000])
    assert way.detector.asked == [] and way.received == []
    assert way.intake.append_now(WINDOW)
    (asked,) = way.detector.asked
    assert asked.count == 1 and way.received == []
    for _ in range(3):  # what comes meanwhile is scored in one go
        assert way.intake.append_now(WINDOW)
    asked.answer(0.5)
    assert way.received == [inputs.AudioReceived(WINDOW, 0.5)]  # in the same turn of the loop
    asked = way.detector.asked[1]
    assert asked.count == 3
    asked.answer(0.1, 0.2, 0.3)
    assert way.received == [inputs.AudioReceived(WINDOW, n) for n in (0.1, 0.2, 0.3)]


async def test_an_event_waits_for_the_sound_before_it() -> None:
    way = await Way().begun()
    assert way.intake.append_now(WINDOW + b"ab") and way.intake.append_now(WINDOW)
    commit = InputAudioBufferCommit()
    receiving = asyncio.ensure_future(way.intake.receive(commit))
    for number in range(2):
        await asyncio.sleep(0)
        assert not receiving.done()
        way.detector.asked[number].answer(number / 2)
    await receiving
    assert way.received == [
        inputs.AudioReceived(WINDOW, 0.0),
        inputs.AudioReceived((b"ab" + WINDOW)[: len(WINDOW)], 0.5),
        inputs.AudioReceived(WINDOW[-2:]),
        inputs.Received(commit),
    ]


async def test_sound_that_is_not_scored_enters_at_once() -> None:
    way = await Way(is_scored=False).begun()
    assert way.intake.append_now(WINDOW * 2)
    assert way.received == [inputs.AudioReceived(WINDOW * 2)]


async def test_what_has_to_wait_is_not_taken() -> None:
    new = Way()
    assert not new.intake.append_now(WINDOW)
    full = await Way(limit=1, is_scored=False).begun()
    assert full.intake.append_now(WINDOW) and not full.intake.append_now(WINDOW)
    assert len(full.received) == 1 and full.intake.append_now(WINDOW)
    long = await Way().begun()
    assert not long.intake.append_now(bytes(AT_ONCE_BYTES + 2))
    telephone = Way()
    telephone.settings = AudioInput(format=AudioPcmu())
    await telephone.begun()
    assert not telephone.intake.append_now(bytes(160))
    stuck = await Way().begun()
    taken = 0
    while stuck.intake.append_now(WINDOW):
        taken += 1
    assert taken == SCORE_AT_ONCE + 1  # one is being scored, the others wait


async def test_a_detector_that_fails_is_told() -> None:
    way = await Way().begun()
    assert way.intake.append_now(WINDOW)
    fault = EngineFault("gone")
    way.detector.asked[0].fail(fault)
    assert way.faults == [fault] and way.received == []
