"""Whose turn it is where this server takes the turns: what follows from the user's speech.

    sound ─► hear ─► started ─► what may be interrupted is  (c)
                  └► stopped ─► commit ─► transcript, response  (a)
    a judged pause ─► stopped          silence for the idle timeout ─► commit ─► response  (l)

The user's side alone (onset, pause, committed item) is in `user_turn`. Where a full-duplex model
takes the turns, everything here is handed on to `floor`.
"""

from duologue.core.batch import Batch
from duologue.core.floor import LiveFloor
from duologue.core.idle_timeout import IdleTimeout
from duologue.core.inputs import TurnScored
from duologue.core.outputs import DropAudio
from duologue.core.playout import Playout
from duologue.core.responses import Responses
from duologue.core.settings import Settings
from duologue.core.transcription import Transcription
from duologue.core.user_turn import UserTurn
from duologue.events import ResponseCreateParams


class TurnTaking:
    """Ends the user's turns, begins the replies to them, and interrupts those under way.

    `floor` is the model that takes the turns itself, None where there is none; `answers_late`
    whether a turn that ended beside a response is answered once that is done.
    """

    def __init__(
        self,
        batch: Batch,
        settings: Settings,
        turn: UserTurn,
        responses: Responses,
        transcription: Transcription,
        playout: Playout | None,
        idle: IdleTimeout,
        floor: LiveFloor | None,
        *,
        answers_late: bool,
    ) -> None:
        self._batch = batch
        self._settings = settings
        self._turn = turn
        self._responses = responses
        self._transcription = transcription
        self._playout = playout
        self._idle = idle
        self._floor = floor
        self._answers_late = answers_late
        self.owes_answer = False
        """Whether a turn waits for the response beside which it ended; `answer_late` gives it."""
        self._taken = self._asked()
        self._configure_parts()

    def configure(self) -> None:
        """Take the session's turn detection, if that has changed."""
        asked = self._asked()
        if asked == self._taken:
            return
        self._taken = asked
        self._configure_parts()
        self.owes_answer = False

    def _asked(self) -> tuple[object, bool]:
        settings = self._settings
        return settings.session.audio.input.turn_detection, settings.own_turn_policy

    def _configure_parts(self) -> None:
        turn_detection = self._settings.session.audio.input.turn_detection
        self._turn.configure(turn_detection, own=self._settings.own_turn_policy)
        self._idle.configure(turn_detection)

    def hear(self, pcm: bytes, speech: float | None, now: float) -> None:
        """Take one window of sound and, where it is scored, the probability of speech in it."""
        if self._floor is not None:
            self._floor.hear(pcm, now)
        if self._turn.overflows(pcm):
            self._end_turn(now)  # what was announced is also ended (GAP-25, GAP-26)
        self._idle.heard(self._turn.position_ms, now)
        heard = self._turn.hear(pcm, speech, now)
        self._transcription.hear(pcm)
        if heard is None:
            return
        turn_detection = self._settings.session.audio.input.turn_detection
        assert turn_detection is not None  # else nobody listens for speech
        if heard == "started":
            self._start_speech(interrupts=turn_detection.interrupt_response is True)
        else:
            self._end_turn(now)

    def judge(self, result: TurnScored, now: float) -> None:
        """Take the judgement of a pause, which may end the turn."""
        if self._turn.judge(result) == "stopped":
            self._end_turn(now)

    def commit(self) -> None:
        """The client's commit: an item, its transcript, and no reply of itself."""
        entry = self._turn.commit_as_asked()
        if entry is None:
            return
        if self._floor is not None:
            self._floor.write_down(entry)
        else:
            self._transcription.start(entry)

    def answer_late(self, now: float) -> None:
        """Answer a turn that ended while a response ran, once that one is done."""
        if self._responses.active is None:
            self.owes_answer = False
            if not self._turn.speaking:  # else what is being said is answered together with it
                self._responses.create(ResponseCreateParams(), now, automatic=True)

    def prompt_idle(self, now: float) -> None:
        """The user has been silent for the idle timeout: commit silence and answer it."""
        silence = self._idle.expire(self._turn.position_ms, now)
        if silence is None:
            return
        self._transcription.start(self._turn.commit_silence(*silence))
        if self._floor is not None:
            self._floor.nudge(ResponseCreateParams(), now)
        else:
            self._responses.create(ResponseCreateParams(), now, automatic=True)

    def _start_speech(self, *, interrupts: bool) -> None:
        if self._playout is not None:
            self._turn.announce_start()
            if interrupts:
                stopped = self._playout.stop()
                self._playout.tell_cleared(stopped)
                self._responses.interrupt()
                self._playout.tell_truncated(stopped)
            return
        active = self._responses.active
        if interrupts and active is not None:
            # Sound still queued must not follow the news that the user speaks (GAP-17).
            self._batch.add(DropAudio(active.id))
        self._turn.announce_start()
        if interrupts:
            self._responses.interrupt()

    def _end_turn(self, now: float) -> None:
        if self._floor is not None:
            self._floor.end_turn(now)
            return
        speech_end = self._turn.speech_end
        entry = self._turn.end()
        self._transcription.start(entry)
        turn_detection = self._settings.session.audio.input.turn_detection
        if turn_detection is None or turn_detection.create_response is not True:
            return
        if self._responses.active is not None:
            # No second response beside one that runs, and no error (GAP-23).
            self.owes_answer = self._answers_late
            return
        response = self._responses.create(ResponseCreateParams(), now, speech_end, automatic=True)
        response.note_stage("decision", now)
