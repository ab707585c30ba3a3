"""The format of packet tapes: what was written is read, and other programs can read it too."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.audio.packet_tape import HEAD, Arrival, read_arrivals, record

ONE = Arrival(1.5, 65535, 960, 7, b"\xf8\xff\xfe", 111, 1)


@given(
    st.lists(
        st.builds(
            Arrival,
            st.integers(0, 10**15).map(lambda nanoseconds: nanoseconds / 1e9),
            st.integers(0, 0xFFFF),
            st.integers(0, 0xFFFF_FFFF),
            st.integers(0, 0xFFFF_FFFF),
            st.binary(max_size=200),
            st.integers(0, 127),
            st.integers(0, 1),
        ),
        max_size=4,
    )
)
def test_what_was_recorded_is_read_to_the_nanosecond(arrivals: list[Arrival]) -> None:
    assert list(read_arrivals(HEAD + b"".join(map(record, arrivals)))) == arrivals


def test_a_record_is_an_ip_packet_with_rtp_in_it() -> None:
    """Field by field as libpcap, RFC 791, RFC 768 and RFC 3550 have it."""
    tape = HEAD + record(ONE)
    assert struct.unpack("<IHH", tape[:8]) == (0xA1B23C4D, 2, 4)
    assert struct.unpack("<I", tape[20:24]) == (228,)
    seconds, nanoseconds, kept, length = struct.unpack("<4I", tape[24:40])
    assert (seconds, nanoseconds, kept, length) == (1, 500_000_000, 43, 43)
    packet = tape[40:]
    assert len(packet) == 43
    assert packet[0] == 0x45 and packet[9] == 17
    assert int.from_bytes(packet[2:4]) == 43
    words = sum(struct.unpack("!10H", packet[:20]))
    assert (words & 0xFFFF) + (words >> 16) == 0xFFFF  # the checksum is right
    assert int.from_bytes(packet[24:26]) == 23  # UDP: its head, RTP's, three bytes
    assert packet[28:30] == bytes((0x80, 0x80 | 111))
    assert struct.unpack("!HII", packet[30:40]) == (65535, 960, 7)
    assert packet[40:] == b"\xf8\xff\xfe"


def test_a_tape_that_breaks_off_is_read_up_to_there() -> None:
    whole = HEAD + record(ONE)
    assert list(read_arrivals(whole + record(ONE)[:-1])) == [ONE]
    assert list(read_arrivals(whole + record(ONE)[:7])) == [ONE]
    assert list(read_arrivals(HEAD)) == []


@pytest.mark.parametrize(
    "file",
    [
        b"",
        b"RIFF" + bytes(40),
        struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1) + record(ONE),
    ],
)
def test_another_file_is_refused(file: bytes) -> None:
    with pytest.raises(ValueError, match="no packet tape"):
        list(read_arrivals(file))


def test_a_packet_that_is_not_rtp_is_refused() -> None:
    icmp = bytearray(record(ONE))
    icmp[16 + 9] = 1
    with pytest.raises(ValueError, match="not RTP"):
        list(read_arrivals(HEAD + icmp))
