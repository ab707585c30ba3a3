"""A stable beginning out of hypotheses: text that two in a row agree on is never taken back.

Hypotheses on growing sound come in, each beginning with what was agreed already (the
transcriber sees to that); the newly agreed text comes out. "Local agreement" of two is the
simplest policy that is known to hold for Whisper, which likes to change its last words.
"""

import re

WORD = re.compile(r"\s*(?:[\u2e80-\u9fff\uac00-\ud7af]|[^\s\u2e80-\u9fff\uac00-\ud7af]+)")
"""A word with the space before it; scripts without spaces go letter by letter."""


class Agreement:
    """`agreed` only grows."""

    def __init__(self) -> None:
        self.agreed = ""
        self._previous: str | None = None

    def take(self, hypothesis: str) -> str:
        """The text that has just become certain, "" if none has."""
        if not hypothesis.startswith(self.agreed):
            self._previous = None
            return ""
        previous, self._previous = self._previous, hypothesis
        if previous is None:
            return ""
        start = len(self.agreed)
        before = WORD.findall(previous[start:])
        after = WORD.findall(hypothesis[start:])
        same = 0
        while same < min(len(before), len(after)) and before[same] == after[same]:
            same += 1
        added = "".join(after[:same])
        self.agreed += added
        return added
