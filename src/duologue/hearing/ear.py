"""The ear: transcription for every session, one run per sound however many ask.

Sound goes in under a key, words come out; worker threads take one piece of sound at a time,
in the order of `line`. A second call for the same sound and the same way of hearing joins the
work or takes its result, so that the engine and the client's transcript share it; if the
second is more urgent, so is the work. A guess that was withdrawn is taken out of line.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Protocol

from msgspec import structs

from duologue.audio import pcm as audio
from duologue.core.talk import Transcript, TranscriptPart
from duologue.errors import EngineFault
from duologue.events import LogProb
from duologue.hearing.line import Line, Precedence, Ticket
from duologue.hearing.resampling import Samples
from duologue.hearing.whisper import Heard, Hearing, Whisper

KEPT_RESULTS = 256
"""Results that are remembered for whoever asks next."""

WAITING_LIMIT = 64
"""Items that may wait in line; one more is refused."""

PARTIALS_LIMIT = 32
"""Hypotheses are refused sooner than what somebody waits for."""

_Key = tuple[str, Hearing]
"""The `media_id` of a sound (see `core.talk.Part`), never an id that a client chose: sessions of
different owners share this ear."""


class SpeechModel(Protocol):
    """What the ear needs of Whisper: blocking, safe to call from several threads."""

    @property
    def languages(self) -> tuple[str, ...]: ...

    def pieces(self, pcm: bytes) -> list[Samples]: ...

    def hear(self, piece: Samples, how: Hearing) -> Heard: ...


class _Work:
    """One item being heard: its pieces so far, and who is to be told of the next."""

    def __init__(self, precedence: Precedence) -> None:
        self.ticket = Ticket(precedence)
        self.texts: list[str] = []
        self.more = asyncio.Event()
        self.task: asyncio.Task[Transcript]

    @property
    def is_lost(self) -> bool:
        return self.task.cancelled() or (self.task.done() and self.task.exception() is not None)


class WhisperEar:
    """Satisfies the light engine's `Ear`; `transcriber.py` makes it a `Transcriber`.

    `workers` is how many items of replies are heard at a time; the model must be ready for
    one more.
    """

    def __init__(self, model: SpeechModel, *, workers: int = 1) -> None:
        self._model = model
        self.languages = model.languages
        self._threads = ThreadPoolExecutor(workers + 1, thread_name_prefix="ear")
        self._line = Line(workers)
        self._work: OrderedDict[_Key, _Work] = OrderedDict()
        self._closed = False

    @classmethod
    async def load(cls, model_dir: Path, *, threads: int = 1, workers: int = 1) -> "WhisperEar":
        """Load the weights off the event loop. Raises `ModelFault`."""

        def make() -> Whisper:
            return Whisper(model_dir, threads=threads, workers=workers + 1)

        return cls(await asyncio.to_thread(make), workers=workers)

    async def transcribe(
        self, media_id: str, pcm: bytes, language: str | None = None, prompt: str | None = None
    ) -> Transcript:
        """The transcript of a sound; see `engines.composed.parts.Ear`. Raises `EngineFault`."""
        how = Hearing(language=language or None, prompt=prompt or None)
        return await self.whole(media_id, pcm, how, Precedence.REPLY)

    async def translate(self, media_id: str, pcm: bytes) -> str:
        """What a sound says, in English. Raises `EngineFault`."""
        how = Hearing(translate=True)
        try:
            return (await self.whole(media_id, pcm, how, Precedence.TRANSCRIPT)).text
        finally:
            self.forget(media_id)

    async def whole(
        self, media_id: str, pcm: bytes, how: Hearing, precedence: Precedence
    ) -> Transcript:
        """The whole transcript of a sound. Raises `EngineFault`."""
        whole: TranscriptPart | Transcript | None = None
        async for heard in self.hear(media_id, pcm, how, precedence):
            whole = heard
        assert isinstance(whole, Transcript), "hearing ends with a transcript"
        return whole

    async def hear(
        self, media_id: str, pcm: bytes, how: Hearing, precedence: Precedence
    ) -> AsyncIterator[TranscriptPart | Transcript]:
        """All but the last piece of a sound's transcript as they come, and then the whole.

        Raises `EngineFault`.
        """
        key = (media_id, how)
        told = 0
        while True:
            work = self._work.get(key)
            if work is None or work.is_lost:
                if self._closed:
                    raise EngineFault("The server is shutting down.", "overloaded")
                limit = PARTIALS_LIMIT if precedence is Precedence.PARTIAL else WAITING_LIMIT
                if self._line.waiting >= limit:
                    message = "Too much speech is waiting for transcription."
                    raise EngineFault(message, "overloaded")
                work = self._begin(key, pcm, precedence)
            self._line.hurry(work.ticket, precedence)
            while not work.task.done():
                while told < len(work.texts):
                    yield TranscriptPart(work.texts[told])
                    told += 1
                await work.more.wait()
            if not work.task.cancelled():
                yield work.task.result()
                return
            # Forgotten by another while we waited for it: we still want it.

    def forget(self, media_id: str) -> None:
        """Drop the results of a sound and take it out of line."""
        for key in [key for key in self._work if key[0] == media_id]:
            self._work.pop(key).task.cancel()

    async def aclose(self) -> None:
        """Stop what waits and let what runs come to its end."""
        self._closed = True
        tasks = [work.task for work in self._work.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(self._threads.shutdown)

    def _begin(self, key: _Key, pcm: bytes, precedence: Precedence) -> _Work:
        work = _Work(precedence)
        work.task = asyncio.create_task(  # noqa: TID251 - owned by self._work
            self._run(work, pcm, key[1])
        )
        work.task.add_done_callback(lambda _: work.more.set())
        work.task.add_done_callback(_look_at)
        self._work[key] = work
        while len(self._work) > KEPT_RESULTS:
            oldest = next(iter(self._work))
            if not self._work[oldest].task.done():
                break
            del self._work[oldest]
        return work

    async def _run(self, work: _Work, pcm: bytes, how: Hearing) -> Transcript:
        texts: list[str] = []
        logprobs: tuple[LogProb, ...] = ()
        rest: list[Samples] | None = None
        now = how
        while rest is None or rest:
            await self._line.enter(work.ticket)
            heard, rest = await self._in_thread(work.ticket, partial(self._next, pcm, rest, now))
            logprobs += heard.logprobs or ()
            # What follows is in the language of what came first.
            now = structs.replace(how, language=heard.language or now.language, prefix="")
            if heard.text:
                texts.append(heard.text)
                if rest:
                    work.texts.append(heard.text)
                    work.more.set()
                    work.more.clear()
        text = " ".join(texts)
        seconds = audio.samples(pcm) / audio.RATE_HZ
        return Transcript(text, seconds, now.language, logprobs if how.logprobs else None)

    def _next(
        self, pcm: bytes, pieces: list[Samples] | None, how: Hearing
    ) -> tuple[Heard, list[Samples]]:
        """In a worker thread: the words of the next piece, and the pieces after it."""
        if pieces is None:
            pieces = self._model.pieces(pcm)
        if not pieces:
            return Heard(how.prefix), []
        return self._model.hear(pieces[0], how), pieces[1:]

    async def _in_thread(
        self, ticket: Ticket, call: Callable[[], tuple[Heard, list[Samples]]]
    ) -> tuple[Heard, list[Samples]]:
        running = asyncio.get_running_loop().run_in_executor(self._threads, call)
        # A run cannot be stopped; its place is free when it is over, not when it is forgotten.
        running.add_done_callback(lambda _: self._line.leave(ticket))
        return await asyncio.shield(running)


def _look_at(task: asyncio.Task[Transcript]) -> None:
    """Retrieve a fault, so that asyncio does not call it lost: nobody may wait any more."""
    if not task.cancelled():
        task.exception()
