"""Text that every encoder takes: code units as another server sent them in, characters out.

JSON may hold half of a surrogate pair (`"\\ud83d"`), and Python's decoder lets it through as a
`str` that is no Unicode text: it cannot be sent on, written down or counted. A server that
streams makes them honestly, by cutting an emoji in two.
"""

HIGH_SURROGATES = ("\ud800", "\udbff")


def well_formed(text: str) -> str:
    """`text` with its surrogate pairs joined, and U+FFFD for each that has no other half."""
    if text.isascii():  # most text, and free to ask
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


class TextStream:
    """Joins pairs that were split between two pieces of one text."""

    def __init__(self) -> None:
        self._half = ""

    def push(self, piece: str) -> str:
        """What is known to be text with `piece`; half a pair at its end waits for the next."""
        if not piece:
            return ""
        text, self._half = self._half + piece, ""
        if HIGH_SURROGATES[0] <= text[-1] <= HIGH_SURROGATES[1]:
            text, self._half = text[:-1], text[-1]
        return well_formed(text)

    def flush(self) -> str:
        """What is left at the end."""
        half, self._half = self._half, ""
        return well_formed(half)
