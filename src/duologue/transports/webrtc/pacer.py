"""The pacer: one 20 ms clock for all calls of a server, by absolute deadlines.

    pacer ─ tick ─► Voice ─► aiortc's sender ─► RTP
                └─► Inbound

Each tick every voice takes one packet from its playout. A voice whose sender does not take
them (not connected yet, or held up) skips ticks, and so plays nothing.
"""

import asyncio
import logging
from collections.abc import Callable
from fractions import Fraction

import av
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from av.stream import Stream

from duologue.audio.opus import CLOCK_HZ
from duologue.transports.webrtc.opus import FRAME_MS, FRAME_TICKS

logger = logging.getLogger(__name__)

UNSENT_PACKETS = 2
"""Packets that a voice may have taken and its sender not yet."""

LATE_S = 0.2
"""A server held up for longer does not make up for the ticks that it missed."""

TIME_BASE = Fraction(1, CLOCK_HZ)


class Voice(MediaStreamTrack):
    """The track that a call sends: packets that are encoded already, `take` gives the next."""

    kind = "audio"

    def __init__(self, take: Callable[[], bytes]) -> None:
        super().__init__()
        self._take = take
        self._packets: asyncio.Queue[av.Packet[Stream]] = asyncio.Queue(UNSENT_PACKETS)
        self._tick = 0
        self._is_held = False

    def hold(self, is_held: bool) -> None:
        """Play nothing while there is nobody to hear it."""
        self._is_held = is_held

    def tick(self) -> None:
        """20 ms have passed."""
        self._tick += FRAME_TICKS
        if self._is_held or self._packets.full() or self.readyState != "live":
            return
        packet = av.Packet(self._take())
        packet.pts = self._tick
        packet.time_base = TIME_BASE
        self._packets.put_nowait(packet)

    async def recv(self) -> "av.Packet[Stream]":
        """What aiortc's sender sends next."""
        if self.readyState != "live":
            raise MediaStreamError
        return await self._packets.get()


class Pacer:
    """Ticks every call that was added, for as long as `run` does."""

    def __init__(self) -> None:
        self._ticks: set[Callable[[], None]] = set()
        self._needed = asyncio.Event()

    def add(self, tick: Callable[[], None]) -> None:
        """Call this every 20 ms too."""
        self._ticks.add(tick)
        self._needed.set()

    def remove(self, tick: Callable[[], None]) -> None:
        """Call it no more."""
        self._ticks.discard(tick)

    async def run(self) -> None:
        """Tick for ever; at rest while there is no call."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            if not self._ticks:
                self._needed.clear()
                await self._needed.wait()
                due = loop.time()
            for tick in tuple(self._ticks):
                try:
                    tick()
                except Exception:  # one broken call must not silence the others
                    logger.exception("a call's sound broke")
                    self._ticks.discard(tick)
            due += FRAME_MS / 1000
            now = loop.time()
            if now - due > LATE_S:
                due = now
            await asyncio.sleep(max(0.0, due - now))
