"""Sound from the peer: RTP packets in, 24 kHz PCM out, in order and without holes.

    RTCRtpReceiver ─ add ─► ReceiveBuffer ─ tick ─► decoder ─► pending ─ take ─► the session

It stands in the place of aiortc's own jitter buffer, which stalls for 320 ms after one lost
packet and never recovers.
"""

import asyncio
import logging

from aiortc.rtp import RtpPacket

from duologue.audio import pcm as audio
from duologue.audio.opus import CLOCK_HZ, OpusDecoder, samples_in
from duologue.audio.receive_buffer import Packet, ReceiveBuffer

logger = logging.getLogger(__name__)

PENDING_BYTES = 5000 * audio.BYTES_PER_MS
"""Sound that may wait for a session that is busy; then the oldest is let fall."""


class Inbound:
    """One peer's sound, for one reader. `tick` is to be called every 20 ms."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._buffer = ReceiveBuffer(CLOCK_HZ)
        self._decoder = OpusDecoder()
        self._pending = bytearray()
        self._ready = asyncio.Event()
        self._ended = False
        self._has_lost = False

    def add(self, packet: RtpPacket) -> tuple[bool, None]:
        """Take a packet; the answer is the one that aiortc's receiver wants: nothing to do."""
        length = samples_in(packet.payload)
        if length and not self._ended:
            now = self._loop.time()
            number, timestamp = packet.sequence_number, packet.timestamp
            self._buffer.push(Packet(number, timestamp, length, packet.payload, packet.ssrc), now)
            self._pull(now)
        return False, None

    def tick(self) -> None:
        """20 ms have passed: what did not come by now is made up for."""
        self._pull(self._loop.time())

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

    def _pull(self, now: float) -> None:
        if pcm := self._decoder.decode(self._buffer.pull(now)):
            self._pending += pcm
            self._ready.set()
        if len(self._pending) > PENDING_BYTES:
            if not self._has_lost:
                logger.warning("sound of a call came faster than it was taken in; some is lost")
            self._has_lost = True
            del self._pending[: len(self._pending) - PENDING_BYTES]
