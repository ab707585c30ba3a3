"""Sessions with a full-duplex model: it hears everything, and whose turn it is it says itself.

    sound ─► Hear ─► the live job ─► LiveEvent: user_starts, user_stops ─► the user's item
                                          reply_starts, Say, Call, Done, Failed, yields ─► responses

One live job runs for the whole session. Its events take the places that turn detection and
`response.create` have with other engines: the same items, responses and ledgers follow, so a
client sees the protocol that it knows. The model's memory is its own. What is cut off, deleted
or silenced here is trimmed from the record, and the engine is told; a model that cannot rewind
(`Traits.rewinds`) remembers it all the same.
"""

from collections.abc import Callable

from msgspec import UNSET

from duologue.core.batch import Batch
from duologue.core.conversation import Entry
from duologue.core.heard_words import HeardWords
from duologue.core.inputs import LiveEvent, LiveFailed, ReplyEvent, ReplyFailed
from duologue.core.live_usage import LiveUsage
from duologue.core.outputs import DropAudio, GoneOut, Hear, Hush, Live, Nudge
from duologue.core.playout import Playout
from duologue.core.response import ResponseMachine
from duologue.core.responses import Responses
from duologue.core.talk import Ask, Began, Call, Done, Failed, Floor, Heard, Refused, Say
from duologue.core.user_turn import UserTurn
from duologue.errors import Refusal
from duologue.events import ResponseCreateParams

REOPEN_S = 1.0
"""How soon after a failure the next sound opens a live job again; doubled each time it fails."""

REOPEN_LONGEST_S = 30.0


