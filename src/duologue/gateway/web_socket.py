"""uvicorn's WebSocket protocol with a short way past ASGI for what comes fifty times a second.

    frame ─► take, where the session can at once ─► the line       else ─► ASGI, message by message
    line ─► send_together, where it is open and free ─► frames   else ─► ASGI

A frame through ASGI and back costs two tasks a turn of the loop and a dozen coroutines. The way
through it remains, and is what says that a client is gone or does not read. The commonest frames
of all, short texts, are opened and closed here too (RFC 6455, section 5.2), however many of them
come at once and wherever the network cuts them: the library's parser, made for every frame there
is, takes five times as long. All others are for it. A server that falls behind finds several
frames in each read; they must not cost more than they would have one by one, or it stays behind.
"""

from collections.abc import Callable, Sequence
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import apply_mask  # type: ignore[attr-defined]  # in C, where it was built
from websockets.protocol import State
from websockets.streams import StreamReader

ABORT_AFTER_S = 10.0
"""A closed connection whose client takes nothing more is cut after this."""

WAITING_MESSAGES = 8
"""Messages of a client that may wait before no more are read."""

SMALL_MESSAGE_BYTES = 16 * 1024
"""A longer one lets none wait behind it."""

WHOLE_TEXT = 0x81
"""First byte of a frame: text, final, not compressed."""

MASKED = 0x80
MASK_BYTES = 4
LONG = 126
"""In the second byte: two more give the length. 127: eight more do."""

BETWEEN_FRAMES = StreamReader.at_eof.__code__
"""Where the library's parser waits when it has read all frames and no part of another."""


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """One connection; the transport finds it as `connection` in the state of its scope.

    It gets rid of a client that does not read: closing a transport waits until its buffer is
    sent, which for such a client is never. And it stops reading when messages wait, not after
    each one: to stop and begin again is two or three system calls for every frame.
    """

    take: Callable[[bytes], bool] | None = None

    _part = b""
    """The beginning of a short text frame whose end is still to come; no parser has seen it."""

    _is_at_rest = False
    """Whether what comes next begins a message: the parser has no part of a frame or message."""

    def listen(self, take: Callable[[bytes], bool] | None) -> None:
        """Offer every small text frame of ASCII to `take` first, if none waits before it.

        One that it takes (True) is not seen by ASGI. A frame that nothing stands before is offered
        without the parser, any other (or one refused so) when that has read it.
        """
        self.take = take

    def data_received(self, data: bytes) -> None:
        """Bytes of the client: most often one frame of appended sound."""
        if self._part:
            data, self._part = self._part + data, b""
        start, most = 0, self.conn.max_size
        while start < len(data):
            if not (self._is_at_rest and self.take and self.is_open and self.queue.empty()):
                break
            begin, end = short_text(data, start)
            if not begin or (most is not None and end - begin > most):
                break
            if end > len(data):
                self._part = data[start:]
                return
            text = apply_mask(data[begin:end], data[begin - MASK_BYTES : begin])
            if not text.isascii() or not self.take(text):
                break
            start = end
        else:
            return
        super().data_received(data[start:])
        self._is_at_rest = self._parser_waits_for_a_message()

    def _parser_waits_for_a_message(self) -> bool:
        waiting: Any = self.conn.parser  # generators, one within the other
        while waiting.gi_yieldfrom is not None:
            waiting = waiting.gi_yieldfrom
        return waiting.gi_code is BETWEEN_FRAMES and self.conn.cur_size is None

    def send_receive_event_to_app(self) -> None:
        """A message is whole; a few small ones may wait for the session."""
        size = sum(map(len, self.frames))
        if (
            self.take is not None
            and size <= SMALL_MESSAGE_BYTES
            and not self.close_sent
            and self.curr_msg_data_type == "text"
            and self.queue.empty()
            and len(self.frames) == 1
            and self.frames[0].isascii()
            and self.take(self.frames[0])
        ):
            self.frames = []
            return
        paused, self.read_paused = self.read_paused, True  # uvicorn's own way to leave it alone
        super().send_receive_event_to_app()
        self.read_paused = paused
        if self.close_sent:
            return  # the client's own good-bye is still to be read
        if not paused and (size > SMALL_MESSAGE_BYTES or self.queue.qsize() >= WAITING_MESSAGES):
            self.read_paused = True
            self.transport.pause_reading()

    async def run_asgi(self) -> None:
        """The connection, and its end."""
        self.scope["state"]["connection"] = self
        await super().run_asgi()
        self.hang_up()

    @property
    def is_open(self) -> bool:
        """Whether messages go both ways: neither side has closed."""
        return (
            not self.close_sent
            and not self.disconnected
            and self.handshake_complete
            and self.conn.state is State.OPEN
        )

    @property
    def is_free(self) -> bool:
        """Whether the connection is open and does not hold us back."""
        return self.writable.is_set() and self.is_open

    def send_together(self, texts: Sequence[str]) -> None:
        """Send messages at once, in one write; to be called only while it `is_free`."""
        self.transport.write(b"".join(map(text_frame, texts)))

    def hang_up(self) -> None:
        """Cut the connection, in a while, if it does not end by itself."""
        self.loop.call_later(ABORT_AFTER_S, self.transport.abort)


def short_text(data: bytes, start: int) -> tuple[int, int]:
    """Where the payload of the client's short text frame at `start` of `data` begins and ends.

    The end lies beyond `data` where the frame has not come whole. (0, 0): it is another frame.
    """
    here = len(data) - start
    if data[start] != WHOLE_TEXT or (here > 1 and not data[start + 1] & MASKED):
        return 0, 0
    begin = start + 2 + MASK_BYTES
    if begin > len(data):
        return begin, begin
    size = data[start + 1] & ~MASKED
    if size < LONG:
        return begin, begin + size
    begin += 2
    if size > LONG:
        return 0, 0
    if begin > len(data):
        return begin, begin
    size = int.from_bytes(data[start + 2 : start + 4], "big")
    return (begin, begin + size) if size <= SMALL_MESSAGE_BYTES else (0, 0)


def text_frame(text: str) -> bytes:
    """A server's frame with a whole message."""
    payload = text.encode()
    size = len(payload)
    if size < LONG:
        head = bytes((WHOLE_TEXT, size))
    elif size <= 0xFFFF:
        head = b"\x81\x7e" + size.to_bytes(2, "big")
    else:
        head = b"\x81\x7f" + size.to_bytes(8, "big")
    return head + payload
