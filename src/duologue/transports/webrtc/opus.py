"""Opus to the peer: 24 kHz mono s16le into packets of 20 ms, by libopus, which takes it as it is.

The other way is `duologue.audio.opus`. RTP counts Opus at 48 kHz whatever the sound (RFC 7587,
section 4.1).
"""

from fractions import Fraction

import av

from duologue.audio import pcm as audio
from duologue.audio.opus import CLOCK_HZ

FRAME_MS = 20
FRAME_SAMPLES = audio.samples_of_ms(FRAME_MS)
FRAME_BYTES = FRAME_SAMPLES * audio.SAMPLE_BYTES
FRAME_TICKS = CLOCK_HZ * FRAME_MS // 1000
"""RTP clock of one frame."""

SILENCE = bytes((0xF8, 0xFF, 0xFE))
"""A whole frame of digital silence: what a call sends while there is nothing to say."""

BIT_RATE = 32_000
"""Wideband speech is transparent at this rate, and costs a third of the library's default."""


class Encoder:
    """One stream. `encode` takes whole frames and may be called in any thread, one at a time."""

    def __init__(self) -> None:
        self._codec = av.AudioCodecContext.create("libopus", "w")
        self._codec.format = "s16"
        self._codec.layout = "mono"
        self._codec.sample_rate = audio.RATE_HZ
        self._codec.time_base = Fraction(1, audio.RATE_HZ)
        self._codec.bit_rate = BIT_RATE
        # In-band error correction lets the listener mend a lost packet from the next one.
        self._codec.options = {
            "application": "voip",
            "compression_level": "5",
            "fec": "1",
            "packet_loss": "5",
        }
        self._at = 0

    def encode(self, pcm: bytes) -> list[bytes]:
        """The packets of `pcm`, which is a whole number of frames; one packet for each."""
        packets: list[bytes] = []
        for start in range(0, len(pcm), FRAME_BYTES):
            frame = av.AudioFrame(format="s16", layout="mono", samples=FRAME_SAMPLES)
            frame.sample_rate = audio.RATE_HZ
            frame.pts = self._at
            frame.planes[0].update(pcm[start : start + FRAME_BYTES])
            self._at += FRAME_SAMPLES
            packets += [bytes(packet) for packet in self._codec.encode(frame)]
        return packets
