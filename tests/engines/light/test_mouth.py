"""The voice: its words, their sound and its faults, with the model itself."""

import asyncio
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import rapidocr
from hypothesis import given
from hypothesis import strategies as st

from duologue.engines.composed.parts import Word
from duologue.engines.light.mouth import HibariMouth
from duologue.errors import EngineFault, ModelFault

RATE_HZ = 24_000
WELL_KNOWN = "alloy ash ballad coral echo sage shimmer verse marin cedar".split()


@pytest.fixture(scope="module")
def mouth() -> Iterator[HibariMouth]:
    loaded = HibariMouth()
    yield loaded
    asyncio.run(loaded.aclose())


async def words(mouth: HibariMouth, clause: str, speed: float = 1.0) -> Sequence[Word]:
    return await mouth.speak(clause, voice="heart", speed=speed)


def wave(said: Sequence[Word]) -> np.ndarray:
    return np.frombuffer(b"".join(word.pcm for word in said), "<i2") / 32768


def seconds(said: Sequence[Word]) -> float:
    return len(wave(said)) / RATE_HZ


def silent_edges_ms(sound: np.ndarray) -> tuple[float, float]:
    """How long the sound stays under -45 dBFS at its beginning and its end."""
    windows = sound[: len(sound) // 24 * 24].reshape(-1, 24)
    loud = np.flatnonzero(np.sqrt((windows**2).mean(1)) > 10 ** (-45 / 20))
    return float(loud[0]), float(len(windows) - 1 - loud[-1])


def loudness_db(sound: np.ndarray) -> float:
    windows = sound[: len(sound) // 240 * 240].reshape(-1, 240)
    power = (windows**2).mean(1)
    return float(10 * np.log10(power[power > 10**-4.5].mean()))


async def test_every_word_has_its_place_and_its_sound(mouth: HibariMouth) -> None:
    clause = " Sure, it is **3:30 pm** in Paris. "
    said = await words(mouth, clause)
    assert [clause[: w.end].split()[-1] for w in said] == [
        "Sure,",
        "it",
        "is",
        "pm**",
        "in",
        "Paris.",
    ]
    assert said[-1].end == len(clause)
    assert all(w.pcm and len(w.pcm) % 2 == 0 for w in said)


async def test_long_words_take_longer_than_short_ones(mouth: HibariMouth) -> None:
    said = await words(mouth, "It is extraordinarily so.")
    length = [len(w.pcm) for w in said]
    assert length[2] > 3 * max(length[0], length[1])


async def test_a_comma_in_a_clause_keeps_its_pause_with_the_word_before_it(
    mouth: HibariMouth,
) -> None:
    said = await words(mouth, "Well done my good friend, so long.")
    friend = np.frombuffer(said[4].pcm, "<i2")[-1200:] / 32768
    assert np.sqrt((friend**2).mean()) < 10 ** (-30 / 20)


@pytest.mark.parametrize(
    ("clause", "pause_ms"), [("Sure,", 120), ("That is right.", 280), ("It is not the", 30)]
)
async def test_a_clause_begins_at_once_and_ends_with_the_pause_of_its_mark(
    mouth: HibariMouth, clause: str, pause_ms: int
) -> None:
    lead, tail = silent_edges_ms(wave(await words(mouth, clause)))
    assert lead <= 30
    assert pause_ms <= tail <= pause_ms + 60


async def test_there_is_no_click_at_the_edges(mouth: HibariMouth) -> None:
    sound = wave(await words(mouth, "All of it is here."))
    assert abs(sound[:12]).max() < 0.01
    assert not sound[-12:].any()


async def test_clauses_are_equally_loud_and_never_clip(mouth: HibariMouth) -> None:
    clauses = ["Sure,", " I can help you with that.", " What?", " Never!", " the weather in Paris"]
    sounds = [wave(await words(mouth, clause)) for clause in clauses]
    levels = [loudness_db(sound) for sound in sounds]
    assert max(levels) - min(levels) < 2
    assert max(abs(sound).max() for sound in sounds) <= 0.98


async def test_speed_changes_the_length_and_not_the_words(mouth: HibariMouth) -> None:
    clause = "The capital of Australia is Canberra."
    normal = await words(mouth, clause)
    for speed in (0.25, 0.5, 1.5):
        said = await words(mouth, clause, speed)
        assert [w.end for w in said] == [w.end for w in normal]
        assert seconds(said) == pytest.approx(seconds(normal) / speed, rel=0.15)


@pytest.mark.parametrize("clause", ["", " ", "...", "😀", "\n", "---", "Привет", "今日は"])
async def test_nothing_to_pronounce_is_one_word_without_sound(
    mouth: HibariMouth, clause: str
) -> None:
    assert await words(mouth, clause) == [Word(len(clause), b"")]


async def test_what_cannot_be_pronounced_is_passed_over(mouth: HibariMouth) -> None:
    clause = "He said Привет, and 今日は, to Łukasz in São Paulo 😀"
    said = await words(mouth, clause)
    assert said[-1].end == len(clause)
    assert all(w.pcm for w in said)


async def test_a_very_long_text_is_spoken_whole(mouth: HibariMouth) -> None:
    text = "This is one of the many sentences here, number 12345678, and so on. " * 20
    said = await words(mouth, text)
    ends = [w.end for w in said]
    assert ends == sorted(set(ends))
    assert ends[-1] == len(text)
    assert seconds(said) > 60


async def test_digits_without_end_are_no_fault(mouth: HibariMouth) -> None:
    assert seconds(await words(mouth, "7" * 250)) > 10
    clause = f"It is ${'7' * 40} in all."
    said = await words(mouth, clause)
    assert [clause[: w.end].split()[-1] for w in said][-2:] == ["in", "all."]
    assert said[-1].end == len(clause)


@given(st.text(max_size=80))
def test_no_text_is_a_fault(mouth: HibariMouth, text: str) -> None:
    runs = mouth._plan(text)
    ends = [end for run in runs for _, end in run.words]
    assert ends == sorted(set(ends))


async def test_the_same_clause_sounds_the_same(mouth: HibariMouth) -> None:
    assert await words(mouth, "Same again.") == await words(mouth, "Same again.")


async def test_the_well_known_voices_are_names_of_the_one_there_is(mouth: HibariMouth) -> None:
    assert list(mouth.voices) == ["heart", *WELL_KNOWN]
    heart = await words(mouth, "Hello.")
    assert await mouth.speak("Hello.", voice="marin", speed=1.0) == heart
    with pytest.raises(EngineFault, match="no voice 'bob'"):
        await mouth.speak("Hello.", voice="bob", speed=1.0)


async def test_clauses_are_spoken_in_the_order_asked_for(mouth: HibariMouth) -> None:
    done: list[int] = []

    async def speak(i: int) -> None:
        await words(mouth, "A clause of some words." if i % 2 else "Short.")
        done.append(i)

    await asyncio.gather(*(speak(i) for i in range(8)))
    assert done == list(range(8))


async def test_a_clause_too_many_is_refused_and_the_others_are_spoken() -> None:
    mouth = await asyncio.to_thread(HibariMouth, most_waiting=2)
    results = await asyncio.gather(
        *(words(mouth, "One clause.") for _ in range(3)), return_exceptions=True
    )
    assert [isinstance(r, EngineFault) for r in results] == [False, False, True]
    assert await words(mouth, "And another.")
    await mouth.aclose()


async def test_a_clause_nobody_waits_for_any_more_is_not_spoken(mouth: HibariMouth) -> None:
    waiting = [asyncio.ensure_future(words(mouth, "Some words here.")) for _ in range(6)]
    await waiting.pop(0)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert all(task.cancelled() for task in waiting)
    assert await words(mouth, "Still here.")


async def test_a_network_that_cannot_take_its_input_is_an_engine_fault(
    mouth: HibariMouth,
) -> None:
    with pytest.raises(EngineFault, match="The voice failed"):
        await mouth.speak("Two words.", voice="heart", speed="fast")  # type: ignore[arg-type]


async def test_after_the_close_it_does_not_speak() -> None:
    mouth = await asyncio.to_thread(HibariMouth)
    await mouth.aclose()
    with pytest.raises(EngineFault):
        await words(mouth, "Hello.")


def test_another_model_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "other.onnx"
    path.write_bytes(b"not a model")
    with pytest.raises(ModelFault, match=re.escape("other.onnx")):
        HibariMouth(path)


def test_a_model_without_durations_is_refused_by_name() -> None:
    path = next(Path(rapidocr.__file__).parent.rglob("*_cls_*.onnx"))
    with pytest.raises(ModelFault, match=re.escape(path.name)):
        HibariMouth(path)
