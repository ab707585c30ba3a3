"""The runner: the one task that owns a session, and the only way round.

    transport ─ receive ─► intake ─► inbox ─► Session.handle(input, now) ─► outputs
                                       ▲                                      │
                                       └──────── jobs, talk ◄─────────────────┤
    transport ◄─ next_event ─ outbox ◄────────────────────────────────────────┘

The inbox is bounded: readers and jobs wait when it is full. A disconnect never waits in
line. When the session ends, for whatever reason, jobs and the engine's lease are given back.
"""

import asyncio
import logging
from pathlib import Path

from msgspec import UNSET

from duologue.core import inputs
from duologue.core.kinds import make_session
from duologue.core.rate_limits import RateLimiter
from duologue.core.settings import SessionConfig
from duologue.errors import EngineFault
from duologue.events import (
    EngineCard,
    ResponseCreate,
    ResumeOffer,
    SessionExtension,
    SessionUpdate,
)
from duologue.events.translation import AnyClientEvent, AnyServerEvent
from duologue.runtime import admission
from duologue.runtime.effects import Effects
from duologue.runtime.ids import IdSource, new_seed
from duologue.runtime.inbox import Inbox
from duologue.runtime.intake import Intake
from duologue.runtime.jobs import Jobs
from duologue.runtime.line import Line
from duologue.runtime.meter import Meter
from duologue.runtime.outbox import Outbox
from duologue.runtime.ports import (
    ActivityStream,
    Images,
    NoiseReduction,
    Speaker,
    Talk,
    Transcriber,
    Translator,
    TurnEnd,
)
from duologue.runtime.recorder import Recorder, TapeHeader
from duologue.runtime.tracer import Tracer

logger = logging.getLogger(__name__)

INBOX_INPUTS = 256
"""Inputs that may wait for the core: about five seconds of 20 ms frames."""

AT_ONCE = 64
"""Inputs that a session may take in one go before others have their turn: a millisecond or two."""

OUTBOX_BYTES = 64 * 1024 * 1024
"""Sound and events that may wait for a client that does not read: over 20 minutes of speech."""

RESUME_LOG_BYTES = 8 * 1024 * 1024
"""Of what was sent, kept for a client that comes back: nearly three minutes of speech."""


