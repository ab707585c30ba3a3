"""The ear: one run per item, guesses taken back, faults told to whoever waits."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from duologue.core.talk import TranscriptionAsk
from duologue.errors import EngineFault
from duologue.hearing.ear import WAITING_LIMIT, WhisperEar, WhisperTranscriber

PCM = bytes(48_000)


class HeldModel:
    """A speech model that answers once `go` is set; it counts its runs."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.runs: list[tuple[int, str | None, str | None]] = []
        self.fail = False

    def transcribe(self, pcm: bytes, language: str | None, prompt: str | None) -> str:
        self.go.wait(10)
        self.runs.append((len(pcm), language, prompt))
        if self.fail:
            raise EngineFault("no words today")
        return f"run {len(self.runs)}"


@asynccontextmanager
async def ear(model: HeldModel) -> AsyncIterator[WhisperEar]:
    made = WhisperEar(model)
    try:
        yield made
    finally:
        model.go.set()
        await made.aclose()


async def test_however_many_ask_an_item_is_heard_once() -> None:
    model = HeldModel()
    async with ear(model) as e:
        first = asyncio.ensure_future(e.transcribe("a", PCM))
        second = asyncio.ensure_future(
            WhisperTranscriber(e).transcribe("a", PCM + PCM, TranscriptionAsk("whisper-1"))
        )
        await asyncio.sleep(0)
        model.go.set()
        assert (await first).text == (await second).text == "run 1"
        assert (await e.transcribe("a", PCM)).text == "run 1"
        assert (await first).seconds == 1.0


async def test_another_language_is_another_run() -> None:
    model = HeldModel()
    model.go.set()
    async with ear(model) as e:
        await e.transcribe("a", PCM)
        await e.transcribe("a", PCM, "de", "Namen")
        assert [run[1:] for run in model.runs] == [(None, None), ("de", "Namen")]


async def test_a_forgotten_guess_in_line_is_never_heard() -> None:
    model = HeldModel()
    async with ear(model) as e:
        first = asyncio.ensure_future(e.transcribe("a", PCM))
        guess = asyncio.ensure_future(e.transcribe("guess", PCM + PCM))
        await asyncio.sleep(0)
        guess.cancel()
        e.forget("guess")
        model.go.set()
        await first
        await e.transcribe("b", PCM)
        assert [run[0] for run in model.runs] == [len(PCM), len(PCM)]


async def test_a_forgotten_item_is_heard_anew_for_who_still_waits() -> None:
    model = HeldModel()
    async with ear(model) as e:
        waiting = asyncio.ensure_future(e.transcribe("a", PCM))
        await asyncio.sleep(0)
        e.forget("a")
        model.go.set()
        assert (await waiting).text in ("run 1", "run 2")


async def test_a_fault_reaches_who_waits_and_the_next_try_is_a_new_one() -> None:
    model = HeldModel()
    model.go.set()
    model.fail = True
    async with ear(model) as e:
        with pytest.raises(EngineFault, match="no words today"):
            await e.transcribe("a", PCM)
        model.fail = False
        assert (await e.transcribe("a", PCM)).text == "run 2"


async def test_the_line_is_bounded() -> None:
    model = HeldModel()
    async with ear(model) as e:
        waiting = [
            asyncio.ensure_future(e.transcribe(f"i{n}", PCM)) for n in range(WAITING_LIMIT + 1)
        ]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        with pytest.raises(EngineFault, match="waiting"):
            await e.transcribe("one more", PCM)
        model.go.set()
        assert len(await asyncio.gather(*waiting)) == WAITING_LIMIT + 1
