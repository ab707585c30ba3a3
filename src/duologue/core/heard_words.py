"""The transcript of the user's items where a full-duplex model writes down what it hears.

`Heard` comes in, and which items are committed; their transcription events go out. An item for
which the model has written nothing by its end is written down by the transcriber.

A client may commit in the middle of a turn: the words until then are those of that item. What
the model writes later waits for the end of the turn, when it is known whose words they are: those
of the rest, or of the item that was committed if there was no rest.
"""

from duologue.core.conversation import Entry
from duologue.core.talk import Heard
from duologue.core.transcription import Transcription


class _Words:
    """Words of one item; `final` once there will be no more."""

    def __init__(self) -> None:
        self.text = ""
        self.final = False

    def add(self, text: str, *, final: bool) -> None:
        self.text += text
        self.final |= final


class HeardWords:
    """See the module. Words are told to the client once their item is committed."""

    def __init__(self, transcription: Transcription) -> None:
        self._transcription = transcription
        self._spoken: _Words | None = None
        """Of the turn under way, or its rest; None while the model has written nothing."""
        self._committed: tuple[str, _Words] | None = None
        """Job and words of the last committed item, if they may still grow."""

    def take(self, heard: Heard, *, speaking: bool) -> None:
        """More of the words: of the turn under way, or of the item before, if it lacks its end."""
        if speaking:
            self._spoken = self._spoken or _Words()
            self._spoken.add(heard.delta, final=heard.final)
        elif self._committed is not None:
            self._grow(heard.delta, final=heard.final)

    def begin(self) -> None:
        """A turn begins; the words of the one before end here."""
        self._close()
        self._spoken = None

    def write(self, entry: Entry) -> None:
        """The item is committed; the words of the one before end here."""
        self._close()
        words, self._spoken = self._spoken, None
        if words is None:
            self._transcription.start(entry)
        elif job := self._transcription.expect_words(entry):
            self._committed = job, _Words()
            self._grow(words.text, final=words.final)

    def end(self) -> None:
        """The turn is over, and all of it was committed before."""
        words, self._spoken = self._spoken, None
        if words is not None and self._committed is not None:
            self._grow(words.text, final=words.final)

    def _close(self) -> None:
        if self._committed is not None:
            self._grow("", final=True)

    def _grow(self, text: str, *, final: bool) -> None:
        assert self._committed is not None
        job, words = self._committed
        words.add(text, final=final)
        self._transcription.take_words(job, words.text, final=words.final)
        if words.final:
            self._committed = None
