"""Sound to the peer as RTP: a packet leaves in the very moment in which it is made.

    Voice.tick ─ send ─► head ─► SRTP ─► the connection's socket

aiortc's sender takes packets from a track in a task of its own: at every tick there was one to be
woken for each call, which sent when the event loop came round to it. Here nothing waits. The
sender stays what the connection has negotiated, and goes on to report by RTCP, for which it is
told what was sent.
"""

import struct
from typing import Any

from aiortc import RTCRtpSender, RTCRtpTransceiver
from aiortc.clock import current_ntp_time
from aiortc.rtcrtpsender import random_sequence_number
from aiortc.utils import random32

HEAD = struct.Struct("!BBHII")
EXTENDED, MARKER = 0x90, 0x80
"""RFC 3550, 5.1: version 2 with an extension; the first packet."""

MID = "urn:ietf:params:rtp-hdrext:sdes:mid"
ONE_BYTE = 0xBEDE
"""RFC 8285, 4.2."""

REPORT_PACKETS = 25
"""Half a second: so often the clocks of a report are told."""


class RtpOut:
    """The packets of one voice, by the transport of a transceiver that was negotiated."""

    def __init__(self, transceiver: RTCRtpTransceiver) -> None:
        self._sender: RTCRtpSender = transceiver.sender
        kind, mid = transceiver._codecs[0].payloadType, transceiver.mid
        assert kind is not None and mid is not None, "negotiated before anything can be sent"
        self._payload_type = kind
        self._extension = _extension(transceiver, mid.encode())
        self._sequence = random_sequence_number()
        self._origin = random32()
        self._packets = self._octets = 0

    @property
    def is_ready(self) -> bool:
        """Whether there are keys to send with."""
        return self._sender.transport.state == "connected"

    def send(self, payload: bytes, ticks: int) -> None:
        """Send a packet whose sound begins at `ticks` of the clock; only while `is_ready`."""
        timestamp = (self._origin + ticks) & 0xFFFF_FFFF
        kind = self._payload_type if self._packets else MARKER | self._payload_type
        head = HEAD.pack(EXTENDED, kind, self._sequence, timestamp, self._sender._ssrc)
        _run(self._sender.transport._send_rtp(head + self._extension + payload))
        self._sequence = (self._sequence + 1) & 0xFFFF
        if self._packets % REPORT_PACKETS == 0:
            self._tell("ntp_timestamp", current_ntp_time())
            self._tell("rtp_timestamp", timestamp)
        self._packets += 1
        self._octets += len(payload)
        self._tell("packet_count", self._packets)
        self._tell("octet_count", self._octets)

    def _tell(self, name: str, value: int) -> None:
        # The names are those of the pinned version; a test reads the reports.
        setattr(self._sender, f"_RTCRtpSender__{name}", value)


def _extension(transceiver: RTCRtpTransceiver, mid: bytes) -> bytes:
    """The media line that a packet belongs to, as negotiated; nothing more is in the extension."""
    number = next((one.id for one in transceiver._headerExtensions if one.uri == MID), None)
    body = b""
    if number is not None:
        body = bytes((number << 4 | len(mid) - 1,)) + mid
    body += bytes(-len(body) % 4)
    return struct.pack("!HH", ONE_BYTE, len(body) // 4) + body


def _run(sending: Any) -> None:
    """Run a coroutine that waits for nothing: encryption and a datagram (aioice's are such)."""
    try:
        sending.send(None)
    except StopIteration:
        return
    except ConnectionError:  # closed meanwhile: what is under way is lost, as on any network
        return
    sending.close()
    raise AssertionError("sending a packet waits for something")
