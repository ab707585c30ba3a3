"""One WebSocket session at the upstream: orders out in their order, events in.

    talk ─ send ─► orders ─► socket ─► upstream
    talk ◄─ take ◄────────── socket ◄─ upstream

It connects by itself, carries what was ordered meanwhile, and ends once and for all when
either side does: `lost` is then told why, after the last event. Orders are bounded, and an
event waits until it is taken.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedOK
from websockets.frames import CloseCode

from duologue.engines.realtime.ear import UpstreamEar
from duologue.engines.realtime.upstream import Upstream
from duologue.engines.realtime.wire import UpstreamEvent, decode, encode
from duologue.errors import EngineFault

ORDERS = 4096
"""Orders that may wait for an upstream that does not read."""

LARGEST_EVENT_BYTES = 32 * 1024 * 1024
"""An item is told back whole, and may be as long as a message that a duologue takes: 21 MiB."""

LONG_EVENT_BYTES = 256 * 1024
CLOSE_TIMEOUT_S = 1.0

_wire_log = logging.getLogger(f"{__name__}.wire")
_wire_log.setLevel(logging.WARNING)  # at debug it shows headers, and in them the key

Take = Callable[[UpstreamEvent], Awaitable[None]]
Lost = Callable[[EngineFault], None]


class _Connect(connect):
    """Follows no redirect: the key is for the address that the owner named."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class Order:
    """An event to send; `after` is waited for, but not for long, before it goes.

    `size_bytes` is that of sound in it which nobody else holds.
    """

    __slots__ = ("after", "event", "is_long", "size_bytes")

    def __init__(
        self,
        event: dict[str, Any],
        *,
        is_long: bool = False,
        after: asyncio.Event | None = None,
        size_bytes: int = 0,
    ) -> None:
        self.size_bytes = size_bytes
        self.event = event
        self.is_long = is_long
        self.after = after


class Link:
    """See the module. Made inside a running event loop; `aclose` gives it back.

    `ear` makes our sound the upstream's. `began` is told with the first event that is no error,
    `ended` once at the end: of the fault, before `lost` is, or of none, where we ended it.

    An upstream may take `connect_s` to begin, `answer_s` to take its settings, and `settle_s` to
    tell the end of what was cancelled, or a format that it did not show at first.
    """

    def __init__(
        self,
        upstream: Upstream,
        ear: UpstreamEar,
        take: Take,
        lost: Lost,
        *,
        began: Callable[[], None],
        ended: Callable[[EngineFault | None], None],
        connect_s: float,
        answer_s: float,
        settle_s: float,
    ) -> None:
        self.upstream = upstream
        self._ear = ear
        self._take = take
        self._lost = lost
        self._began = began
        self._ended = ended
        self._has_ended = False
        self.has_begun = False
        """Whether the upstream has said anything but errors."""
        self.is_well = False
        """Whether the upstream has begun and ended it in good order, as one too old."""
        self._connect_s = connect_s
        self._answer_s = answer_s
        self._settle_s = settle_s
        self._orders: asyncio.Queue[Order] = asyncio.Queue(ORDERS)
        self.waiting_bytes = 0
        """Of sound that the upstream has not been sent yet."""
        self.said: EngineFault | None = None
        """An error that the upstream told outside of any reply: often why it then closes."""
        life = self._live()
        self._life = asyncio.create_task(life, name="upstream")  # noqa: TID251 - owned here
        self.over = False

    @property
    def waiting(self) -> int:
        """Orders that the upstream has not been sent yet."""
        return self._orders.qsize()

    def send(self, order: Order) -> None:
        """Have it sent after all that was ordered before."""
        if self.over:
            return
        try:
            self._orders.put_nowait(order)
            self.waiting_bytes += order.size_bytes
        except asyncio.QueueFull:
            # Not at once: whoever sends is in the middle of telling a session what there is.
            asyncio.get_running_loop().call_soon(self._overflow)

    def _overflow(self) -> None:
        self._end(EngineFault("The upstream does not read what it is sent."))
        self._life.cancel()

    def leave(self, fault: EngineFault) -> asyncio.Task[None]:
        """Give up a session that hangs; the task lives until it is closed."""
        self.over = True
        self._note_end(fault)
        self._life.cancel()
        return self._life

    async def aclose(self) -> None:
        """Close the session, if it is still open."""
        self.over = True
        self._life.cancel()
        await asyncio.wait([self._life])

    async def _live(self) -> None:
        try:
            async with _Connect(
                self.upstream.url,
                additional_headers=self.upstream.headers,
                compression=None,
                proxy=None,  # none that the settings do not name: it would see the key
                open_timeout=self._connect_s,
                close_timeout=CLOSE_TIMEOUT_S,
                max_size=LARGEST_EVENT_BYTES,
                logger=_wire_log,
            ) as socket:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._write(socket))
                    tasks.create_task(self._read(socket))
        except* Exception as faults:
            self._end(self._why(faults))
        finally:
            self._note_end(None)

    def _note_end(self, fault: EngineFault | None) -> None:
        if not self._has_ended:
            self._has_ended = True
            self._ended(fault)

    def _why(self, faults: BaseExceptionGroup[Exception]) -> EngineFault:
        fault: BaseException = faults
        while isinstance(fault, BaseExceptionGroup):
            fault = fault.exceptions[0]
        if isinstance(fault, ConnectionClosedOK) and fault.rcvd is not None:
            self.is_well = self.has_begun and fault.rcvd.code == CloseCode.NORMAL_CLOSURE
        if self.said is not None and not isinstance(fault, EngineFault):
            return self.said
        return self.upstream.fault(fault)

    def _end(self, fault: EngineFault) -> None:
        if not self.over:
            self.over = True
            self._note_end(fault)
            self._lost(fault)

    async def _write(self, socket: ClientConnection) -> None:
        while True:
            order = await self._orders.get()
            if order.after is not None:
                await _within(self._settle_s, order.after)
            if not self._ear.known.is_set() and self._ear.has_sound(order.event):
                await self._attuned()
            if order.is_long or self._ear.converts(order.event):
                frame = await asyncio.to_thread(self._frame, order.event)
            else:
                frame = self._frame(order.event)
            await socket.send(frame)
            self.waiting_bytes -= order.size_bytes

    def _frame(self, event: dict[str, Any]) -> str:
        return encode(self._ear.sent(event))

    async def _attuned(self) -> None:
        """Wait until the upstream has told what it hears.

        One that never does is sent the format that it has shown, or else ours.

        Its settings may take it long. But one that shows no format at first may never answer.
        """
        await _within(self._connect_s, self._ear.begun)
        await _within(self._answer_s if self._ear.is_shown else self._settle_s, self._ear.known)
        self._ear.known.set()

    async def _read(self, socket: ClientConnection) -> None:
        while True:
            frame = await socket.recv()
            if len(frame) > LONG_EVENT_BYTES:
                event = await asyncio.to_thread(decode, frame)
            else:
                event = decode(frame)
            if event is None:
                continue
            if not self.has_begun and event.type != "error":
                self.has_begun = True
                self._began()
            await self._take(event)


async def _within(patience_s: float, event: asyncio.Event) -> None:
    """Wait for an event, but not for ever."""
    try:
        async with asyncio.timeout(patience_s):
            await event.wait()
    except TimeoutError:
        pass
