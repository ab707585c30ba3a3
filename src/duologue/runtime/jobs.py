"""Jobs by id: work that the core asked for, each a task that puts its results in the inbox.

Outputs `Respond`, `Transcribe` and `ScoreTurn` come in, inputs with the same job id go out. A
cancelled job may still say something; the core ignores it. No exception leaves a job: a fault
that has a name becomes a failed input with it, any other is logged and becomes
`internal_error`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, cast

from duologue.core import inputs, outputs
from duologue.errors import EngineFault
from duologue.runtime.ports import Talk, Transcriber, TurnEnd

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from duologue.core.talk import ReplyEvent

logger = logging.getLogger(__name__)

Deliver = Callable[[inputs.Input], Awaitable[None]]
Work = outputs.Respond | outputs.Transcribe | outputs.ScoreTurn


class Jobs:
    """The running jobs of one session. `deliver` waits while the inbox is full: backpressure."""

    def __init__(
        self, talk: Talk, transcriber: Transcriber, turn_end: TurnEnd, deliver: Deliver
    ) -> None:
        self._talk = talk
        self._transcriber = transcriber
        self._turn_end = turn_end
        self._deliver = deliver
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def start(self, output: Work) -> None:
        """Begin the work that `output` names."""
        task = asyncio.create_task(self._work(output), name=output.job)
        self._tasks[output.job] = task
        task.add_done_callback(lambda _: self._tasks.pop(output.job, None))

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

    async def _work(self, output: Work) -> None:
        match output:
            case outputs.Respond():
                await self._reply(output)
            case outputs.Transcribe():
                await self._write(output)
            case outputs.ScoreTurn():
                await self._judge(output)

    async def _reply(self, output: outputs.Respond) -> None:
        try:
            reply = cast("AsyncGenerator[ReplyEvent, None]", self._talk.reply(output.ask))
            async with aclosing(reply):
                async for event in reply:
                    await self._deliver(inputs.ReplyEvent(output.job, event))
        except EngineFault as fault:
            await self._deliver(inputs.ReplyFailed(output.job, fault.code, fault.message))
        except Exception:
            logger.exception("job %s: the engine broke", output.job)
            message = "The engine failed to produce a reply."
            await self._deliver(inputs.ReplyFailed(output.job, "internal_error", message))

    async def _write(self, output: outputs.Transcribe) -> None:
        try:
            transcript = await self._transcriber.transcribe(output.item_id, output.pcm, output.ask)
            await self._deliver(inputs.Transcribed(output.job, transcript))
        except EngineFault as fault:
            await self._deliver(inputs.TranscriptionFailed(output.job, fault.code, fault.message))
        except Exception:
            logger.exception("job %s: the transcriber broke", output.job)
            message = "The transcription failed."
            await self._deliver(inputs.TranscriptionFailed(output.job, "internal_error", message))

    async def _judge(self, output: outputs.ScoreTurn) -> None:
        """A judgement that fails is not delivered: the turn then ends by its longest silence."""
        try:
            probability = await self._turn_end.score(output.pcm)
        except EngineFault as fault:
            logger.warning("job %s: the turn was not judged: %s", output.job, fault)
        except Exception:
            logger.exception("job %s: the turn-end model broke", output.job)
        else:
            await self._deliver(inputs.TurnScored(output.job, probability))
