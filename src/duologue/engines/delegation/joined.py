"""Several replies of the front joined to one: their events in, those of one reply out. Pure.

What is said in all of them is one message with one count of characters; client calls have one
numbering; input, cached input and tokens are sums. Tokens of what the client does not see come
with the next event that it does.
"""

from collections import Counter

from msgspec import structs

from duologue.core.talk import Began, Call, Counts, Done, Say


class Joined:
    """One reply that is made of several parts; `next_part` stands between two of them."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        """The text of each message; the last one may still grow."""
        self.tokens = 0
        """All that were generated so far."""
        self._owed = 0
        self._base = 0
        self._is_beginning = False
        self._past = Began(Counter(), Counter())
        self._now = Began()
        self._calls: dict[int, int] = {}
        self._call_count = 0
        self._in_message = False
        self._stages: dict[str, float] = {}

    @property
    def has_told(self) -> bool:
        """Whether the client has got anything to see or hear."""
        return bool(self.messages or self._call_count)

    def next_part(self) -> None:
        """What comes now is of another reply of the front."""
        self._past = _sum(self._past, self._now)
        self._now = Began()
        self._calls = {}
        self.hidden()

    def hidden(self) -> None:
        """A call that the client does not see stands here: the front counts from 0 again."""
        self._base = len(self.messages[-1]) if self._in_message else 0
        self._is_beginning = True

    def began(self, began: Began) -> Began:
        """What was read, of all parts."""
        self._now = began
        return _sum(self._past, began)

    def read(self, began: Began, tokens: int) -> Began:
        """Somebody else has read and written for this reply."""
        self._past = _sum(self._past, began)
        self.owe(tokens)
        return _sum(self._past, self._now)

    def owe(self, tokens: int) -> None:
        """Tokens that were generated for nothing that the client sees."""
        self.tokens += tokens
        self._owed += tokens

    def say(self, say: Say) -> Say:
        """The next piece of the message."""
        text = say.text
        if not self._in_message:
            self._in_message = True
            self._base = 0
            self.messages.append("")
        if text and self._is_beginning:
            self._is_beginning = False
            so_far = self.messages[-1]
            if so_far and not so_far[-1].isspace() and not text[0].isspace():
                text = f" {text}"
                self._base += 1
        self.messages[-1] += text
        voiced = say.voiced + self._base if say.pcm or say.voiced else 0
        return Say(text, say.pcm, voiced, self._count(say.tokens))

    def call(self, call: Call) -> Call:
        """A piece of a call that is for the client: it ends the message."""
        self._in_message = False
        if call.index not in self._calls:
            self._calls[call.index] = self._call_count
            self._call_count += 1
        return structs.replace(call, index=self._calls[call.index], tokens=self._count(call.tokens))

    def pause(self, done: Done) -> None:
        """A part is over, and others come."""
        self.owe(done.tokens)
        self._stages = {**done.stages, **self._stages}

    def end(self, done: Done) -> Done:
        """The end; each stage was reached when the first part reached it."""
        stages = {**done.stages, **self._stages}
        return structs.replace(done, stages=stages, tokens=self._count(done.tokens))

    def _count(self, tokens: int) -> int:
        self.tokens += tokens
        tokens, self._owed = tokens + self._owed, 0
        return tokens


def _sum(one: Began, other: Began) -> Began:
    return Began(_added(one.input, other.input), _added(one.cached, other.cached))


def _added(one: Counts, other: Counts) -> Counts:
    return {name: one.get(name, 0) + other.get(name, 0) for name in {**one, **other}}
