"""One session over one WebSocket: text frames in and out, JSON, one event each.

    frame ─► Dialect.decode ─► Runner.receive     Runner.next_event ─► Dialect.encode ─► frames

Frames are taken in order, one at a time: while the session is busy none is read, and the
network holds the client back. A frame that cannot be read as an event goes down the same
path as a `BadEvent`, so that its refusal has its place in line. Long JSON is decoded and
encoded in a worker thread, since nothing above 100 µs may run on the event loop. What comes
fifty times a second takes the same way without a task where the server's connection lets it
(`Connection`): in by `append_now`, out by `take_now`.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from duologue.core.inputs import BadEvent
from duologue.errors import Refusal
from duologue.events.codec import event_id_of
from duologue.events.dialect import Dialect
from duologue.events.translation import AnyClientEvent, AnyServerEvent
from duologue.events.weight import weight_of
from duologue.runtime.line import Line
from duologue.runtime.runner import Runner

logger = logging.getLogger(__name__)

INLINE_CHARACTERS = 64 * 1024
"""A frame up to this is decoded and encoded on the event loop: about 50 µs."""

NORMAL_CLOSURE = 1000
GOING_AWAY = 1001

CLOSE_REASON_BYTES = 123
"""What a close frame can hold (RFC 6455, section 5.5)."""

BINARY = BadEvent(
    "invalid_event", "Binary frames are not allowed: send every event as a text frame of JSON."
)


class Connection(Protocol):
    """What a server offers beside ASGI: `state.connection` of the WebSocket."""

    @property
    def is_free(self) -> bool:
        """Whether it is open and does not hold us back."""

    def send_together(self, texts: Sequence[str]) -> None:
        """Send messages in one write; only while it `is_free`."""

    def listen(self, take: Callable[[bytes], bool] | None) -> None:
        """Offer small text messages to `take` before ASGI sees them, if none waits there."""

    def hang_up(self) -> None:
        """Cut it, in a while, if it does not end by itself."""


async def carry(
    websocket: WebSocket, runner: Runner, dialect: Dialect, *, send_timeout_s: float
) -> None:
    """Carry a session from its beginning over an accepted WebSocket, and see it to its end.

    `dialect` is this connection's own. Returns when the session has ended and its engine is
    free again; one that may be resumed can outlive the socket. See `attend`.
    """
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(runner.run())
        await attend(websocket, runner, runner.attach(), dialect, send_timeout_s=send_timeout_s)


async def attend(
    websocket: WebSocket, runner: Runner, line: Line, dialect: Dialect, *, send_timeout_s: float
) -> None:
    """Carry a running session over an accepted WebSocket for as long as that holds.

    A client that takes nothing for `send_timeout_s` is given up.
    """
    connection: Connection | None = getattr(websocket.state, "connection", None)
    reader = _Reader(websocket, runner, line, dialect)
    writer = _Writer(websocket, connection, runner, line, dialect)
    if connection is not None:
        connection.listen(reader.take)
        line.listen(writer.flush)
    try:
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(reader.run())
            if await writer.run(send_timeout_s):
                reading.cancel()
    finally:
        if connection is not None:
            connection.listen(None)
    # The server cuts a socket that does not take its end only when this task is over.
    if connection is not None:
        connection.hang_up()


class _Reader:
    """Client frames to the line, in order."""

    def __init__(self, websocket: WebSocket, runner: Runner, line: Line, dialect: Dialect) -> None:
        self._websocket = websocket
        self._runner = runner
        self._line = line
        self._dialect = dialect
        self._is_waiting = False
        """For the next message: whatever came before stands in the session."""

    async def run(self) -> None:
        """Read until the client is gone."""
        try:
            while True:
                self._is_waiting = True
                message = await self._websocket.receive()
                self._is_waiting = False
                if message["type"] == "websocket.disconnect":
                    break
                await self._line.receive(await _decode(message.get("text"), self._dialect))
            self._line.lost(clean=message.get("code") == NORMAL_CLOSURE)
        except Exception:
            self._broken()

    def take(self, data: bytes) -> bool:
        """Take a message of appended sound if that needs no waiting."""
        if not self._is_waiting:
            return False
        try:
            sound = self._dialect.sound_of(data)
            return sound is not None and self._line.append_now(sound)
        except Exception:
            self._broken()
            return True

    def _broken(self) -> None:
        logger.exception("a client event could not be taken in; the session is closed")
        self._runner.end(1011, "server_error.internal_error")


async def _decode(text: str | None, dialect: Dialect) -> AnyClientEvent | BadEvent:
    if text is None:
        return BINARY
    if len(text) <= INLINE_CHARACTERS:
        return _event(text, dialect)
    return await asyncio.to_thread(_event, text, dialect)


def _event(text: str, dialect: Dialect) -> AnyClientEvent | BadEvent:
    try:
        return dialect.decode(text)
    except Refusal as refusal:
        return BadEvent(refusal.code, refusal.message, refusal.param, event_id_of(text))


class _Writer:
    """The line's events to the client, in order."""

    def __init__(
        self,
        websocket: WebSocket,
        connection: Connection | None,
        runner: Runner,
        line: Line,
        dialect: Dialect,
    ) -> None:
        self._websocket = websocket
        self._connection = connection
        self._runner = runner
        self._line = line
        self._dialect = dialect
        self._is_waiting = False
        """For the next event: whatever was taken before has been sent."""

    async def run(self, send_timeout_s: float) -> bool:
        """Send until there is no more; False when the socket is gone, which the reader hears of."""
        websocket, connection, line = self._websocket, self._connection, self._line
        gone = False
        watch = Watch(send_timeout_s)
        try:
            while (event := await self._next()) is not None:
                if weight_of(event) > INLINE_CHARACTERS:
                    texts = await asyncio.to_thread(self._dialect.encode, event)
                else:
                    texts = self._dialect.encode(event)
                if texts and connection is not None and connection.is_free:
                    connection.send_together(texts)
                    continue
                for text in texts:
                    watch.begin()
                    await websocket.send_text(text)
                    watch.end()
            if websocket.client_state is WebSocketState.CONNECTED:
                code, reason = self._runner.close_code, self._runner.close_reason
                if line.stale:
                    code, reason = GOING_AWAY, "The session goes on over another connection."
                watch.begin()
                await websocket.close(code, close_reason(reason))
        except asyncio.CancelledError:
            if not watch.expired():
                raise
            logger.warning("a client took nothing for %g s and is given up", send_timeout_s)
        except WebSocketDisconnect:
            gone = True  # whether with a good-bye is for the reader to say
        finally:
            watch.stop()
            if not gone:
                line.lost(clean=False)
        return not gone

    async def _next(self) -> AnyServerEvent | None:
        self._is_waiting = True
        event = await self._line.next_event()
        self._is_waiting = False
        return event

    def flush(self) -> None:
        """Send what can be sent without waiting, together; the rest is for `run`."""
        connection = self._connection
        if not self._is_waiting or connection is None or not connection.is_free:
            return
        texts: list[str] = []
        left = INLINE_CHARACTERS
        try:
            while left > 0 and (event := self._line.take_now(left)) is not None:
                for text in self._dialect.encode(event):
                    left -= len(text)
                    texts.append(text)
            if texts:
                connection.send_together(texts)
        except Exception:
            logger.exception("an event could not be sent; the session is closed")
            self._runner.end(1011, "server_error.internal_error")


class Watch:
    """Cancels the task that made it when one step takes `limit_s`, or up to twice as long.

    One slow timer for a connection: a timeout for every frame cost a tenth of a server's time.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._began_at: float | None = None
        self._cancelled = False
        self._timer = self._loop.call_later(limit_s, self._look)

    def begin(self) -> None:
        """A step begins."""
        self._began_at = self._loop.time()

    def end(self) -> None:
        """It is done."""
        self._began_at = None

    def stop(self) -> None:
        """Watch no more."""
        self._timer.cancel()

    def expired(self) -> bool:
        """Whether it was the watch that cancelled; the task then goes on."""
        if self._cancelled and self._task is not None:
            self._task.uncancel()
        return self._cancelled

    def _look(self) -> None:
        left_s = self._limit_s
        if self._began_at is not None:
            left_s -= self._loop.time() - self._began_at
        if left_s > 0:
            self._timer = self._loop.call_later(left_s, self._look)
        elif self._task is not None:
            self._cancelled = True
            self._task.cancel()


def close_reason(reason: str) -> str:
    """`reason` cut to what a close frame can hold, between characters."""
    return reason.encode()[:CLOSE_REASON_BYTES].decode("utf-8", "ignore")
