"""uvicorn's WebSocket protocol with a short way past ASGI for what comes fifty times a second.

    frame ─► take, where the session can at once ─► the line       else ─► ASGI, message by message
    line ─► send_now, where the socket is open and free ─► frames  else ─► ASGI

A frame through ASGI and back costs two tasks a turn of the loop and a dozen coroutines. The way
through it remains, and is what says that a client is gone or does not read.
"""

from collections.abc import Callable, Sequence

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.protocol import State

ABORT_AFTER_S = 10.0
"""A closed connection whose client takes nothing more is cut after this."""

WAITING_MESSAGES = 8
"""Messages of a client that may wait before no more are read."""

SMALL_MESSAGE_BYTES = 16 * 1024
"""A longer one lets none wait behind it."""


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """One connection; the transport finds it as `connection` in the state of its scope.

    It gets rid of a client that does not read: closing a transport waits until its buffer is
    sent, which for such a client is never. And it stops reading when messages wait, not after
    each one: to stop and begin again is two or three system calls for every frame.
    """

    take: Callable[[bytes], bool] | None = None

    def listen(self, take: Callable[[bytes], bool] | None) -> None:
        """Offer every small text frame of ASCII to `take` first, if none waits before it.

        One that it takes (True) is not seen by ASGI.
        """
        self.take = take

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
    def is_free(self) -> bool:
        """Whether the connection is open and does not hold us back."""
        return (
            self.writable.is_set()
            and not self.disconnected
            and not self.close_sent
            and self.handshake_complete
            and self.conn.state is State.OPEN
        )

    def send_now(self, texts: Sequence[str]) -> bool:
        """Send messages at once, in one write; False, and nothing is sent, unless `is_free`."""
        if not self.is_free:
            return False
        for text in texts:
            self.conn.send_text(text.encode())
        self.transport.write(b"".join(self.conn.data_to_send()))
        return True

    def hang_up(self) -> None:
        """Cut the connection, in a while, if it does not end by itself."""
        self.loop.call_later(ABORT_AFTER_S, self.transport.abort)
