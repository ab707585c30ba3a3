"""Moshi's inner monologue as text: tokens in, pieces of words out.

Each frame has one text token. Most are padding, the
others are sentencepiece's, where `▁` begins a word and `<0xE2>` is one byte of a character.
"""

import codecs
import re
from collections.abc import Mapping

PADDING = range(4)
"""Tokens of a frame without text: 3 is padding, 0 the end of it, a word comes next (Moshi's paper,
section 3.4.4); 1 and 2 are sentencepiece's marks of beginning and end."""

END_OF_PADDING = 0

_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


class Vocabulary:
    """The piece of each token."""

    def __init__(self, pieces: Mapping[int, str]) -> None:
        self._pieces = pieces

    def stream(self) -> "TextStream":
        """What one conversation reads its tokens with."""
        return TextStream(self._pieces)


class TextStream:
    """Puts characters together whose bytes come one by one."""

    def __init__(self, pieces: Mapping[int, str]) -> None:
        self._pieces = pieces
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def text(self, token: int) -> str:
        """The text that `token` completes; "" for padding and for a token without any."""
        if token in PADDING:
            return ""
        piece = self._pieces.get(token, "")
        if match := _BYTE.fullmatch(piece):
            return self._decoder.decode(bytes([int(match[1], 16)]))
        left = self._decoder.decode(b"", final=True)
        self._decoder.reset()
        return left + piece.replace("▁", " ")
