"""Jobs by id: work that the core asked for, each a task that puts its results in the inbox.

Outputs `Respond`, `Live`, `Transcribe`, `Translate` and `ScoreTurn` come in, inputs with the
same job id go out. A cancelled job may still say something; the core ignores it. No exception
leaves a job: a fault that has a name becomes a failed input with it, any other is logged and
becomes `internal_error`.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, cast

from duologue.core import inputs, outputs
from duologue.core.talk import TranscriptPart
from duologue.errors import EngineFault
from duologue.runtime.ports import Talk, Transcriber, Translator, TurnEnd
from duologue.runtime.wording import as_text

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from duologue.core.talk import LiveEvent, ReplyEvent, Transcript
    from duologue.runtime.ports import LiveTalk

logger = logging.getLogger(__name__)

Deliver = Callable[[inputs.Input], Awaitable[None]]
Work = outputs.Respond | outputs.Live | outputs.Transcribe | outputs.Translate | outputs.ScoreTurn


class Jobs:
    """The running jobs of one session. `deliver` waits while the inbox is full: backpressure."""

    def __init__(
        self,
        talk: Talk | None,
        transcriber: Transcriber,
        turn_end: TurnEnd,
        translator: Translator | None,
        deliver: Deliver,
    ) -> None:
        self._talk = talk
        self._transcriber = transcriber
        self._turn_end = turn_end
        self._translator = translator
        self._deliver = deliver
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def start(self, output: Work) -> None:
        """Begin the work that `output` names."""
        match output:
            case outputs.Respond(job, ask):
                assert self._talk, "a reply in a session without an engine"
                work = self._reply(job, self._talk.reply(ask))
            case outputs.Live(job, ask):
                work = self._live(job, cast("LiveTalk", self._talk).live(ask))
            case outputs.Translate(job, pcm, wanted):
                assert self._translator, "a translation where there is no translator"
                work = self._reply(job, self._translator.translate(pcm, wanted))
            case outputs.Transcribe(job):
                work = self._write(output)
            case outputs.ScoreTurn(job):
                work = self._judge(output)
        task = asyncio.create_task(work, name=job)
        self._tasks[job] = task
        task.add_done_callback(lambda _: self._tasks.pop(job, None))

    def cancel(self, job: str) -> None:
        """Stop a job, if it still runs."""
        if task := self._tasks.get(job):
            task.cancel()

    async def aclose(self) -> None:
        """Stop every job and wait until all have let go of the engine."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _tell(self, entry: inputs.Input) -> None:
        await self._deliver(as_text(entry))

    async def _reply(self, job: str, events: AsyncIterator["ReplyEvent"]) -> None:
        try:
            async with aclosing(cast("AsyncGenerator[ReplyEvent, None]", events)) as reply:
                async for event in reply:
                    await self._deliver(as_text(inputs.ReplyEvent(job, event)))
        except EngineFault as fault:
            await self._tell(inputs.ReplyFailed(job, fault.code, fault.message))
        except Exception:
            logger.exception("job %s: the engine broke", job)
            message = "The engine failed to produce a reply."
            await self._tell(inputs.ReplyFailed(job, "internal_error", message))

    async def _live(self, job: str, events: AsyncIterator["LiveEvent"]) -> None:
        code, message = "engine_error", "The engine's session has ended."
        try:
            async with aclosing(cast("AsyncGenerator[LiveEvent, None]", events)) as live:
                async for event in live:
                    await self._tell(inputs.LiveEvent(job, event))
        except EngineFault as fault:
            code, message = fault.code, fault.message
        except Exception:
            logger.exception("job %s: the engine broke", job)
            code, message = "internal_error", "The engine failed to listen."
        await self._tell(inputs.LiveFailed(job, code, message))

    async def _write(self, output: outputs.Transcribe) -> None:
        job = output.job
        try:
            results = cast(
                "AsyncGenerator[TranscriptPart | Transcript, None]",
                self._transcriber.transcribe(output.media_id, output.pcm, output.ask),
            )
            async with aclosing(results):
                async for result in results:
                    await self._tell(
                        inputs.TranscribedPart(job, result.text)
                        if isinstance(result, TranscriptPart)
                        else inputs.Transcribed(job, result)
                    )
        except EngineFault as fault:
            await self._tell(inputs.TranscriptionFailed(job, fault.code, fault.message))
        except Exception:
            logger.exception("job %s: the transcriber broke", job)
            message = "The transcription failed."
            await self._tell(inputs.TranscriptionFailed(job, "internal_error", message))

    async def _judge(self, output: outputs.ScoreTurn) -> None:
        """A judgement that fails is not delivered: the turn then ends by its longest silence."""
        try:
            probability = await self._turn_end.score(output.pcm)
        except EngineFault as fault:
            logger.warning("job %s: the turn was not judged: %s", output.job, fault)
        except Exception:
            logger.exception("job %s: the turn-end model broke", output.job)
        else:
            await self._tell(inputs.TurnScored(output.job, probability))
