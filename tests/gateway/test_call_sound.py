"""The packets that a call sends, as a stock aiortc peer gets them."""

import asyncio
from datetime import UTC, datetime, timedelta

from aiortc.rtp import RtpPacket
from aiortc.stats import RTCRemoteOutboundRtpStreamStats

from duologue.transports.webrtc.opus import SILENCE
from duologue.transports.webrtc.peer import JITTER_BUFFER
from live_server import serving
from peer_client import PeerCaller, dial, on_loopback

SCRIPT = 'replies = [{text = "Three words more.", word_delay_ms = 20}]'


class Notes:
    """Every packet that a caller's receiver takes."""

    def __init__(self, caller: PeerCaller) -> None:
        self.packets: list[RtpPacket] = []
        (transceiver,) = caller.connection.getTransceivers()
        setattr(transceiver.receiver, JITTER_BUFFER, self)

    def add(self, packet: RtpPacket) -> tuple[bool, None]:
        """In the place of aiortc's jitter buffer."""
        self.packets.append(packet)
        return False, None


async def test_packets_are_numbered_and_timed_without_a_gap_and_reported() -> None:
    async with serving(on_loopback(script=SCRIPT)) as base_url, dial(base_url) as caller:
        notes = Notes(caller)
        await caller.next("session.created")
        await caller.send("response.create")
        async with asyncio.timeout(20):
            await caller.next("output_audio_buffer.stopped")
        packets = list(notes.packets)
        (receiver,) = caller.connection.getReceivers()
        async with asyncio.timeout(5):  # a report comes within a second and a half
            # aiortc tells nobody of a report; it can only be asked.
            while not (reports := await outbound(receiver)):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    assert sum(packet.payload != SILENCE for packet in packets) >= 3 * 12
    first = packets[0]
    for place, packet in enumerate(packets):
        assert packet.sequence_number == (first.sequence_number + place) & 0xFFFF
        assert packet.ssrc == first.ssrc and packet.payload_type == first.payload_type
        assert packet.extensions.mid == caller.connection.getTransceivers()[0].mid
    # A tick that a held-up server missed is a gap in time, and there alone.
    steps = [
        (after.timestamp - before.timestamp) & 0xFFFF_FFFF
        for before, after in zip(packets, packets[1:], strict=False)
    ]
    assert all(step > 0 and step % 960 == 0 for step in steps) and steps.count(960) > len(steps) / 2
    assert f"a=ssrc:{first.ssrc} " in caller.answer
    assert f"a=rtpmap:{first.payload_type} opus/48000/2" in caller.answer
    assert packets[1].marker == 0
    (report,) = reports
    assert report.ssrc == first.ssrc
    assert 0 < report.packetsSent <= len(notes.packets)
    assert 0 < report.bytesSent <= sum(len(packet.payload) for packet in notes.packets)
    age = datetime.now(UTC) - report.remoteTimestamp
    assert timedelta() <= age < timedelta(seconds=10)


async def outbound(receiver: object) -> list[RTCRemoteOutboundRtpStreamStats]:
    """What the server reported to have sent."""
    stats = await receiver.getStats()  # type: ignore[attr-defined]
    return [one for one in stats.values() if isinstance(one, RTCRemoteOutboundRtpStreamStats)]
