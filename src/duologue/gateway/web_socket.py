"""uvicorn's WebSocket protocol with a short way past ASGI for what comes fifty times a second.

    frame ─► take, where the session can at once ─► the line       else ─► ASGI, message by message
    line ─► send_now, where the socket is open and free ─► frames  else ─► ASGI

A frame through ASGI and back costs two tasks a turn of the loop and a dozen coroutines. The way
through it remains, and is what says that a client is gone or does not read. The commonest frame
of all, one short text that comes whole, is opened and closed here too (RFC 6455, section 5.2): the
library's parser, made for every frame there is, takes five times as long. All others are for it.
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

    def listen(self, take: Callable[[bytes], bool] | None) -> None:
        """Offer every small text frame of ASCII to `take` first, if none waits before it.

        One that it takes (True) is not seen by ASGI. A frame that comes whole and alone is offered
        before the parser has read it, any other (or one refused so) when it has.
        """
        self.take = take

    def data_received(self, data: bytes) -> None:
        """Bytes of the client: most often one frame of appended sound."""
        if self.take is not None and self.is_open and self.queue.empty() and self._at_rest:
            text = whole_text(data)
            if text is not None and text.isascii() and self._fits(text) and self.take(text):
                return
        super().data_received(data)

    @property
    def _at_rest(self) -> bool:
        """Whether what comes next begins a message: no frame and no message is half read."""
        waiting: Any = self.conn.parser  # generators, one within the other
        while waiting.gi_yieldfrom is not None:
            waiting = waiting.gi_yieldfrom
        return waiting.gi_code is BETWEEN_FRAMES and self.conn.cur_size is None

    def _fits(self, text: bytes) -> bool:
        return self.conn.max_size is None or len(text) <= self.conn.max_size

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

    def send_now(self, texts: Sequence[str]) -> bool:
        """Send messages at once, in one write; False, and nothing is sent, unless `is_free`."""
        if not self.is_free:
            return False
        self.transport.write(b"".join(text_frame(text.encode()) for text in texts))
        return True

    def hang_up(self) -> None:
        """Cut the connection, in a while, if it does not end by itself."""
        self.loop.call_later(ABORT_AFTER_S, self.transport.abort)


def whole_text(data: bytes) -> bytes | None:
    """The text in `data` if that is one small text frame of a client, whole, and nothing else."""
    if len(data) < 6 or data[0] != WHOLE_TEXT or not data[1] & MASKED:
        return None
    size, start = data[1] & ~MASKED, 6
    if size == LONG:
        size, start = int.from_bytes(data[2:4], "big"), 8
    elif size > LONG:
        return None
    if size > SMALL_MESSAGE_BYTES or len(data) != start + size:
        return None
    return apply_mask(data[start:], data[start - 4 : start])


def text_frame(text: bytes) -> bytes:
    """A server's frame with a whole message."""
    size = len(text)
    if size < LONG:
        head = bytes((WHOLE_TEXT, size))
    elif size <= 0xFFFF:
        head = b"\x81\x7e" + size.to_bytes(2, "big")
    else:
        head = b"\x81\x7f" + size.to_bytes(8, "big")
    return head + text
