"""Turn ends on real recordings, and one thread for all sessions."""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from duologue.core.user_turn import semantic
from duologue.errors import EngineFault, ModelFault
from duologue.hearing.silero import SileroActivity
from duologue.hearing.turn_end import WAITING_LIMIT, SmartTurn, SmartTurnEnd
from recordings import Recording, recording, recordings, windows
from waiting import started
from weights import weights

pytestmark = pytest.mark.weights

PAUSE = bytes(224 * 48)
NEVER_COMPLETE = "librivox_0880.wav"
"""The middle of a sentence, read out of a book: it sounds as if more would come."""


@pytest.fixture(scope="module")
def model() -> SmartTurn:
    return SmartTurn(weights("smart-turn-v3.2"))


@pytest.fixture
async def turn_end(model: SmartTurn) -> AsyncIterator[SmartTurnEnd]:
    made = SmartTurnEnd(model)
    yield made
    await made.aclose()


def spoken(r: Recording, share: float = 1.0) -> bytes:
    return r.pcm[: int(r.end_ms * share) * 48] + PAUSE


def test_what_was_said_to_its_end_is_complete(model: SmartTurn) -> None:
    scores = {r.file: model.probability(spoken(r)) for r in recordings()}
    incomplete = [file for file, score in scores.items() if score < 0.5]
    assert f"human/{NEVER_COMPLETE}" in incomplete and len(incomplete) <= 2, scores


async def test_semantic_vad_cuts_no_recording_and_finds_the_ends(model: SmartTurn) -> None:
    activity = await SileroActivity.load(weights("silero-vad"))
    for r in recordings():
        frames = windows(r.pcm + bytes(48 * 5000))
        turn = semantic("auto")
        stops = []
        for n, score in enumerate(await activity.open().score(frames)):
            decision = turn.hear(score, n * 32, n * 32 + 32)
            if decision == "asked":
                decision = turn.judge(model.probability(b"".join(frames[: n + 1])))
            if decision == "stopped":
                stops.append(n * 32 + 32)
        assert len(stops) == 1, f"{r.file} was cut at {stops}"
        most_ms = 4500 if r.file.endswith(NEVER_COMPLETE) else 500
        assert -600 < stops[0] - r.end_ms < most_ms, r.file
    await activity.aclose()


@pytest.mark.parametrize(
    ("file", "share"),
    [("01_am_michael.wav", 0.55), ("06_af_nova.wav", 0.4), ("07_am_fenrir.wav", 0.64)],
)
def test_some_sentences_that_break_off_are_not(model: SmartTurn, file: str, share: float) -> None:
    assert model.probability(spoken(recording(file), share)) < 0.5


def test_only_the_last_eight_seconds_count(model: SmartTurn) -> None:
    end = spoken(recording("06_af_nova.wav"))
    noise = np.random.default_rng(1).integers(-8000, 8000, 24_000 * 20, np.int16).tobytes()
    padded = bytes(24_000 * 2 * 8) + end
    assert model.probability(noise + padded) == pytest.approx(model.probability(padded), abs=1e-3)


@pytest.mark.parametrize("pcm", [b"", b"\0", bytes(960), bytes(48_000 * 30)], ids=len)
def test_any_sound_gets_a_probability(model: SmartTurn, pcm: bytes) -> None:
    assert 0 <= model.probability(pcm) <= 1


async def test_askers_side_by_side_get_their_own_answers(
    model: SmartTurn, turn_end: SmartTurnEnd
) -> None:
    sounds = [spoken(r) for r in recordings()[:4]]
    answers = await asyncio.gather(*(turn_end.score(sound) for sound in sounds))
    assert answers == pytest.approx([model.probability(sound) for sound in sounds], abs=1e-6)


def test_weights_that_are_none_are_a_named_fault(tmp_path: Path) -> None:
    broken = tmp_path / "model.onnx"
    broken.write_bytes(b"not a graph")
    with pytest.raises(ModelFault, match=r"model\.onnx"):
        SmartTurn(broken)


class Slow(SmartTurn):
    """Answers when it is let."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.heard: list[bytes] = []

    def probability(self, pcm: bytes) -> float:
        self.go.wait()
        self.heard.append(pcm)
        return 1.0


async def test_a_long_line_is_refused_and_a_place_in_it_can_be_given_up() -> None:
    slow = Slow()
    turn_end = SmartTurnEnd(slow)
    askers = [await started(turn_end.score(bytes([n]))) for n in range(1 + WAITING_LIMIT)]
    with pytest.raises(EngineFault, match="judged"):
        await turn_end.score(b"one too many")
    askers[5].cancel()
    await asyncio.wait((askers[5],))
    last = await started(turn_end.score(b"last"))
    slow.go.set()
    assert await last == 1.0
    assert len(await asyncio.gather(*askers, return_exceptions=True)) == 1 + WAITING_LIMIT
    assert slow.heard == [bytes([n]) for n in range(1 + WAITING_LIMIT) if n != 5] + [b"last"]
    await turn_end.aclose()
    with pytest.raises(EngineFault, match="shut down"):
        await turn_end.score(b"too late")
