"""The sound of one peer, from the packets of a call that was recorded on a bad network."""

from pathlib import Path

from duologue.audio.opus import samples_in
from duologue.audio.opus_receiver import OpusReceiver
from duologue.audio.packet_tape import Arrival, read_arrivals
from duologue.audio.pcm import BYTES_PER_MS
from duologue.audio.receive_buffer import TARGET_MAX_S

TAPE = Path(__file__).parent.parent / "data" / "packets" / "go_forward_5_percent.pcap"
FRAME_BYTES = 20 * BYTES_PER_MS


def arrivals() -> list[Arrival]:
    """Packets of 20 ms each; some are missing, some out of order."""
    packets = list(read_arrivals(TAPE.read_bytes()))
    assert {samples_in(packet.payload) for packet in packets} == {960}
    return packets


def take(receiver: OpusReceiver, packet: Arrival, *, payload: bytes | None = None) -> bytes:
    sound = packet.payload if payload is None else payload
    return receiver.take(packet.sequence, packet.timestamp, packet.source, sound, packet.at_s)


def test_a_packet_that_is_next_is_heard_as_it_comes() -> None:
    first, second = arrivals()[:2]
    assert second.sequence == first.sequence + 1
    receiver = OpusReceiver()
    assert [len(take(receiver, packet)) for packet in (first, second)] == [FRAME_BYTES] * 2


def test_a_lost_packet_is_made_up_for_when_the_next_has_waited_long_enough() -> None:
    packets = arrivals()
    three = zip(packets, packets[1:], packets[2:], strict=False)
    first, second, third = next(
        (a, b, c) for a, b, c in three if c.sequence == b.sequence + 1 == a.sequence + 2
    )
    receiver = OpusReceiver()
    take(receiver, first)
    assert take(receiver, third) == b""
    assert len(receiver.pull(third.at_s + TARGET_MAX_S + 0.020)) == 2 * FRAME_BYTES
    assert receiver.counts.lost == 1
    assert take(receiver, second) == b""
    assert receiver.counts.late == 1


def test_what_is_no_opus_leaves_the_sound_as_it_was() -> None:
    packets = arrivals()
    plain, disturbed = OpusReceiver(), OpusReceiver()
    for packet in packets:
        assert take(disturbed, packet, payload=b"") == b""
        assert take(disturbed, packet, payload=b"\xff\x3f") == b""
        assert take(disturbed, packet) == take(plain, packet)
    assert disturbed.counts == plain.counts


def test_the_whole_call_has_the_length_that_was_sent() -> None:
    packets = arrivals()
    receiver = OpusReceiver()
    sound = b"".join(take(receiver, packet) for packet in packets)
    sound += receiver.pull(packets[-1].at_s + TARGET_MAX_S)
    sent = packets[-1].sequence - packets[0].sequence + 1
    assert len(sound) == sent * FRAME_BYTES
    assert receiver.counts.lost + receiver.counts.late == sent - len(packets)
