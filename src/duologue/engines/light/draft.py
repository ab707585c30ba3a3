"""The draft of a reply as the mind writes it: generated text in, words and calls out.

The first character tells which it is, so words can be spoken at once. Where there are no
functions to call, everything is words, JSON too. Calls are JSON objects,
one after another; each comes out whole once it is complete. A call that was cut off in the
middle never comes out. A mind that has begun to say the same sentence again is over.
"""

import json
import re

from duologue.core.talk import Call

_DECODER = json.JSONDecoder()
_SENTENCE = re.compile(r"[^.!?]+[.!?]+")
REPEATED_WORDS = 3
"""A sentence of this many words or more is not said twice in one reply."""


class Draft:
    """`push` generated text, get text to speak and calls; `over` asks to stop generating.

    `calls` says whether there is anything to call.
    """

    def __init__(self, *, calls: bool) -> None:
        self.over = False
        self._may_call = calls
        self._is_call: bool | None = None if calls else False
        self._waiting = ""
        self._calls = 0
        self._said: set[str] = set()
        self._sentence = ""

    def push(self, text: str) -> list[str | Call]:
        """What has become certain with `text`."""
        if self.over:
            return []
        self._waiting += text
        if self._is_call is None:
            self._waiting = self._waiting.lstrip()
            if self._waiting in ("", "["):
                return []
            self._is_call = self._waiting.startswith(("{", "[{", "[ {", "[\n"))
        return self._take_calls() if self._is_call else self._take_text()

    def flush(self) -> list[str | Call]:
        """What is left at the end: a call that is not complete is not."""
        text, self._waiting = self._waiting, ""
        return [text] if text and not self._is_call and not self.over else []

    def _take_text(self) -> list[str | Call]:
        text, brace, rest = self._waiting.partition("\n{")
        if not self._may_call:
            text, brace = self._waiting, ""
        if brace:
            self._is_call = True
            self._waiting = "{" + rest
            return [*([text] if text else []), *self._take_calls()]
        # A newline at the end may be the one before a call.
        held = len(text) - len(text.rstrip("\n"))
        self._waiting = text[len(text) - held :]
        text = self._without_repeats(text[: len(text) - held])
        return [text] if text else []

    def _without_repeats(self, text: str) -> str:
        """`text` up to the end of a sentence that was said before."""
        self._sentence += text
        start = 0
        for match in _SENTENCE.finditer(self._sentence):
            words = match.group().lower().strip(" \n.!?").split()
            if len(words) >= REPEATED_WORDS and " ".join(words) in self._said:
                self.over = True
                return text[: len(text) - len(self._sentence) + match.end()]
            self._said.add(" ".join(words))
            start = match.end()
        self._sentence = self._sentence[start:]
        return text

    def _take_calls(self) -> list[str | Call]:
        calls: list[str | Call] = []
        while True:
            self._waiting = self._waiting.lstrip(" \n\r\t,[]")
            try:
                value, end = _DECODER.raw_decode(self._waiting)
            except ValueError:
                return calls
            self._waiting = self._waiting[end:]
            calls += self._call(value)

    def _call(self, value: object) -> list[Call]:
        if not isinstance(value, dict) or not isinstance(value.get("name"), str):
            return []
        arguments = json.dumps(
            value.get("arguments", {}), separators=(",", ":"), ensure_ascii=False
        )
        index, self._calls = self._calls, self._calls + 1
        return [Call(index, name=value["name"], delta=arguments), Call(index, final=True)]
