"""Whose turn it is, judged from frames: what both sides sound like and what the model writes.

A frame of the user's and the model's answer to it go in, `Floor`, `Say`, `Began` and `Done` come
out. Moshi itself says no more than sound and text, so all of this is an estimate, of its own
words and of loudness:

- a reply starts with a word, and has ended when there was no word and no sound for a while;
- it yields when that comes sooner, because the user has begun to speak;
- the user speaks when their line is loud against what it is like when nobody does. Noise that
  comes and goes is taken for speech; and so is our own voice on a line with an echo.
"""

import math
from collections.abc import Sequence

import numpy as np

from duologue.core.talk import Began, Done, Floor, LiveEvent, Say
from duologue.engines.moshi.frames import FRAME_MS, Spoken
from duologue.engines.moshi.text import END_OF_PADDING, TextStream

DONE_FRAMES = 8
"""Frames without word and sound after which a reply has ended (640 ms)."""
YIELD_FRAMES = 3
"""As many are enough while the user speaks (240 ms)."""
WORDLESS_FRAMES = 38
"""A reply has ended, too, when it only hums for so long (3 s)."""
VOICED_FRAMES = 3
"""A piece of text has been voiced when the next one comes, or after so many frames."""
START_FRAMES = 2
"""Loud frames, one after the other, that make a user speak."""
STOP_FRAMES = 6
"""Frames that are not loud after which they no longer do (480 ms)."""

QUIET_RMS = 65.0
"""The model is silent below this: -54 dB of full scale."""
LOUD_RMS = 130.0
"""The user's line is loud above this, or three times its rest, if that is more."""
LOUD_AGAINST_REST = 3.0
REST_RISE = 0.002
"""The rest is the softest there was; it rises by this share of what comes, frame by frame."""


class FloorEstimate:
    """One conversation's floor. `window` is how many frames the model remembers."""

    def __init__(self, text: TextStream, window: int) -> None:
        self._user = _UserLine()
        self._text = text
        self._window = window
        self._frames = 0
        self._frames_before = 0
        self._reply: _Reply | None = None
        self._preroll = b""

    @property
    def is_replying(self) -> bool:
        return self._reply is not None

    def break_off(self) -> None:
        """Who was told so far is told no more: a reply or a turn under way begins anew."""
        self._reply, self._preroll = None, b""
        self._user.is_speaking = False

    def frame(self, heard: bytes, spoken: Spoken, at_ms: int) -> Sequence[LiveEvent]:
        """What one frame of both means; it ends `at_ms` of the user's sound."""
        self._frames += 1
        events: list[LiveEvent] = list(self._user.frame(_rms(heard), at_ms))
        if spoken.token is None:
            return events
        text = self._text.text(spoken.token)
        if self._reply is None:
            if not text.strip():
                self._preroll = spoken.pcm if spoken.token == END_OF_PADDING else b""
                return events
            self._reply = _Reply()
            text, pcm, frames = text.lstrip(), self._preroll + spoken.pcm, 1
            frames += bool(self._preroll)
            events += (Floor("reply_starts", at_ms), self._began())
        else:
            pcm, frames = spoken.pcm, 1
        events.append(self._reply.say(text, pcm, frames))
        is_quiet = not text and _rms(spoken.pcm) < QUIET_RMS
        if end := self._reply.end(text, is_quiet, self._user.is_speaking):
            events.append(Done() if end == "done" else Floor("yields", at_ms))
            self._reply, self._preroll = None, b""
        return events

    def _began(self) -> Began:
        """All that the model remembers of the user's line, a frame being a token."""
        known = min(self._frames, self._window)
        fresh = min(self._frames - self._frames_before, known)
        self._frames_before = self._frames
        return Began({"audio": known}, {"audio": known - fresh})


class _Reply:
    """What one reply has said so far, and for how long it has said nothing."""

    def __init__(self) -> None:
        self._length = self._voiced = 0
        self._wordless = self._quiet = 0

    def say(self, text: str, pcm: bytes, frames: int) -> Say:
        """`frames` of sound, with which `text` begins to be voiced."""
        self._wordless = 0 if text else self._wordless + 1
        if text or self._wordless >= VOICED_FRAMES:
            self._voiced = self._length
        self._length += len(text)
        return Say(text, pcm, self._voiced, tokens=frames)

    def end(self, text: str, is_quiet: bool, user_speaks: bool) -> str:
        """Whether this was the last frame: "done", "yields", or "" where it was not."""
        self._quiet = self._quiet + 1 if is_quiet else 0
        if user_speaks and self._quiet >= YIELD_FRAMES:
            return "yields"
        return "done" if self._quiet >= DONE_FRAMES or self._wordless >= WORDLESS_FRAMES else ""


class _UserLine:
    """Whether the user speaks."""

    def __init__(self) -> None:
        self.is_speaking = False
        self._rest = LOUD_RMS  # at most: somebody may speak from the first frame on
        self._loud = self._soft = 0

    def frame(self, rms: float, at_ms: int) -> Sequence[Floor]:
        self._rest = min(rms, self._rest + (rms - self._rest) * REST_RISE)
        if rms > max(LOUD_RMS, LOUD_AGAINST_REST * self._rest):
            self._loud, self._soft = self._loud + 1, 0
        else:
            self._loud, self._soft = 0, self._soft + 1
        if not self.is_speaking and self._loud >= START_FRAMES:
            self.is_speaking = True
            return [Floor("user_starts", max(0, at_ms - self._loud * FRAME_MS))]
        if self.is_speaking and self._soft >= STOP_FRAMES:
            self.is_speaking = False
            return [Floor("user_stops", max(0, at_ms - self._soft * FRAME_MS))]
        return []


def _rms(pcm: bytes) -> float:
    sound = np.frombuffer(pcm, "<i2").astype(np.float32)
    return math.sqrt(float(sound @ sound) / max(1, len(sound)))
