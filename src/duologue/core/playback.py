"""The playback ledger of one assistant message: generated, sent, played and kept sound.

Text and sound of a reply come in as the engine says them, each piece of sound with the
number of characters that are voiced once it has played. From these marks the ledger knows
which words a listener has heard at any millisecond, so that the history after an
interruption holds exactly those (`conversation.item.truncate`, GAP-12, GAP-18).
All positions are samples at 24 kHz and characters from the beginning of the message.
"""

from bisect import bisect_left

from duologue.audio import pcm as audio


class PlaybackLedger:
    """Generated >= sent >= played, and `kept`: where the item was cut, None when it was not."""

    def __init__(self) -> None:
        self.text = ""
        self.generated = 0
        self.sent = 0
        self.played: int | None = None
        self.kept: int | None = None
        self._mark_samples: list[int] = [0]
        self._mark_chars: list[int] = [0]
        self._chunks: list[bytes] = []

    def say(self, text: str, pcm: bytes, voiced: int) -> None:
        """Enter what the engine said: new text, new sound, characters voiced after it."""
        self.text += text
        if not pcm:
            return
        self.generated += audio.samples(pcm)
        self._chunks.append(pcm)
        chars = max(self._mark_chars[-1], min(voiced, len(self.text)))
        self._mark_samples.append(self.generated)
        self._mark_chars.append(chars)

    def send(self, count: int) -> None:
        """Enter that `count` more samples were sent to the client."""
        self.sent = min(self.generated, self.sent + count)

    def cut(self, end: int) -> None:
        """Keep only the first `end` samples; an earlier, shorter cut stands."""
        self.kept = end if self.kept is None else min(self.kept, end)

    @property
    def end(self) -> int:
        """Samples that count: all that were generated, or up to the cut."""
        return self.generated if self.kept is None else min(self.kept, self.generated)

    @property
    def pcm(self) -> bytes:
        """The sound that counts, as one piece."""
        whole = b"".join(self._chunks)
        self._chunks = [whole]
        return whole[: self.end * audio.SAMPLE_BYTES]

    def forget_pcm(self) -> None:
        """Let the sound go and keep its length and alignment."""
        self._chunks = []

    @property
    def heard_text(self) -> str:
        """The words that count: the whole text, or those heard before the cut.

        A word whose voicing was cut counts as heard when at least half of it was played.
        """
        return self.text if self.kept is None else self.text[: self._chars_at(self.kept)]

    def _chars_at(self, position: int) -> int:
        index = bisect_left(self._mark_samples, position)
        if index == len(self._mark_samples):
            return self._mark_chars[-1]
        if index == 0:
            return 0
        before, after = self._mark_samples[index - 1], self._mark_samples[index]
        low, high = self._mark_chars[index - 1], self._mark_chars[index]
        voiced = self.text[low:high]  # the spaces around it take no time
        start, end = high - len(voiced.lstrip()), low + len(voiced.rstrip())
        share = (position - before) / (after - before)
        return self._whole_words(start + share * (end - start))

    def _whole_words(self, chars: float) -> int:
        """The end of the last word of which at least half lies before `chars`."""
        end = 0
        start = 0
        for word in self.text.split():
            start = self.text.index(word, end)
            if start + len(word) / 2 > chars:
                break
            end = start + len(word)
        return end
