"""The runner: the one task that owns a session and the only loop there is.

    transport ─ receive ─► intake ─► inbox ─► Session.handle(input, now) ─► outputs
                                       ▲                                      │
                                       └──────── jobs, talk ◄─────────────────┤
    transport ◄─ next_event ─ outbox ◄────────────────────────────────────────┘

The inbox is bounded: readers and jobs wait when it is full. A disconnect never waits in
line. When the loop ends, for whatever reason, jobs and the engine's lease are given back.
"""

import asyncio
import logging
from pathlib import Path

from duologue.core import inputs, outputs
from duologue.core.rate_limits import RateLimiter
from duologue.core.session import Session
from duologue.core.settings import SessionConfig
from duologue.errors import EngineFault
from duologue.events import ClientEvent, ServerEvent
from duologue.runtime.ids import IdSource, new_seed
from duologue.runtime.intake import Intake
from duologue.runtime.jobs import Jobs
from duologue.runtime.meter import Meter
from duologue.runtime.outbox import Outbox
from duologue.runtime.ports import (
    ActivityStream,
    Images,
    NoiseReduction,
    Talk,
    Transcriber,
    TurnEnd,
)
from duologue.runtime.recorder import Recorder, TapeHeader

logger = logging.getLogger(__name__)

INBOX_INPUTS = 256
"""Inputs that may wait for the core: about five seconds of 20 ms frames."""

OUTBOX_BYTES = 64 * 1024 * 1024
"""Sound and events that may wait for a client that does not read: over 20 minutes of speech."""


