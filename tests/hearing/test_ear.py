"""The ear: one run per item, guesses taken back, faults told to whoever waits."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest

from duologue.core.talk import Transcript, TranscriptionAsk, TranscriptPart
from duologue.errors import EngineFault
from duologue.events import LogProb
from duologue.hearing.ear import PARTIALS_LIMIT, WAITING_LIMIT, WhisperEar
from duologue.hearing.line import Precedence
from duologue.hearing.transcriber import WhisperTranscriber
from duologue.hearing.whisper import Heard, Hearing

PCM = bytes(48_000)


class HeldModel:
    """A speech model that answers once `go` is set; it counts its runs."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self._begun = threading.Semaphore(0)
        self.begun: list[str | None] = []
        """The prompts of the runs, in the order in which they began."""
        self.runs: list[tuple[int, str | None, str | None]] = []
        self.asked: list[Hearing] = []
        self.texts: list[str] = []
        self.fail = False

    languages = ("en",)

    async def begins(self) -> None:
        """Wait until one more run has begun: what was asked for before it is in line by then."""
        assert await asyncio.to_thread(self._begun.acquire, timeout=10)

    def pieces(self, pcm: bytes) -> list[object]:
        """A piece for every two seconds."""
        return [np.zeros(min(96_000, len(pcm) - n)) for n in range(0, len(pcm), 96_000)]

    def hear(self, piece: object, how: Hearing) -> Heard:
        self.begun.append(how.prompt)
        self._begun.release()
        self.go.wait(10)
        self.runs.append((len(piece), how.language, how.prompt))
        self.asked.append(how)
        if self.fail:
            raise EngineFault("no words today")
        text = self.texts.pop(0) if self.texts else f"run {len(self.runs)}"
        logprobs = (LogProb(token=text, logprob=-1.0, bytes=()),) if how.logprobs else None
        return Heard(text, "en", logprobs)


@asynccontextmanager
async def ear(model: HeldModel) -> AsyncIterator[WhisperEar]:
    made = WhisperEar(model)
    try:
        yield made
    finally:
        model.go.set()
        await made.aclose()


async def written(ear: WhisperEar, media_id: str, pcm: bytes, ask: TranscriptionAsk) -> Transcript:
    """What the transcriber says of a sound, in the end."""
    transcriber = WhisperTranscriber({"whisper-x": ear})
    *_, whole = [heard async for heard in transcriber.transcribe(media_id, pcm, ask)]
    assert isinstance(whole, Transcript)
    return whole


async def test_however_many_ask_an_item_is_heard_once() -> None:
    model = HeldModel()
    async with ear(model) as e:
        first = asyncio.ensure_future(e.transcribe("a", PCM))
        second = asyncio.ensure_future(written(e, "a", PCM + PCM, TranscriptionAsk("whisper-1")))
        await model.begins()
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
        await model.begins()
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
        await model.begins()
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
        await model.begins()
        with pytest.raises(EngineFault, match="waiting"):
            await e.transcribe("one more", PCM)
        model.go.set()
        assert len(await asyncio.gather(*waiting)) == WAITING_LIMIT + 1


async def test_what_a_reply_waits_for_is_not_held_up_by_the_client_s_transcripts() -> None:
    model = HeldModel()
    async with ear(model) as e:
        ask = TranscriptionAsk("whisper-1", language="en", prompt="Names")
        aside = [asyncio.ensure_future(written(e, f"t{n}", PCM, ask)) for n in range(3)]
        partial = asyncio.ensure_future(
            written(e, "p", PCM, TranscriptionAsk("whisper-1", partial=True))
        )
        await model.begins()
        reply = asyncio.ensure_future(e.transcribe("r", PCM))
        await model.begins()
        # One transcript and the reply are in the two threads; the rest waits in line.
        assert e._line.waiting == 3
        model.go.set()
        await reply
        await asyncio.gather(*aside, partial)
        # The reply was second, and the hypothesis comes last.
        assert model.begun == ["Names", None, "Names", "Names", None]


