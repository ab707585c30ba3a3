"""Packet tapes: the RTP packets that came in, each with the time it came, as a capture file.

    network ─► Arrival ─ record ─► file        file ─ read_arrivals ─► Arrival ─► a test

The format is pcap with nanoseconds and IPv4 packets (link type 228), so Wireshark and tcpdump
read a tape too. The sound is decrypted by then: addresses and ports are made up, extensions and
padding are left out. Times are those of the clock that the receiver goes by, whatever it counts
from.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

NANOSECONDS = 0xA1B23C4D
IPV4 = 228
HEAD = struct.pack("<IHHiIII", NANOSECONDS, 2, 4, 0, 0, 65535, IPV4)
"""How a tape begins."""

_RECORD = struct.Struct("<IIII")
_IP = struct.Struct("!BBHHHBBHII")
_UDP = struct.Struct("!HHHH")
_RTP = struct.Struct("!BBHII")
_FROM, _TO, _PORT = 0x7F000001, 0x7F000002, 5004
_UDP_NUMBER = 17


@dataclass(frozen=True, slots=True)
class Arrival:
    """One RTP packet as it came. `at_s` is the receiver's clock; the rest is RFC 3550, 5.1."""

    at_s: float
    sequence: int
    """16 bits."""
    timestamp: int
    """32 bits, in units of the stream's clock rate."""
    source: int
    """The SSRC."""
    payload: bytes
    payload_type: int = 111
    marker: int = 0


def record(arrival: Arrival) -> bytes:
    """What is added to a tape for one packet."""
    length = _IP.size + _UDP.size + _RTP.size + len(arrival.payload)
    seconds, nanoseconds = divmod(round(arrival.at_s * 1e9), 1_000_000_000)
    return b"".join(
        (
            _RECORD.pack(seconds, nanoseconds, length, length),
            _ip_head(length),
            _UDP.pack(_PORT, _PORT, length - _IP.size, 0),
            _RTP.pack(
                0x80,
                arrival.marker << 7 | arrival.payload_type,
                arrival.sequence,
                arrival.timestamp,
                arrival.source,
            ),
            arrival.payload,
        )
    )


def read_arrivals(tape: bytes) -> Iterator[Arrival]:
    """The packets of a tape in order; one that was cut off at the end is left out.

    Raises `ValueError` where the file is no such tape.
    """
    if tape[: len(HEAD)] != HEAD:
        raise ValueError("this is no packet tape: pcap with nanoseconds and IPv4 packets")
    head = _IP.size + _UDP.size + _RTP.size
    at = len(HEAD)
    while at + _RECORD.size <= len(tape):
        seconds, nanoseconds, length, _ = _RECORD.unpack_from(tape, at)
        at += _RECORD.size
        packet = tape[at : at + length]
        at += length
        if len(packet) < length:
            return
        if length < head or packet[0] != 0x45 or packet[9] != _UDP_NUMBER:
            raise ValueError("a packet of this tape is not RTP over UDP")
        _, second, sequence, timestamp, source = _RTP.unpack_from(packet, _IP.size + _UDP.size)
        yield Arrival(
            (seconds * 1_000_000_000 + nanoseconds) / 1e9,
            sequence,
            timestamp,
            source,
            packet[head:],
            second & 0x7F,
            second >> 7,
        )


def _ip_head(length: int) -> bytes:
    fields = [0x45, 0, length, 0, 0, 64, _UDP_NUMBER, 0, _FROM, _TO]
    words = struct.unpack("!10H", _IP.pack(*fields))
    total = sum(words)
    fields[7] = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF  # RFC 1071
    return _IP.pack(*fields)
