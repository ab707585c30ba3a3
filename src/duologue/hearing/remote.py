"""A speech model on another server: sound in, `POST /audio/transcriptions`, its words out.

It stands where Whisper does, behind the ear: blocking, called from the ear's threads. Requests
run on an event loop of their own, which can give up one that drips (a blocking client cannot)
and on which sending minutes of sound holds up no session. The server cuts long sound itself. It
cannot be told how a transcript must begin, so where words were told already, those that follow
are taken by their number.
"""

import asyncio
import io
import wave
from collections.abc import Coroutine
from concurrent.futures import CancelledError, Future
from functools import partial
from threading import Thread
from typing import Any, TypeVar

import numpy as np
import openai

from duologue.errors import EngineFault
from duologue.hearing.resampling import Samples, resample
from duologue.hearing.whisper import QUIET_RMS, RATE_HZ, Heard, Hearing
from duologue.remote.server import RemoteServer
from duologue.text import well_formed

CODE, NO_CODE = "transcription_failed", EngineFault("").code
"""Of a fault that has no code of its own in the protocol; and how it comes."""

Result = TypeVar("Result")

WORKERS = 16
"""Items of replies that are heard at a time: the work is done elsewhere."""


class RemoteSpeech:
    """Satisfies `SpeechModel`; the server is its own. Raises `EngineFault` in `hear`."""

    languages: tuple[str, ...] = ()
    """Not known from here: any may be asked for."""

    def __init__(self, server: RemoteServer) -> None:
        self._server = server
        self._is_over = False
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="remote speech", daemon=True)
        self._thread.start()

    def pieces(self, pcm: bytes) -> list[Samples]:
        """The sound in one piece; none where it is silent."""
        sound = resample(pcm)
        quiet = not len(sound) or float(np.sqrt(np.mean(sound**2))) < QUIET_RMS
        return [] if quiet else [sound]

    def hear(self, piece: Samples, how: Hearing) -> Heard:
        """The words of one piece."""
        if self._is_over:
            raise EngineFault("the recognition server is not asked any more", CODE)
        language = how.language or (how.languages[0] if len(how.languages) == 1 else None)
        try:
            text = self._run(self._ask(_wav(piece), language, how.prompt)).result()
        except CancelledError:
            raise EngineFault("the recognition server is not asked any more", CODE) from None
        except EngineFault as fault:
            code = CODE if fault.code == NO_CODE else fault.code
            raise EngineFault(fault.message, code) from None
        return Heard(_going_on(well_formed(text).strip(), how.prefix), language)

    async def give_up(self) -> None:
        """Ask no more and let go of what is under way, so that whoever waits for it does not."""
        self._is_over = True
        await asyncio.wrap_future(self._run(self._cancel()))

    async def aclose(self) -> None:
        """Close the connections; what is under way is given up."""
        self._is_over = True
        await asyncio.wrap_future(self._run(self._end()))
        self._loop.call_soon_threadsafe(self._loop.stop)
        await asyncio.to_thread(self._thread.join)
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, Result]) -> "Future[Result]":
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _ask(self, wav: bytes, language: str | None, prompt: str | None) -> str:
        """Raises `EngineFault`."""
        create = partial(
            self._server.client.audio.transcriptions.create,
            model=self._server.address.model,
            file=("speech.wav", wav, "audio/wav"),
            response_format="json",
            language=language or openai.omit,
            prompt=prompt or openai.omit,
        )
        with self._server.faults():
            async with asyncio.timeout(self._server.answer_s):
                answer = await self._server.asked(create)
            if not isinstance(text := getattr(answer, "text", None), str):
                raise ValueError("no text")
            return text

    async def _end(self) -> None:
        await self._cancel()
        await self._server.aclose()

    async def _cancel(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


def _going_on(text: str, prefix: str) -> str:
    """`text`, or where it does not begin with `prefix`, that and as many words fewer."""
    if text.startswith(prefix):
        return text
    rest = text.split()[len(prefix.split()) :]
    return " ".join([prefix.rstrip(), *rest])


def _wav(piece: Samples) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(RATE_HZ)
        writer.writeframes(np.rint(np.clip(piece, -1, 1) * 32767).astype("<i2").tobytes())
    return file.getvalue()