async def test_a_transcript_in_line_is_hurried_when_a_reply_needs_it_too() -> None:
    model = HeldModel()
    async with ear(model) as e:
        first = asyncio.ensure_future(written(e, "t", PCM, TranscriptionAsk("w", language="de")))
        shared = asyncio.ensure_future(written(e, "a", PCM, TranscriptionAsk("w")))
        await model.begins()
        assert e._line.waiting == 1
        reply = asyncio.ensure_future(e.transcribe("a", PCM))
        await model.begins()
        assert e._line.waiting == 0
        model.go.set()
        assert (await reply).text == (await shared).text
        await first
        assert len(model.runs) == 2


async def test_pieces_of_long_sound_are_told_as_they_come_and_others_go_between() -> None:
    model = HeldModel()
    model.texts = ["One.", "Two."]
    model.go.set()
    async with ear(model) as e:
        heard = [h async for h in e.hear("a", bytes(192_000), Hearing(), Precedence.TRANSCRIPT)]
        assert heard == [TranscriptPart("One."), Transcript("One. Two.", 4.0, "en")]
        assert model.asked[1].language == "en", "what follows is in the language of the first"


async def test_text_that_was_told_already_is_given_only_where_the_words_differ() -> None:
    model = HeldModel()
    model.texts = ["How many are there?", "Go on now.", "Go on, now."]
    model.go.set()
    async with ear(model) as e:
        ask = TranscriptionAsk("whisper-1", prefix="How many")
        assert (await written(e, "a", PCM, ask)).text == "How many are there?"
        assert len(model.runs) == 1
        ask = TranscriptionAsk("whisper-1", prefix="Go on,")
        assert (await written(e, "b", PCM, ask)).text == "Go on, now."
        assert [how.prefix for how in model.asked] == ["", "", "Go on,"]


async def test_log_probabilities_are_asked_for_and_joined() -> None:
    model = HeldModel()
    model.texts = ["One.", "Two."]
    model.go.set()
    async with ear(model) as e:
        whole = await written(e, "a", bytes(192_000), TranscriptionAsk("w", logprobs=True))
        assert [found.token for found in whole.logprobs or ()] == ["One.", "Two."]
        assert (await written(e, "b", PCM, TranscriptionAsk("w"))).logprobs is None


async def test_hypotheses_leave_room_in_the_line_for_what_is_waited_for() -> None:
    model = HeldModel()
    async with ear(model) as e:
        ask = TranscriptionAsk("whisper-1", partial=True)
        waiting = [
            asyncio.ensure_future(written(e, f"p{n}", PCM, ask)) for n in range(PARTIALS_LIMIT + 1)
        ]
        await model.begins()
        with pytest.raises(EngineFault, match="waiting"):
            await written(e, "one more", PCM, ask)
        reply = asyncio.ensure_future(e.transcribe("a", PCM))
        model.go.set()
        await reply
        await asyncio.gather(*waiting)


async def test_names_lead_to_the_models_that_are_there() -> None:
    own, other = HeldModel(), HeldModel()
    own.go.set()
    other.go.set()
    async with ear(own) as first, ear(other) as second:
        transcriber = WhisperTranscriber(
            {"whisper-base": first, "/srv/x": second}, {"whisper-1": "/srv/x", "mine": "/srv/x"}
        )
        assert {"whisper-1", "mine", "whisper-base", "/srv/x"} <= set(transcriber.models.names)
        for name in ("whisper-1", "mine", "gpt-4o-transcribe", "whisper-base"):
            ask = TranscriptionAsk(name)
            assert [heard async for heard in transcriber.transcribe(name, PCM, ask)]
        assert (len(own.runs), len(other.runs)) == (2, 2)
        assert transcriber.models.languages["mine"] == ("en",)


async def test_a_transcript_that_nobody_waits_for_any_more_is_taken_out_of_line() -> None:
    model = HeldModel()
    async with ear(model) as e:
        first = asyncio.ensure_future(written(e, "a", PCM, TranscriptionAsk("whisper-1")))
        given_up = asyncio.ensure_future(written(e, "b", PCM, TranscriptionAsk("whisper-1")))
        await model.begins()
        assert e._line.waiting == 1
        given_up.cancel()
        await asyncio.gather(given_up, return_exceptions=True)
        model.go.set()
        await first
        assert e._line.waiting == 0
    assert len(model.runs) == 1
