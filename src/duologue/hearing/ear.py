"""The ear: transcription for every session, one run per user item however many ask.

`transcribe` puts an item in line and waits; worker threads take items by precedence: what
somebody waits for before what was only guessed, first come first served within each. A
second call for the same item joins the work or takes its result, so that the engine and the
client's transcript share it. A guess that was withdrawn is taken out of line.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from duologue.audio import pcm as audio
from duologue.core.talk import Transcript, TranscriptionAsk
from duologue.errors import EngineFault
from duologue.hearing.whisper import Whisper

logger = logging.getLogger(__name__)

KEPT_RESULTS = 256
"""Results that are remembered for whoever asks next."""

WAITING_LIMIT = 64
"""Items that may wait in line; one more is refused."""

_Key = tuple[str, str | None, str | None]


class SpeechModel(Protocol):
    """What the ear needs of Whisper: blocking, safe to call from several threads."""

    def transcribe(self, pcm: bytes, language: str | None, prompt: str | None) -> str: ...


class WhisperEar:
    """Satisfies the light engine's `Ear`; `WhisperTranscriber` makes it a `Transcriber`."""

    def __init__(self, model: SpeechModel, *, workers: int = 1) -> None:
        self._model = model
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="ear")
        self._places = asyncio.Semaphore(workers)
        self._waiting = 0
        self._work: OrderedDict[_Key, asyncio.Task[Transcript]] = OrderedDict()

    @classmethod
    async def load(cls, model_dir: Path, *, threads: int = 1, workers: int = 1) -> "WhisperEar":
        """Load the weights off the event loop. Raises `ModelFault`."""

        def make() -> Whisper:
            return Whisper(model_dir, threads=threads, workers=workers)

        return cls(await asyncio.to_thread(make), workers=workers)

    async def transcribe(
        self, item_id: str, pcm: bytes, language: str | None = None, prompt: str | None = None
    ) -> Transcript:
        """The transcript of an item; see `engines.light.parts.Ear`. Raises `EngineFault`."""
        key = (item_id, language or None, prompt or None)
        task = self._work.get(key)
        if task is None or task.cancelled() or (task.done() and task.exception()):
            if self._waiting >= WAITING_LIMIT:
                raise EngineFault("Too much speech is waiting for transcription.", "overloaded")
            task = self._begin(key, pcm)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            waiter = asyncio.current_task()
            if waiter is None or waiter.cancelling() or not task.cancelled():
                raise
            # Forgotten by another while we waited for it: we still want it.
            return await self.transcribe(item_id, pcm, language, prompt)

    def forget(self, item_id: str) -> None:
        """Drop the results of an item and take it out of line."""
        for key in [key for key in self._work if key[0] == item_id]:
            self._work.pop(key).cancel()

    async def aclose(self) -> None:
        """Stop what waits and let what runs come to its end."""
        for task in self._work.values():
            task.cancel()
        await asyncio.gather(*self._work.values(), return_exceptions=True)
        await asyncio.to_thread(self._threads.shutdown)

    def _begin(self, key: _Key, pcm: bytes) -> asyncio.Task[Transcript]:
        _, language, prompt = key
        task = asyncio.create_task(  # noqa: TID251 - owned by self._work
            self._run(lambda: self._model.transcribe(pcm, language, prompt), pcm)
        )
        self._work[key] = task
        while len(self._work) > KEPT_RESULTS:
            oldest = next(iter(self._work))
            if not self._work[oldest].done():
                break
            del self._work[oldest]
        return task

    async def _run(self, hear: Callable[[], str], pcm: bytes) -> Transcript:
        self._waiting += 1
        try:
            await self._places.acquire()
        finally:
            self._waiting -= 1
        running = asyncio.get_running_loop().run_in_executor(self._threads, hear)
        # A run cannot be stopped; its place is free when it is over, not when it is forgotten.
        running.add_done_callback(lambda _: self._places.release())
        text = await asyncio.shield(running)
        return Transcript(text, audio.samples(pcm) / audio.RATE_HZ)


class WhisperTranscriber:
    """Satisfies `Transcriber` by what the ear has heard anyway."""

    def __init__(self, ear: WhisperEar) -> None:
        self._ear = ear

    async def transcribe(self, item_id: str, pcm: bytes, ask: TranscriptionAsk) -> Transcript:
        return await self._ear.transcribe(item_id, pcm, ask.language, ask.prompt)
