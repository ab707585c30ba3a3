"""`idle_timeout_ms`: when nobody has spoken for so long after a reply was played to its end.

Sound sent, server events and windows heard come in; the deadline goes out, and at the deadline
what stretch of the audio clock was silent. Armed by the end of a response, counted from the
end of its playing; disarmed by speech, by the next response, by other turn detection.

    response.done ─► armed ──deadline──► expired
                      └─ speech_started, response.created, session.update ─► not armed

What a client plays cannot be seen over a plain WebSocket, so it is reckoned (GAP-47): each piece
is played when it has come and all before it has been played. Where playing is ours, the news
of the output buffer say when it ends.

While the connection of a client that may come back is lost, this clock stands still: nobody is
there to be prompted, and what was said meanwhile is played from the moment they return.
"""

from duologue.audio import pcm as audio
from duologue.events import (
    ConversationItemTruncated,
    FunctionCallItem,
    InputAudioBufferSpeechStarted,
    OutputAudioBufferCleared,
    OutputAudioBufferStarted,
    OutputAudioBufferStopped,
    Response,
    ResponseCreated,
    ResponseDone,
    ServerVad,
    TurnDetection,
)
from duologue.events.translation import AnyServerEvent


class IdleTimeout:
    """One session's idle timeout. Times are monotonic seconds, positions on the audio clock.

    Times held are those at which a client who was never away would be: see `_present`.
    """

    def __init__(self) -> None:
        self._timeout_ms: int | None = None
        self._interrupts = False
        self._played_at = 0.0
        self._playing: set[str] = set()
        self._done_at: float | None = None
        self._start_ms: int | None = None
        self._away_at: float | None = None
        """When the connection was lost; None while there is one."""
        self._away_s = 0.0
        """How long it was lost before, in all."""

    @property
    def deadline(self) -> float | None:
        """When it expires; None while it is not armed."""
        if self._timeout_ms is None or self._done_at is None or self._playing:
            return None
        if self._away_at is not None:
            return None
        return max(self._done_at, self._played_at) + self._timeout_ms / 1000 + self._away_s

    def configure(self, settings: TurnDetection | None) -> None:
        """Take the session's turn detection, which has changed."""
        self._timeout_ms = settings.idle_timeout_ms if isinstance(settings, ServerVad) else None
        self._interrupts = settings is not None and settings.interrupt_response is True
        self._disarm()

    def leave(self, now: float) -> None:
        """The connection was lost."""
        if self._away_at is None:
            self._away_at = now

    def come_back(self, now: float) -> None:
        """There is a connection again."""
        if self._away_at is not None:
            self._away_s += now - self._away_at
            self._away_at = None

    def plays(self, samples: int, now: float) -> None:
        """So much sound of the conversation was sent."""
        if samples:
            self._played_at = max(self._played_at, self._present(now)) + samples / audio.RATE_HZ

    def sent(self, event: AnyServerEvent, now: float, *, speaking: bool) -> None:
        """Look at what goes to the client besides sound; `speaking` says whether the user is."""
        match event:
            case ResponseCreated(response=response) if response.conversation_id is not None:
                self._disarm()
            case ResponseDone(response=response) if response.conversation_id is not None:
                self._end_response(response, now, speaking=speaking)
            case InputAudioBufferSpeechStarted():
                self._disarm()
                if self._interrupts:
                    self._stop_playing(now)
            case OutputAudioBufferStarted(response_id=response_id):
                self._playing.add(response_id)
            case (
                OutputAudioBufferStopped(response_id=response_id)
                | OutputAudioBufferCleared(response_id=response_id)
            ):
                self._playing.discard(response_id)
                self._played_at = self._present(now)
            case ConversationItemTruncated():
                self._stop_playing(now)  # the client says that it did
            case _:
                pass

    def heard(self, position_ms: int, now: float) -> None:
        """The sound up to `position_ms` was received: the stretch begins when playing has ended."""
        is_waiting = self._done_at is not None and self._start_ms is None
        if is_waiting and not self._playing and self._present(now) >= self._played_at:
            self._start_ms = position_ms

    def expire(self, position_ms: int, now: float) -> tuple[int, int] | None:
        """The silent stretch (start and end in ms), once the deadline has come; disarms.

        A client that sends less sound than time passes, or none, still gets a stretch as long as
        the timeout: then the clock on the wall counts (GAP-47).
        """
        if self.deadline is None or self._timeout_ms is None or now < self.deadline:
            return None
        start_ms = position_ms if self._start_ms is None else self._start_ms
        self._disarm()
        return start_ms, max(position_ms, start_ms + self._timeout_ms)

    def _end_response(self, response: Response, now: float, *, speaking: bool) -> None:
        if response.status == "cancelled":
            self._stop_playing(now)
        # After a call it is the client's turn to act, not the user's to speak.
        called = any(isinstance(item, FunctionCallItem) for item in response.output)
        if not speaking and not called:
            self._done_at, self._start_ms = self._present(now), None

    def _stop_playing(self, now: float) -> None:
        self._played_at = min(self._played_at, self._present(now))

    def _present(self, now: float) -> float:
        """`now` on the clock that stands still while the client is away."""
        return (now if self._away_at is None else self._away_at) - self._away_s

    def _disarm(self) -> None:
        self._done_at = self._start_ms = None
