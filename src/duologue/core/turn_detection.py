"""Voice-activity scores in, turn decisions out: both kinds of VAD as arithmetic on audio time.

No model and no clock: the score rides with the window, and milliseconds are counted from
the samples seen. Speech begins with `ONSET_WINDOWS` consecutive windows at or above the
threshold. A pause begins with a window below threshold - `HYSTERESIS`, ends with one at or
above the threshold, and becomes the end of the turn when it has lasted `silence_duration_ms`.

Where a client has not said how long a silence shall be, the server's own policy is in force:
it waits `short_speech_patience_ms` longer when little has been said so far. "Stop." or
"Well," is more often the beginning of something than all of it, and the pause behind such a
word is longer than any inside a sentence; so a sentence need not wait for that case.

`semantic_vad` asks somebody who understands: a pause that has lasted `ASK_AFTER_MS` is "asked"
about, once. Judged complete (`judge`), the turn ends as by `server_vad`; judged incomplete, or
not judged at all, it ends only when the pause has lasted `longest_silence_ms`. Speech that goes
on makes the judgement void; the next pause is asked about anew.

    pause ──200 ms──► asked ──complete──► silence_duration_ms ─► stopped
                        └─incomplete, no answer──► longest_silence_ms ─► stopped
"""

from typing import Literal

ONSET_WINDOWS = 2
"""Consecutive voiced windows that make speech: one alone is a click more often than a word."""

HYSTERESIS = 0.15
"""How far below the threshold a window must score to count as silence (Silero's own rule)."""

SHORT_SPEECH_MS = 1000
"""Speech up to this, from its onset to the pause, is short."""

ASK_AFTER_MS = 200
"""The pause after which `semantic_vad` asks. Shorter ones are mostly stops inside a sentence, that
end by themselves before an answer could come (those of the test recordings last 96 and 192 ms),
and the turn-end model was trained on pauses of this length."""

COMPLETE = 0.5
"""The probability from which a turn counts as complete: the model's own threshold."""

Decision = Literal["started", "paused", "asked", "resumed", "stopped"]


class TurnDetection:
    """The state of one session's detector; `hear` is called for every scored window.

    `longest_silence_ms` makes it `semantic_vad`; None is `server_vad`, which asks nobody.
    """

    def __init__(
        self,
        *,
        threshold: float,
        prefix_padding_ms: int,
        silence_duration_ms: int,
        short_speech_patience_ms: int = 0,
        longest_silence_ms: int | None = None,
    ) -> None:
        self.threshold = threshold
        self.prefix_padding_ms = prefix_padding_ms
        self.silence_duration_ms = silence_duration_ms
        self.short_speech_patience_ms = short_speech_patience_ms
        self.longest_silence_ms = longest_silence_ms
        self.speaking = False
        self.onset_ms = 0
        """Audio time of the first voiced window of the latest speech, padding not counted."""
        self._voiced_windows = 0
        self._pause_start_ms: int | None = None
        self._pause_ms = 0
        self._asked = self._complete = False

    def hear(self, speech: float, start_ms: int, end_ms: int) -> Decision | None:
        """Decide on the window from `start_ms` to `end_ms` of audio time, scored `speech`."""
        if not self.speaking:
            return self._listen(speech, start_ms)
        if speech >= self.threshold:
            paused = self._pause_start_ms is not None
            self._end_pause()
            return "resumed" if paused else None
        decision: Decision | None = None
        if self._pause_start_ms is None:
            if speech >= max(self.threshold - HYSTERESIS, 0.01):
                return None
            self._pause_start_ms = start_ms
            decision = "paused"
        self._pause_ms = end_ms - self._pause_start_ms
        if self._pause_ms >= self._silence_needed_ms(self._pause_start_ms):
            self.reset()
            return "stopped"
        if self.longest_silence_ms is not None and not self._asked:
            self._asked = self._pause_ms >= ASK_AFTER_MS
            return "asked" if self._asked else decision
        return decision

    def judge(self, probability: float) -> Decision | None:
        """Take the answer about the pause under way: how likely the turn is complete."""
        if self._pause_start_ms is None:
            return None
        self._complete = probability >= COMPLETE
        if self._pause_ms < self._silence_needed_ms(self._pause_start_ms):
            return None
        self.reset()
        return "stopped"

    def _silence_needed_ms(self, pause_start_ms: int) -> int:
        if self.longest_silence_ms is not None and not self._complete:
            return self.longest_silence_ms
        if pause_start_ms - self.onset_ms > SHORT_SPEECH_MS:
            return self.silence_duration_ms
        return self.silence_duration_ms + self.short_speech_patience_ms

    def _listen(self, speech: float, start_ms: int) -> Decision | None:
        if speech < self.threshold:
            self._voiced_windows = 0
            return None
        if self._voiced_windows == 0:
            self.onset_ms = start_ms
        self._voiced_windows += 1
        if self._voiced_windows < ONSET_WINDOWS:
            return None
        self.reset()
        self.speaking = True
        return "started"

    def start(self, at_ms: int) -> None:
        """Somebody else has found the beginning of a turn: a model that owns the floor."""
        self.reset()
        self.onset_ms = at_ms
        self.speaking = True

    def resume(self, other: "TurnDetection") -> None:
        """Go on where `other` was, under new settings; what it was told is asked again."""
        self.speaking = other.speaking
        self.onset_ms = other.onset_ms
        self._voiced_windows = other._voiced_windows
        self._pause_start_ms = other._pause_start_ms

    def reset(self) -> None:
        """Forget the turn under way, as after a commit or a clear."""
        self.speaking = False
        self._voiced_windows = 0
        self._end_pause()

    def _end_pause(self) -> None:
        self._pause_start_ms = None
        self._pause_ms = 0
        self._asked = self._complete = False
