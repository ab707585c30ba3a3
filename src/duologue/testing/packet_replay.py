"""Replay of a packet tape: what a call's session heard of the network that was recorded.

    tape ─ read_arrivals ─► OpusReceiver ─► (time, pcm) ─► Timeline.hears ─► a session

The receive buffer is asked at every packet and every 20 ms from the first one on, as in a call,
so a tape gives the same sound each time. (In the call itself those 20 ms began at another
moment: what was waited for may differ by that much.)
"""

from collections.abc import Iterator
from pathlib import Path

from duologue.audio.opus_receiver import OpusReceiver
from duologue.audio.packet_tape import read_arrivals
from duologue.audio.receive_buffer import TARGET_MAX_S

TICK_S = 0.020


def replay_packets(
    path: Path, receiver: OpusReceiver | None = None
) -> Iterator[tuple[float, bytes]]:
    """Sound, 24 kHz s16le, and when it was heard, in seconds since the first packet.

    A `receiver` of one's own tells afterwards what it counted.
    """
    receiver = receiver or OpusReceiver()
    start_s: float | None = None
    at_s = 0.0
    ticks = 1
    for packet in read_arrivals(path.read_bytes()):
        if start_s is None:
            start_s = packet.at_s
        at_s = packet.at_s - start_s
        while ticks * TICK_S <= at_s:
            yield ticks * TICK_S, receiver.pull(start_s + ticks * TICK_S)
            ticks += 1
        yield (
            at_s,
            receiver.take(
                packet.sequence, packet.timestamp, packet.source, packet.payload, packet.at_s
            ),
        )
    if start_s is not None:  # what waits for packets that will not come waits no longer
        yield at_s + TARGET_MAX_S, receiver.pull(start_s + at_s + TARGET_MAX_S)
