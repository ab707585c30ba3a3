"""Server-sent events: bytes of a response in, the data of each event out.

Only `data` lines count. Lines end with LF or CRLF and nothing else: the JSON inside may hold
every other sign that text is split at.
"""

DONE = b"[DONE]"
"""The data of the event that ends a stream of chunks."""

MOST_BYTES = 64 * 1024 * 1024
"""Of one event: an upstream that sends more without an end is broken."""


class EventStream:
    """Cuts a stream into events. Raises `ValueError` when one has no end."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._looked = 0
        """So many bytes of the buffer hold no line's end."""
        self._data: list[bytes] = []

    def push(self, piece: bytes) -> list[bytes]:
        """The data of the events that `piece` completes; b"" for an event without data."""
        self._buffer += piece
        events = []
        start = 0
        while (end := self._buffer.find(b"\n", max(start, self._looked))) >= 0:
            line = bytes(memoryview(self._buffer)[start:end]).removesuffix(b"\r")
            start = end + 1
            if not line:
                if self._data:
                    events.append(b"\n".join(self._data))
                    self._data = []
            elif line.startswith(b"data:"):
                self._data.append(line[5:].removeprefix(b" "))
        del self._buffer[:start]
        self._looked = len(self._buffer)
        if self._looked + sum(map(len, self._data)) > MOST_BYTES:
            raise ValueError("an event without an end")
        return events

    @property
    def begun_bytes(self) -> int:
        """Of the data of an event that is not complete; 0 between two events."""
        last = len(self._buffer) if self._buffer.startswith(b"data:") else 0
        return sum(map(len, self._data)) + last

    def flush(self) -> list[bytes]:
        """The data of an event whose closing empty line did not come."""
        return self.push(b"\n\n")