class LiveFloor:
    """The live job of one session, and the reply that the model is giving.

    `ask` gives what the session's settings ask of the model; `reply` takes an event of a response.
    """

    def __init__(
        self,
        batch: Batch,
        turn: UserTurn,
        responses: Responses,
        words: HeardWords,
        playout: Playout | None,
        new_id: Callable[[str], str],
        ask: Callable[[], Ask],
        reply: Callable[[ReplyEvent | ReplyFailed, float], None],
    ) -> None:
        self._batch = batch
        self._turn = turn
        self._responses = responses
        self._words = words
        self._playout = playout
        self._new_id = new_id
        self._ask = ask
        self._take_reply = reply
        self._job: str | None = None
        self._reopen_at = 0.0
        self._patience_s = REOPEN_S
        self._is_told = False
        self._in_reply = False
        """Whether the model is between `reply_starts` and the end of that reply."""
        self._response: ResponseMachine | None = None
        """What it says there; None after a call, until it says more; over once it is silenced."""
        self._nudged: ResponseCreateParams | None = None
        self._speech_end: float | None = None
        self._usage = LiveUsage()

    def open(self) -> None:
        """Have the model listen."""
        self._job = self._new_id("job")
        self._batch.add(Live(self._job, self._ask()))

    def hear(self, pcm: bytes, now: float) -> None:
        """The model is given all sound. One that failed is opened again when there is some."""
        if self._job is None and now >= self._reopen_at:
            self.open()
        self._batch.add(Hear(pcm))

    def nudge(self, params: ResponseCreateParams, now: float) -> None:
        """`response.create`: no error while the model speaks, and a hint to it, not an order.

        The next reply that begins is the one that was asked for, and is made as `params` say.
        """
        if params.input is not UNSET:
            raise Refusal(
                "invalid_value",
                "The engine of this server answers from what it hears: a response with an input "
                "of its own can only be had with conversation 'none'.",
                "response.input",
            )
        self._nudged, ask = self._responses.check_nudge(params, now)
        if self._job is None:
            self._is_told = False  # who asks is answered, at least with why there is no model
            self.open()
        self._batch.add(Nudge(ask))

    def cancel(self, response_id: str | None) -> None:
        """`response.cancel`: of the reply under way, or of the one that was asked for.

        The model is told, even where it has not said a word; what it says nevertheless is not
        heard.
        """
        active = self._responses.active
        if active is None and response_id is None and self._nudged is not None:
            self._nudged = None
            self._batch.add(Hush())
            return
        self._responses.cancel(response_id)
        if active is not None and active.over:
            self._batch.add(Hush())

    def write_down(self, entry: Entry) -> None:
        """The client has committed an item, perhaps in the middle of a turn, which goes on."""
        self._words.write(entry)

    def end_turn(self, now: float, at_ms: int | None = None) -> None:
        """The user's turn is over, at `at_ms` of the audio clock or just now."""
        position_ms = self._turn.position_ms
        at_ms = position_ms if at_ms is None else at_ms
        self._speech_end = now - max(0, position_ms - at_ms) / 1000
        entry = self._turn.end_as_told(at_ms)
        if entry is None:
            self._words.end()
            return
        self._words.write(entry)
        self._nudged = None  # what comes next answers this, not what the client asked before

    def take(self, entry: LiveEvent | LiveFailed, now: float) -> None:
        """Take an event of the live job; nothing if that is not the one that runs."""
        if entry.job != self._job:
            return
        if isinstance(entry, LiveFailed):
            self._fail(entry, now)
            return
        if isinstance(entry.event, Refused):  # no sign that it is well
            self._refuse(entry.event)
            return
        self._patience_s, self._is_told = REOPEN_S, False
        match entry.event:
            case Floor(kind="user_starts", at_ms=at_ms):
                self._user_starts(at_ms)
            case Floor(kind="user_stops", at_ms=at_ms):
                if self._turn.speaking:
                    self.end_turn(now, at_ms)
            case Floor(kind="reply_starts"):
                self._end_reply(Done(), now)  # of an engine that forgot to
                self._in_reply = True
                self._respond(now)
            case Floor(kind="yields"):
                self._yield()
            case Heard() as heard:
                self._words.take(heard, speaking=self._turn.speaking)
            case Done() as done:
                self._end_reply(done, now)
            case Failed() as failed:
                self._fail_reply(failed, now)
            case Began() | Say() | Call() as event:
                self._say(event, now)

    def _user_starts(self, at_ms: int) -> None:
        if self._turn.speaking or not self._turn.start_at(at_ms):
            return
        self._words.begin()
        self._turn.announce_start()
        if self._playout is not None and not self._in_reply:
            # The model is done and cannot yield any more; what still waits is talked over.
            self._playout.clear()

    def _respond(self, now: float) -> None:
        params, self._nudged = self._nudged or ResponseCreateParams(), None
        speech_end, self._speech_end = self._speech_end, None
        self._response = self._responses.create_unasked(params, now, speech_end)
        if self._response.over:
            self._batch.add(Hush())
            return
        self._response.note_stage("decision", now)
        if owed := self._usage.open():
            self._take_reply(ReplyEvent(self._response.job, owed), now)

    def _say(self, event: Began | Say | Call, now: float) -> None:
        if not self._in_reply:
            return
        if self._response is None:
            if isinstance(event, Began):
                self._usage.miss(event)
                return
            self._respond(now)
        response = self._response
        assert response is not None
        if response.over:
            return
        self._take_reply(ReplyEvent(response.job, self._usage.count(event)), now)
        response = self._response
        if response is None or response.over:
            self._batch.add(Hush())  # it has reached its limit, of which the model knows nothing
            return
        if isinstance(event, Say) and self._playout is None and (entry := response.speaking):
            assert entry.ledger is not None
            self._batch.add(GoneOut(entry.id, entry.ledger.sent))
        if isinstance(event, Call) and event.final:
            # The client acts when the response is done; the model may talk on meanwhile.
            self._take_reply(ReplyEvent(response.job, self._usage.count(Done())), now)
            self._response = None
            self._usage.split()

    def _end_reply(self, done: Done, now: float) -> None:
        if self._in_reply and self._response is None:
            self._usage.miss(done)
        response = self._leave_reply()
        if response is not None:
            self._take_reply(ReplyEvent(response.job, self._usage.count(done)), now)

    def _yield(self) -> None:
        response = self._leave_reply()
        if self._playout is not None:
            stopped = self._playout.stop()
            self._playout.tell_cleared(stopped)
            self._responses.interrupt()
            self._playout.tell_truncated(stopped)
        elif response is not None:
            self._batch.add(DropAudio(response.id))
            self._responses.interrupt()

    def _fail(self, failed: LiveFailed, now: float) -> None:
        self._job = None
        self._reopen_at = now + self._patience_s
        self._patience_s = min(2 * self._patience_s, REOPEN_LONGEST_S)
        if self._turn.speaking:
            self.end_turn(now)
        self._words.begin()
        response = self._leave_reply()
        if response is not None:
            self._take_reply(ReplyFailed(response.job, failed.code, failed.message), now)
        elif not self._is_told:
            self._refuse(failed)
        self._is_told = True

    def _fail_reply(self, failed: Failed, now: float) -> None:
        is_cancelled = self._response is not None and self._response.over
        if not self._in_reply:
            self._nudged = None  # it is the hint that fails
        response = self._leave_reply()
        if response is not None:
            self._take_reply(ReplyFailed(response.job, failed.code, failed.message), now)
        elif not is_cancelled:
            self._refuse(failed)

    def _leave_reply(self) -> ResponseMachine | None:
        """The reply is over; returns its response, if that is not."""
        response, self._response = self._response, None
        self._in_reply = False
        self._usage.end(is_open=response is not None)
        return response if response is not None and not response.over else None

    def _refuse(self, failed: LiveFailed | Failed | Refused) -> None:
        self._batch.refuse(Refusal(failed.code, failed.message, type="server_error"), None)
