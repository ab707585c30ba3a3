"""What the outputs of a session do, each in its turn.

Session ─► outputs ─┬─ events ────► tracer, outbox ─► the client
                    ├─ sound ─────► speaker
                    ├─ work ──────► jobs, counted by the meter
                    └─ notes ─────► the engine's talk
"""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from msgspec import structs

from duologue.core import outputs
from duologue.events import SessionCreated, SessionExtension
from duologue.events.translation import AnyServerEvent, TranslationCreated
from duologue.runtime.jobs import Jobs
from duologue.runtime.meter import Meter
from duologue.runtime.outbox import Outbox
from duologue.runtime.ports import Speaker, Talk
from duologue.runtime.tracer import Tracer

if TYPE_CHECKING:
    from duologue.runtime.ports import LiveTalk

logger = logging.getLogger(__name__)


class Effects:
    """Those of one session.

    `extension` is shown in `session.created`; `overflow` is called where the client does not take
    what is for it, `close` where the session ends the connection.
    """

    def __init__(
        self,
        session_id: str,
        outbox: Outbox,
        jobs: Jobs,
        talk: Talk | None,
        speaker: Speaker | None,
        meter: Meter | None,
        tracer: Tracer | None,
        *,
        extension: Callable[[], SessionExtension | None],
        overflow: Callable[[], None],
        close: Callable[[int, str], None],
    ) -> None:
        self._session_id = session_id
        self._outbox = outbox
        self._jobs = jobs
        self._talk = talk
        self._speaker = speaker
        self._meter = meter
        self._tracer = tracer
        self._extension = extension
        self._overflow = overflow
        self._close = close
        self._debug = logger.isEnabledFor(logging.DEBUG)

    def carry_out(self, batch: list[outputs.Output], now: float) -> None:
        """Do what a batch says, in its order; `now` is on the loop's clock, in seconds."""
        for output in batch:
            if isinstance(output, outputs.Send):
                self._send(output.event)
                continue
            match output:
                case outputs.DropAudio(response_id):
                    self._outbox.drop_audio(response_id)
                case outputs.DropItemAudio(item_id):
                    self._outbox.drop_item_audio(item_id)
                case outputs.Play(response_id, item_id, pcm):
                    assert self._speaker, "sound to be played in a session that plays none"
                    if not self._speaker.play(response_id, item_id, pcm):
                        self._overflow()
                case outputs.StopPlaying(response_id):
                    assert self._speaker, "sound to be stopped in a session that plays none"
                    self._speaker.stop(response_id)
                case outputs.Respond(job, ask):
                    if self._meter:
                        self._meter.begin(job, ask, now)
                    self._jobs.start(output)
                case outputs.Unasked(job, ask):
                    if self._meter:
                        self._meter.begin(job, ask, now)
                case (
                    outputs.Live()
                    | outputs.Transcribe()
                    | outputs.Translate()
                    | outputs.ScoreTurn()
                ):
                    self._jobs.start(output)
                case outputs.Spent(job, tokens):
                    if self._meter:
                        self._meter.end(job, tokens, now)
                case outputs.Cancel(job):
                    self._jobs.cancel(job)
                case outputs.Close(code, reason):
                    self._close(code, reason)
                case note:
                    assert self._talk, "a note to an engine in a session without one"
                    _tell(self._talk, note)

    def _send(self, event: AnyServerEvent) -> None:
        if self._debug:
            logger.debug("session %s > %s", self._session_id, type(event).__name__)
        if self._tracer is not None:
            self._tracer.take(event)
        if isinstance(event, SessionCreated):
            self._outbox.begin(_extended(event, self._extension()))
        elif isinstance(event, TranslationCreated):
            self._outbox.begin(event)
        elif not self._outbox.put(event):
            self._overflow()


def _extended(event: SessionCreated, extension: SessionExtension | None) -> SessionCreated:
    if extension is None:
        return event
    return structs.replace(event, session=structs.replace(event.session, duologue=extension))


def _tell(talk: Talk, note: outputs.Note) -> None:
    match note:
        case outputs.Put(item, after):
            talk.put(item, after)
        case outputs.Expect(item):
            talk.expect(item)
        case outputs.Configure(ask):
            talk.configure(ask)
        case outputs.Cut(item_id, end_ms, text):
            talk.cut(item_id, end_ms, text)
        case outputs.Drop(item_id):
            talk.drop(item_id)
        case outputs.Hear(pcm):
            cast("LiveTalk", talk).hear(pcm)
        case outputs.GoneOut(item_id, samples):
            cast("LiveTalk", talk).played(item_id, samples)
        case outputs.Nudge(ask):
            cast("LiveTalk", talk).nudge(ask)
        case outputs.Hush():
            cast("LiveTalk", talk).hush()