class Runner:
    """One session's shell. `run` is its life; `close_code` and `close_reason` say how it ended.

    Made inside a running event loop. `config.type` says which kind of session it is; only a
    conversation has a `talk`. Without `noise` no sound is cleaned; without `images` only the
    form of a data URI is looked at, not the image in it. `limiter` has the limits that the
    session shares with others of its key; `tape` is a file to record the session's inputs in,
    `trace` one for what happens in it, should the client ask for that.
    `card` says in `session.created` what the engine is. With an `offer`, shown beside it, the
    session outlives a broken connection, for as long as the offer says.
    A `speaker` plays the sound, where the config says that it `plays`; what it has played by
    then enters before every input.
    """

    def __init__(
        self,
        config: SessionConfig,
        talk: Talk | None,
        transcriber: Transcriber,
        activity: ActivityStream,
        turn_end: TurnEnd,
        *,
        noise: NoiseReduction | None = None,
        images: Images | None = None,
        translator: Translator | None = None,
        offer: ResumeOffer | None = None,
        card: EngineCard | None = None,
        outbox_bytes: int = OUTBOX_BYTES,
        limiter: RateLimiter | None = None,
        tape: Path | None = None,
        trace: Path | None = None,
        speaker: Speaker | None = None,
    ) -> None:
        self.close_code = 1000
        self.close_reason = ""
        # Kept, since asking for it is a system call before Python 3.12.
        self._loop = loop = asyncio.get_running_loop()
        seed, now = new_seed(), loop.time()
        self._session = session = make_session(config, new_id=IdSource(seed), now=now)
        self._talk = talk
        self._speaker = speaker
        if speaker:
            speaker.attach(lambda: self._wake(inputs.Tick()))
        self._activity = activity
        self._recorder = Recorder(tape, TapeHeader(config, str(seed), now)) if tape else None
        self._tracer = None
        if trace is not None:
            self._tracer = Tracer(trace, config.id, config.expires_at - config.max_s, loop.time)
        self._inbox = Inbox(INBOX_INPUTS, self._take)
        self._opened = False
        self._stopped: asyncio.Future[None] = loop.create_future()
        self._fault: BaseException | None = None
        """What an input broke."""
        self._outbox = Outbox(outbox_bytes, log_bytes=RESUME_LOG_BYTES if offer else 0)
        self._jobs = Jobs(talk, transcriber, turn_end, translator, self._inbox.put)
        self._intake = Intake(
            activity,
            self._inbox,
            lambda: session.scores_audio,
            lambda: session.audio_input,
            self._refused,
            self._deafened,
            noise,
            images,
        )
        self._meter = Meter(limiter) if limiter else None
        self._effects = Effects(
            config.id,
            self._outbox,
            self._jobs,
            talk,
            speaker,
            self._meter,
            self._tracer,
            extension=self._extension,
            overflow=self._overflow,
            close=self.end,
        )
        self._dismissal: inputs.Dismissed | None = None
        self._receiving = asyncio.Lock()
        self._offer = offer
        self._card = card
        self._line: Line | None = None
        self._grace_end: float | None = None
        """When a client that has not come back by then will not."""
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at: float | None = None
        self._gone = False
        self._ended = asyncio.Event()
        self._debug = logger.isEnabledFor(logging.DEBUG)

    async def receive(self, event: AnyClientEvent | inputs.BadEvent) -> None:
        """Take a client event, in arrival order; waits while the inbox is full."""
        if self._gone:
            return
        try:
            async with self._receiving:  # a connection that was replaced may still be at it
                await self._intake.receive(event)
        except EngineFault as fault:
            self._deafened(fault)

    def append_now(self, sound: bytes) -> bool:
        """Take appended sound if nothing stands before it; else False, and `receive` has to.

        What comes fifty times a second from each caller should cost no task.
        """
        return self._gone or (not self._receiving.locked() and self._intake.append_now(sound))

    def _deafened(self, fault: BaseException) -> None:
        if not self._gone:
            logger.error("session %s: its sound could not be taken in: %s", self._session.id, fault)
            self.end(1011, "server_error.internal_error")

    async def _refused(self, event: SessionUpdate | ResponseCreate) -> inputs.BadEvent | None:
        if self._talk is None:
            return None
        return await admission.refused(event, self._session.proposed(event), self._talk)

    async def hear(self, pcm: bytes) -> None:
        """Take sound that came beside the events, 24 kHz; waits while the inbox is full."""
        if self._gone:
            return
        try:
            async with self._receiving:
                await self._intake.hear(pcm)
        except EngineFault as fault:
            self._deafened(fault)

    async def next_event(self) -> AnyServerEvent | None:
        """The next event for the client; None at the end."""
        return await self._outbox.get()

    def attach(self) -> Line:
        """The client's connection; one before it becomes stale."""
        if self._line is not None:
            self._line.stale = True
        self._line = Line(self._outbox, self.receive, self._line_lost, self.hear, self.append_now)
        return self._line

    @property
    def over(self) -> bool:
        """Whether the session has ended, or is about to."""
        return self._gone

    def can_resume(self, after: str | None) -> bool:
        """Whether all events after the one of that id can be sent again."""
        return self._outbox.reaches(after)

    async def resume(self, offer: ResumeOffer, after: str | None) -> Line:
        """The client has come back and got everything up to event `after` (None: all that left).

        The new line begins with `session.created`, shows `offer` in it, and goes on with what
        the client has not got. Allowed only where `can_resume(after)`.
        """
        self._outbox.hang_up()
        self._outbox.rewind(after)
        self._offer = offer
        self._grace_end = None
        line = self.attach()
        await self._inbox.put(inputs.Resumed())
        return line

    def hold(self, is_held: bool) -> None:
        """There is no way to the client for a time, or there is again; nothing on it is lost."""
        if not self._gone:
            self._inbox.put_nowait(inputs.Lost() if is_held else inputs.Found())

    def disconnect(self) -> None:
        """The client is gone: stop everything, send nothing more."""
        self._gone = True
        self._outbox.end(discard=True)
        self._wake(inputs.Disconnected())

    def end(self, code: int, reason: str) -> None:
        """Close the session from outside (shutdown, a fault at the edge)."""
        self.close_code, self.close_reason = code, reason
        self._gone = True
        self._outbox.end()
        self._wake(inputs.Disconnected())

    def dismiss(self, dismissal: inputs.Dismissed) -> None:
        """End the session with an `error` that says why; it does not wait in line."""
        self._dismissal = dismissal
        self._wake(inputs.Disconnected())

    async def ended(self) -> None:
        """Wait until the session has ended and let go of everything."""
        await self._ended.wait()

    async def run(self) -> None:
        """Live: from `session.created` to the end of the session."""
        try:
            now = self._loop.time()
            self._effects.carry_out(self._session.open(now), now)
            self._opened = True
            self._take()
            await self._stopped
            if self._fault is not None:
                raise RuntimeError("an input could not be taken") from self._fault
        except Exception:
            # An impossible state: this session alone ends, and its tape is kept.
            logger.exception("session %s: broke and is closed", self._session.id)
            self.close_code, self.close_reason = 1011, "server_error.internal_error"
        finally:
            await self._clean_up()

    def _take(self) -> None:
        """Have what has come enter the session; called when something has."""
        if not self._opened or self._stopped.done():
            return
        time = self._loop.time
        try:
            for entry in self._inbox.drain(AT_ONCE):
                if self._gone:
                    break
                self._handle(self._dismissal or entry, time())
        except (Exception, asyncio.CancelledError) as fault:
            self._fault, self._gone = fault, True
        self._outbox.flush()
        if self._gone:
            self._stopped.set_result(None)
        elif self._inbox:
            self._loop.call_soon(self._take)
        else:
            self._set_alarm()

    def _set_alarm(self) -> None:
        """Have the loop woken at the deadline; costs nothing while that stays the same."""
        deadline = self._session.deadline
        if self._grace_end is not None:
            deadline = self._grace_end if deadline is None else min(deadline, self._grace_end)
        if deadline == self._alarm_at:
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm, self._alarm_at = None, deadline
        if deadline is not None:
            self._alarm = self._loop.call_at(deadline, self._ring)

    def _ring(self) -> None:
        self._alarm = self._alarm_at = None
        if self._grace_end is None or self._loop.time() < self._grace_end:
            self._wake(inputs.Tick())
            return
        logger.info("session %s: the client did not come back", self._session.id)
        self.disconnect()

    def _line_lost(self, clean: bool) -> None:
        if clean or self._offer is None or self._gone:
            self.disconnect()
            return
        logger.info("session %s: the connection broke", self._session.id)
        self._outbox.hang_up()
        self._grace_end = self._loop.time() + self._offer.grace_s
        self._inbox.put_nowait(inputs.Lost())  # whatever waits: no mere waking

    def _handle(self, entry: inputs.Input, now: float) -> None:
        # The key's limits enter before and after, with nothing of other sessions in between.
        if self._meter and (news := self._meter.news()):
            self._enter(news, now)
        if self._speaker:
            for played in self._speaker.news():
                self._enter(played, now)
        self._enter(entry, now)
        if self._meter and (report := self._meter.report(now)):
            self._enter(report, now)

    def _enter(self, entry: inputs.Input, now: float) -> None:
        if self._recorder:
            self._recorder.record(now, entry)
        if self._debug:
            logger.debug("session %s < %s", self._session.id, type(entry).__name__)
        if batch := self._session.handle(entry, now):
            self._effects.carry_out(batch, now)

    def _extension(self) -> SessionExtension | None:
        """The token is a secret of the shell: neither the core nor a tape knows it."""
        card = self._card
        if card is None:
            return None
        return SessionExtension(
            engine=card.engine,
            profile=card.profile,
            traits=card.traits,
            resume=self._offer or UNSET,
        )

    def _overflow(self) -> None:
        if self._gone:
            return
        logger.warning("session %s: the client does not read, closing", self._session.id)
        self.close_code, self.close_reason = 1008, "rate_limit_error.client_too_slow"
        self._gone = True
        self._outbox.end(discard=True)

    def _wake(self, entry: inputs.Input) -> None:
        if not self._inbox:
            self._inbox.put_nowait(entry)

    async def _clean_up(self) -> None:
        self._gone = True
        if self._alarm is not None:
            self._alarm.cancel()
        self._outbox.end()
        try:
            # However it ended: what its responses have used is said, and stands on the tape.
            self._enter(inputs.Disconnected(), self._loop.time())
        except Exception:
            logger.exception("session %s: broke at its end", self._session.id)
        self._inbox.close()  # so that none of them waits for a place in it
        await self._jobs.aclose()
        self._intake.close()
        self._activity.close()
        if self._talk:
            await self._talk.aclose()
        if self._recorder:
            await asyncio.to_thread(self._recorder.close)
        if self._tracer:
            await asyncio.to_thread(self._tracer.close)
        self._ended.set()
