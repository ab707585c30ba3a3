"""Sound from the peer: RTP packets in, 24 kHz PCM out, in order and without holes.

    RTCRtpReceiver ─ add ─► decode ─► pending ─ take ─► the session

It stands in the place of aiortc's own jitter buffer, which stalls for 320 ms after one lost
packet and never recovers. Packets that come late or twice are let fall, lost ones become
silence, so that the audio clock of the session keeps to that of the microphone.
"""

import asyncio
import logging

from aiortc.rtp import RtpPacket

from duologue.audio import pcm as audio
from duologue.transports.webrtc.opus import CLOCK_HZ, FRAME_BYTES, FRAME_TICKS, Decoder

logger = logging.getLogger(__name__)

PENDING_BYTES = 5000 * audio.BYTES_PER_MS
"""Sound that may wait for a session that is busy; then the oldest is let fall."""

HOLE_TICKS = CLOCK_HZ // 2
"""The longest hole that is filled with silence; beyond it the peer did not send."""


class Inbound:
    """One peer's sound, for one reader."""

    def __init__(self) -> None:
        self._decoder = Decoder()
        self._pending = bytearray()
        self._ready = asyncio.Event()
        self._ended = False
        self._last: int | None = None
        self._ssrc: int | None = None
        self._next_tick = 0
        self._dropped = False

    def add(self, packet: RtpPacket) -> tuple[bool, None]:
        """Take a packet; the answer is the one that aiortc's receiver wants: nothing to do."""
        if self._ssrc != packet.ssrc:
            self._ssrc, self._last = packet.ssrc, None
        number, tick = packet.sequence_number, packet.timestamp
        if self._last is not None:
            ahead = (number - self._last) & 0xFFFF
            if ahead == 0 or ahead >= 0x8000:
                return False, None
            hole = (tick - self._next_tick) & 0xFFFFFFFF
            if ahead > 1 and hole <= HOLE_TICKS:
                self._append(bytes(hole // FRAME_TICKS * FRAME_BYTES))
        pcm = self._decoder.decode(packet.payload)
        self._last = number
        ticks = audio.samples(pcm) * CLOCK_HZ // audio.RATE_HZ if pcm else FRAME_TICKS
        # The resampler holds a little back at first; frames are whole multiples of 2.5 ms.
        self._next_tick = (tick + max(FRAME_TICKS, ticks)) & 0xFFFFFFFF
        self._append(pcm)
        return False, None

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

    def _append(self, pcm: bytes) -> None:
        if not pcm:
            return
        self._pending += pcm
        if len(self._pending) > PENDING_BYTES:
            if not self._dropped:
                logger.warning("sound of a call came faster than it was taken in; some is lost")
            self._dropped = True
            del self._pending[: len(self._pending) - PENDING_BYTES]
        self._ready.set()
