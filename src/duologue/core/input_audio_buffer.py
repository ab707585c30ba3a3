"""The user's sound that is not yet part of the conversation, on the session's audio clock.

Bytes in by `append`, out by `take`. The clock counts every sample ever appended and is
reset by nothing (reference 3.2). While turn detection listens, `keep_last` bounds what is
held to the padding before a possible onset; without it a limit is set by `LIMIT_MS`.
"""

from collections import deque
from itertools import islice

from duologue.audio import pcm as audio
from duologue.errors import Refusal

COMMIT_MINIMUM_MS = 100
"""A commit of less is refused (reference 3.3)."""

LIMIT_MS = 30 * 60 * 1000
"""The most that may wait for a commit (GAP-26)."""

LIMIT_SAMPLES = audio.samples_of_ms(LIMIT_MS)


class InputAudioBuffer:
    """Chunks of 24 kHz PCM in order; `start`/`end` are sample positions on the audio clock."""

    def __init__(self) -> None:
        self._chunks: deque[bytes] = deque()
        self.start = 0
        self.end = 0

    @property
    def start_ms(self) -> int:
        return audio.ms_of_samples(self.start)

    @property
    def end_ms(self) -> int:
        return audio.ms_of_samples(self.end)

    @property
    def held_ms(self) -> int:
        return audio.ms_of_samples(self.end - self.start)

    def fits(self, pcm: bytes) -> bool:
        """Whether `pcm` may be added before the next commit."""
        return self.end - self.start + audio.samples(pcm) <= LIMIT_SAMPLES

    def append(self, pcm: bytes) -> None:
        """Add whole samples at the end."""
        if not self.fits(pcm):
            raise Refusal(
                "input_audio_buffer_full",
                f"The input audio buffer holds {self.held_ms}ms already; "
                f"at most {LIMIT_MS}ms may wait for a commit.",
            )
        self._chunks.append(pcm)
        self.end += audio.samples(pcm)

    def keep_last(self, ms: int) -> None:
        """Drop whole chunks from the front as long as at least `ms` stay."""
        keep = audio.samples_of_ms(ms)
        while self._chunks and self.end - self.start - audio.samples(self._chunks[0]) >= keep:
            self.start += audio.samples(self._chunks.popleft())

    def peek(self) -> bytes:
        """All that is held, as one piece."""
        if len(self._chunks) > 1:
            whole = b"".join(self._chunks)
            self._chunks.clear()
            self._chunks.append(whole)
        return self._chunks[0] if self._chunks else b""

    def tail(self, start: int) -> bytes:
        """What is held from sample `start` on, counted from the first sample held."""
        skip = start
        for place, chunk in enumerate(self._chunks):
            if skip < audio.samples(chunk):
                rest = [chunk[skip * audio.SAMPLE_BYTES :], *islice(self._chunks, place + 1, None)]
                return b"".join(rest)
            skip -= audio.samples(chunk)
        return b""

    def take(self, until: int | None = None) -> bytes:
        """Hand over what is held, up to sample `until` of the clock; the rest stays."""
        whole = self.peek()
        taken = len(whole) if until is None else (until - self.start) * audio.SAMPLE_BYTES
        taken = max(0, min(taken, len(whole)))
        self.clear()
        if taken < len(whole):
            self._chunks.append(whole[taken:])
            self.start = self.end - audio.samples(self._chunks[0])
        return whole[:taken]

    def clear(self) -> None:
        """Drop what is held; the clock goes on."""
        self._chunks.clear()
        self.start = self.end
