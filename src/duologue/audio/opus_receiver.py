"""Opus packets as a network brings them in, 24 kHz s16le in order and without holes out.

    network ─ take ─► ReceiveBuffer ─► OpusDecoder ─► pcm

Pure, with time as an argument: calls and the replay of their packets hear the same.
"""

from duologue.audio.opus import CLOCK_HZ, OpusDecoder, samples_in
from duologue.audio.receive_buffer import Packet, ReceiveBuffer


class OpusReceiver:
    """The sound of one peer. Raises `OSError` when there is no libopus."""

    def __init__(self) -> None:
        self._buffer = ReceiveBuffer(CLOCK_HZ)
        self._decoder = OpusDecoder()
        self.counts = self._buffer.counts

    def take(self, sequence: int, timestamp: int, source: int, payload: bytes, now: float) -> bytes:
        """The sound that can be heard now that a packet came; what is no Opus is let fall."""
        length = samples_in(payload)
        if not length:
            return b""
        self._buffer.push(Packet(sequence, timestamp, length, payload, source), now)
        return self.pull(now)

    def pull(self, now: float) -> bytes:
        """What is to be heard by `now`, lost frames made up for; call it every 20 ms."""
        return self._decoder.decode(self._buffer.pull(now))
