"""The pacer: one 20 ms clock for all calls of a server, by absolute deadlines.

    pacer ─ tick ─► Voice ─► RtpOut ─► the peer
                └─► Inbound

Each tick every voice takes one packet from its playout, and it is sent in the same breath. A
voice that cannot send (not connected yet) skips ticks, and so plays nothing.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Never

from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError

from duologue.transports.webrtc.opus import FRAME_MS, FRAME_TICKS
from duologue.transports.webrtc.rtp_out import RtpOut

logger = logging.getLogger(__name__)

LATE_S = 0.2
"""A server held up for longer does not make up for the ticks that it missed."""


class Voice(MediaStreamTrack):
    """The track that a call sends: packets that are encoded already, `take` gives the next."""

    kind = "audio"

    def __init__(self, take: Callable[[], bytes]) -> None:
        super().__init__()
        self._take = take
        self._out: RtpOut | None = None
        self._ticks = 0
        self._over = asyncio.Event()
        self._is_held = False

    def send_by(self, out: RtpOut) -> None:
        """What is to be sent goes this way, once that is ready."""
        self._out = out

    def hold(self, is_held: bool) -> None:
        """Play nothing while there is nobody to hear it."""
        self._is_held = is_held

    def tick(self) -> None:
        """20 ms have passed."""
        self._ticks += FRAME_TICKS
        if self._is_held or self._out is None or not self._out.is_ready:
            return
        if self.readyState != "live":
            return
        self._out.send(self._take(), self._ticks)

    async def recv(self) -> Never:
        """Nothing, for aiortc's sender: `RtpOut` sends in its place."""
        await self._over.wait()
        raise MediaStreamError

    def stop(self) -> None:
        """Play nothing any more."""
        super().stop()
        self._over.set()


class Pacer:
    """Ticks every call that was added, every 20 ms; at rest while there is none."""

    def __init__(self) -> None:
        self._ticks: dict[Callable[[], None], Callable[[], None]] = {}
        """With what is called when one breaks."""
        self._due_s = 0.0
        self._alarm: asyncio.TimerHandle | None = None

    def add(self, tick: Callable[[], None], broke: Callable[[], None]) -> None:
        """Call this every 20 ms too; `broke`, once, if it raises: it is called no more then."""
        self._ticks[tick] = broke
        if self._alarm is None:
            loop = asyncio.get_running_loop()
            self._due_s = loop.time()
            self._alarm = loop.call_at(self._due_s, self._ring)

    def remove(self, tick: Callable[[], None]) -> None:
        """Call it no more."""
        self._ticks.pop(tick, None)
        if not self._ticks and self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _ring(self) -> None:
        # From the timer itself: a task that slept would be woken a turn of the loop later.
        for tick, broke in tuple(self._ticks.items()):
            try:
                tick()
            except Exception:  # one broken call must not silence the others
                logger.exception("a call's sound broke")
                self._ticks.pop(tick, None)
                broke()
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._due_s += FRAME_MS / 1000
        if now - self._due_s > LATE_S:
            self._due_s = now
        self._alarm = loop.call_at(self._due_s, self._ring) if self._ticks else None
