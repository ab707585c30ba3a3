"""The transcript of an item that is still being spoken, hypothesis by hypothesis.

Growing sound goes in by `next_sound`, which says when there is enough for the next look at
it; results come back by `take` and leave as text to be told. Sound is looked at in pieces: a
piece that is `PIECE_MS` long is closed at its quietest place, so that neither a hypothesis
nor the last word after the commit ever costs more than one piece.
"""

from duologue.audio import pcm as audio
from duologue.core.agreement import Agreement
from duologue.core.talk import Transcript
from duologue.events import LogProb

PIECE_MS = 26_000
CUT_WITHIN_MS = 4_000
"""A piece is cut in its last four seconds, where a window is quietest."""


class LiveTranscript:
    """`told` is all that the client has; `start` is where the open piece begins, in samples."""

    def __init__(self, item_id: str, interval_ms: int) -> None:
        self.item_id = item_id
        self.told = ""
        self.closed_text = ""
        self.logprobs: tuple[LogProb, ...] = ()
        self.start = 0
        self.job: str | None = None
        self.closing: int | None = None
        """End of the piece that the job under way closes, in samples; None for a hypothesis."""
        self._interval = audio.samples_of_ms(interval_ms)
        self._looked_at = 0
        self._agreement = Agreement()
        self._quietest: tuple[float, int] | None = None

    @property
    def prefix(self) -> str:
        """How the transcript of the open piece must begin."""
        return self._agreement.agreed

    def note(self, pcm: bytes, held: int) -> None:
        """Note a window that ends at sample `held`, for the place of the next cut."""
        if held - self.start < audio.samples_of_ms(PIECE_MS - CUT_WITHIN_MS):
            return
        loudness = audio.loudness(pcm)
        if self._quietest is None or loudness <= self._quietest[0]:
            self._quietest = (loudness, held)

    def is_due(self, held: int) -> bool:
        """Whether the sound up to sample `held` is to be looked at; then it counts as such."""
        if self.job is not None:
            return False
        if held - self.start >= audio.samples_of_ms(PIECE_MS):
            self.closing = self._quietest[1] if self._quietest else held
        elif held - self._looked_at < self._interval:
            return False
        self._looked_at = held
        return True

    def take(self, transcript: Transcript) -> str:
        """The text to tell now."""
        self.job = None
        if self.closing is None:
            added = self._agreement.take(transcript.text)
            return self._tell(join(self.closed_text, self.prefix) if added else self.told)
        self.start, self.closing, self._quietest = self.closing, None, None
        self.closed_text = join(self.closed_text, whole(transcript.text, self.prefix))
        self.logprobs += transcript.logprobs or ()
        self._agreement = Agreement()
        return self._tell(self.closed_text)

    def give_up(self) -> None:
        """The job under way came to nothing; a later one will."""
        self.job = self.closing = None

    def _tell(self, text: str) -> str:
        added = text[len(self.told) :]
        self.told = text
        return added


def join(before: str, after: str) -> str:
    """Two pieces of a transcript as one."""
    return f"{before} {after}" if before and after else before or after


def whole(text: str, prefix: str) -> str:
    """`text`, or what was told already should it not begin with that: nothing is taken back."""
    return text if text.startswith(prefix) else prefix