class Runner:
    """One session's shell. `run` is its life; `close_code` and `close_reason` say how it ended.

    Made inside a running event loop. Without `noise` no sound is cleaned; without `images`
    only the form of a data URI is looked at, not the image in it. `limiter` has the limits that
    the session shares with others of its key; `tape` is a file to record the session's inputs in.
    """

    def __init__(
        self,
        config: SessionConfig,
        talk: Talk,
        transcriber: Transcriber,
        activity: ActivityStream,
        turn_end: TurnEnd,
        *,
        noise: NoiseReduction | None = None,
        images: Images | None = None,
        outbox_bytes: int = OUTBOX_BYTES,
        limiter: RateLimiter | None = None,
        tape: Path | None = None,
    ) -> None:
        self.close_code = 1000
        self.close_reason = ""
        seed, now = new_seed(), asyncio.get_running_loop().time()
        self._session = session = Session(config, new_id=IdSource(seed), now=now)
        self._talk = talk
        self._activity = activity
        self._recorder = Recorder(tape, TapeHeader(config, str(seed), now)) if tape else None
        self._inbox: asyncio.Queue[inputs.Input] = asyncio.Queue(INBOX_INPUTS)
        self._outbox = Outbox(outbox_bytes)
        self._jobs = Jobs(talk, transcriber, turn_end, self._inbox.put)
        self._intake = Intake(
            activity,
            self._inbox.put,
            self._inbox.join,
            lambda: session.scores_audio,
            lambda: session.audio_input,
            noise,
            images,
        )
        self._meter = Meter(limiter) if limiter else None
        self._dismissal: inputs.Dismissed | None = None
        self._gone = False
        self._ended = asyncio.Event()
        self._debug = logger.isEnabledFor(logging.DEBUG)

    async def receive(self, event: ClientEvent | inputs.BadEvent) -> None:
        """Take a client event, in arrival order; waits while the inbox is full."""
        if self._gone:
            return
        try:
            await self._intake.receive(event)
        except EngineFault as fault:
            logger.error("session %s: its sound could not be taken in: %s", self._session.id, fault)
            self.end(1011, "server_error.internal_error")

    async def next_event(self) -> ServerEvent | None:
        """The next event for the client; None at the end."""
        return await self._outbox.get()

    def disconnect(self) -> None:
        """The client is gone: stop everything, send nothing more."""
        self._gone = True
        self._outbox.end(discard=True)
        self._wake()

    def end(self, code: int, reason: str) -> None:
        """Close the session from outside (shutdown, a fault at the edge)."""
        self.close_code, self.close_reason = code, reason
        self._gone = True
        self._outbox.end()
        self._wake()

    def dismiss(self, dismissal: inputs.Dismissed) -> None:
        """End the session with an `error` that says why; it does not wait in line."""
        self._dismissal = dismissal
        self._wake()

    async def ended(self) -> None:
        """Wait until the session has ended and let go of everything."""
        await self._ended.wait()

    async def run(self) -> None:
        """Live: from `session.created` to the end of the session."""
        loop = asyncio.get_running_loop()
        try:
            now = loop.time()
            self._dispatch(self._session.open(now), now)
            while not self._gone:
                entry = await self._next_input()
                self._handle(self._dismissal or entry, loop.time())
                if not isinstance(entry, inputs.Tick):
                    self._inbox.task_done()
        except Exception:
            # An impossible state: this session alone ends, and its tape is kept.
            logger.exception("session %s: broke and is closed", self._session.id)
            self.close_code, self.close_reason = 1011, "server_error.internal_error"
        finally:
            await self._clean_up()

    async def _next_input(self) -> inputs.Input:
        if not self._inbox.empty():
            return self._inbox.get_nowait()
        try:
            async with asyncio.timeout_at(self._session.deadline):
                return await self._inbox.get()
        except TimeoutError:
            return inputs.Tick()

    def _handle(self, entry: inputs.Input, now: float) -> None:
        # The key's limits enter before and after, with nothing of other sessions in between.
        if self._meter and (news := self._meter.news()):
            self._enter(news, now)
        self._enter(entry, now)
        if self._meter and (report := self._meter.report(now)):
            self._enter(report, now)

    def _enter(self, entry: inputs.Input, now: float) -> None:
        if self._recorder:
            self._recorder.record(now, entry)
        if self._debug:
            logger.debug("session %s < %s", self._session.id, type(entry).__name__)
        self._dispatch(self._session.handle(entry, now), now)

    def _dispatch(self, batch: list[outputs.Output], now: float) -> None:
        for output in batch:
            match output:
                case outputs.Send(event):
                    if self._debug:
                        logger.debug("session %s > %s", self._session.id, type(event).__name__)
                    if not self._outbox.put(event) and not self._gone:
                        self._overflow()
                case outputs.DropAudio(response_id):
                    self._outbox.drop_audio(response_id)
                case outputs.Respond(job, ask):
                    if self._meter:
                        self._meter.begin(job, ask, now)
                    self._jobs.start(output)
                case outputs.Transcribe() | outputs.ScoreTurn():
                    self._jobs.start(output)
                case outputs.Spent(job, tokens):
                    if self._meter:
                        self._meter.end(job, tokens, now)
                case outputs.Cancel(job):
                    self._jobs.cancel(job)
                case outputs.Put(item, after):
                    self._talk.put(item, after)
                case outputs.Expect(item):
                    self._talk.expect(item)
                case outputs.Configure(ask):
                    self._talk.configure(ask)
                case outputs.Cut(item_id, end_ms, text):
                    self._talk.cut(item_id, end_ms, text)
                case outputs.Drop(item_id):
                    self._talk.drop(item_id)
                case outputs.Close(code, reason):
                    self.end(code, reason)

    def _overflow(self) -> None:
        logger.warning("session %s: the client does not read, closing", self._session.id)
        self.close_code, self.close_reason = 1008, "rate_limit_error.client_too_slow"
        self._gone = True
        self._outbox.end(discard=True)

    def _wake(self) -> None:
        if self._inbox.empty():
            self._inbox.put_nowait(inputs.Disconnected())

    async def _clean_up(self) -> None:
        self._gone = True
        self._outbox.end()
        if self._meter:
            self._meter.abandon(asyncio.get_running_loop().time())
        await self._jobs.aclose()
        while not self._inbox.empty():  # lets readers go that wait for a place
            self._inbox.get_nowait()
            self._inbox.task_done()
        self._intake.close()
        self._activity.close()
        await self._talk.aclose()
        if self._recorder:
            await asyncio.to_thread(self._recorder.close)
        self._ended.set()
