"""Sound from the peer: RTP packets in, 24 kHz PCM out, in order and without holes.

    RTCRtpReceiver ─ add ─► OpusReceiver ─ tick ─► pending ─ take ─► the session
                     └─► packet tape, where the owner wants one

It stands in the place of aiortc's own jitter buffer, which stalls for 320 ms after one lost
packet and never recovers.
"""

import asyncio
import logging
from pathlib import Path

from aiortc.rtp import RtpPacket

from duologue.audio import pcm as audio
from duologue.audio.opus_receiver import OpusReceiver
from duologue.audio.packet_tape import HEAD, Arrival, record
from duologue.runtime.tape_file import TapeFile

logger = logging.getLogger(__name__)

PENDING_BYTES = 5000 * audio.BYTES_PER_MS
"""Sound that may wait for a session that is busy; then the oldest is let fall."""


class Inbound:
    """One peer's sound, for one reader. `tick` is to be called every 20 ms."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._receiver = OpusReceiver()
        self._tape: TapeFile[Arrival] | None = None
        self._pending = bytearray()
        self._ready = asyncio.Event()
        self._ended = False
        self._has_lost = False

    def record(self, path: Path) -> None:
        """Write a packet tape of what comes from now on, until `close`."""
        self._tape = TapeFile(path, lambda: HEAD, record)

    def add(self, packet: RtpPacket) -> tuple[bool, None]:
        """Take a packet; the answer is the one that aiortc's receiver wants: nothing to do."""
        if self._ended:
            return False, None
        now = self._loop.time()
        number, timestamp = packet.sequence_number, packet.timestamp
        source, payload = packet.ssrc, packet.payload
        if self._tape is not None:
            kind, marker = packet.payload_type, packet.marker
            self._tape.put(Arrival(now, number, timestamp, source, payload, kind, marker))
        self._keep(self._receiver.take(number, timestamp, source, payload, now))
        return False, None

    def tick(self) -> None:
        """20 ms have passed: what did not come by now is made up for."""
        self._keep(self._receiver.pull(self._loop.time()))

    async def take(self) -> bytes:
        """All the sound that waits; b"" at the end."""
        while not self._pending and not self._ended:
            self._ready.clear()
            await self._ready.wait()
        pcm = bytes(self._pending)
        self._pending.clear()
        return pcm

    def end(self) -> None:
        """No more will come."""
        self._ended = True
        self._ready.set()

    async def close(self) -> None:
        """End the tape, if there is one."""
        self.end()
        if self._tape is not None:
            await asyncio.to_thread(self._tape.close)

    def _keep(self, pcm: bytes) -> None:
        if not pcm:
            return
        self._pending += pcm
        self._ready.set()
        if len(self._pending) > PENDING_BYTES:
            if not self._has_lost:
                logger.warning("sound of a call came faster than it was taken in; some is lost")
            self._has_lost = True
            del self._pending[: len(self._pending) - PENDING_BYTES]
