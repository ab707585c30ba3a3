"""The receive buffer on emulated networks, in simulated time."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from duologue.audio.receive_buffer import (
    HELD_MAX,
    TARGET_MAX_S,
    TARGET_MIN_S,
    Entry,
    Lost,
    Packet,
    Pause,
    ReceiveBuffer,
    Sound,
)

RATE_HZ = 48_000
FRAME = 960
TICK_S = 0.020
WAY_S = 0.030
"""The network's delay at its best."""


def packet(number: int, *, source: int = 1, sequence: int = 0, timestamp: int = 0) -> Packet:
    return Packet(
        sequence=(sequence + number) & 0xFFFF,
        timestamp=(timestamp + number * FRAME) & 0xFFFF_FFFF,
        samples=FRAME,
        payload=b"%d" % number,
        source=source,
    )


def sounds(entries: Iterable[Entry]) -> list[int]:
    return [int(entry.payload) for entry in entries if isinstance(entry, Sound)]


@dataclass
class Heard:
    """What came out, and how much later than the network at its best would have brought it."""

    entries: list[Entry] = field(default_factory=list)
    delays_s: dict[int, float] = field(default_factory=dict)
    """By packet."""
    buffer: ReceiveBuffer = field(default_factory=lambda: ReceiveBuffer(RATE_HZ))

    @property
    def samples(self) -> int:
        return sum(entry.samples for entry in self.entries)


def conversed(
    sent: int,
    delay_s: Callable[[int], Iterable[float]],
    *,
    pace: float = 1.0,
    sequence: int = 0,
    timestamp: int = 0,
) -> Heard:
    """`sent` packets over a network where `delay_s(number)` says when each arrives, if at all.

    A `pace` above 1 is a sender whose clock is slow. The buffer is pulled every 20 ms only, at
    the worst phase to the packets.
    """
    heard = Heard()
    spoken_at = {number: number * TICK_S * pace for number in range(sent)}
    arrivals = sorted(
        (round(spoken_at[number] + WAY_S + more_s, 6), number)
        for number in range(sent)
        for more_s in delay_s(number)
    )
    ticks = int(arrivals[-1][0] / TICK_S) + 8
    for tick in range(ticks):
        now = tick * TICK_S + WAY_S - 0.0001
        while arrivals and arrivals[0][0] <= now:
            at, number = arrivals.pop(0)
            heard.buffer.push(packet(number, sequence=sequence, timestamp=timestamp), at)
        given = heard.buffer.pull(now)
        heard.entries.extend(given)
        for number in sounds(given):
            heard.delays_s[number] = now - WAY_S - spoken_at[number]
    return heard


def bad_network(seed: int, *, loss: float, jitter_s: float = 0.0, again: float = 0.0):
    """Packets that are lost, held up by up to `jitter_s` (which reorders them), or come twice."""
    random = Random(seed)

    def delay_s(number: int) -> list[float]:
        if number and random.random() < loss:
            return []
        copies = 2 if random.random() < again else 1
        return [random.random() * jitter_s for _ in range(copies)]

    return delay_s


# What goes in order


def test_a_packet_in_order_goes_on_at_once() -> None:
    buffer = ReceiveBuffer(RATE_HZ)
    for number in range(3):
        buffer.push(packet(number), number * TICK_S)
        assert sounds(buffer.pull(number * TICK_S)) == [number]


def test_two_that_changed_places_come_out_in_order() -> None:
    buffer = ReceiveBuffer(RATE_HZ)
    buffer.push(packet(0), 0.0)
    buffer.push(packet(2), 0.040)
    assert sounds(buffer.pull(0.041)) == [0]
    buffer.push(packet(1), 0.042)
    assert buffer.pull(0.043) == [Sound(b"1", FRAME), Sound(b"2", FRAME)]


def test_a_gap_is_lost_when_the_next_packet_has_waited_for_it() -> None:
    buffer = ReceiveBuffer(RATE_HZ)
    buffer.push(packet(0), 0.0)
    buffer.push(packet(2), 0.040)
    assert sounds(buffer.pull(0.040 + TARGET_MIN_S - 0.001)) == [0]
    assert buffer.pull(0.040 + TARGET_MIN_S) == [Lost(FRAME, b"2"), Sound(b"2", FRAME)]
    assert buffer.counts.lost == 1


def test_only_the_last_frame_of_a_gap_may_have_a_spare_copy_behind_it() -> None:
    buffer = ReceiveBuffer(RATE_HZ)
    buffer.push(packet(0), 0.0)
    buffer.push(packet(3), 0.060)
    buffer.pull(0.0)
    assert buffer.pull(0.1) == [Lost(FRAME, None), Lost(FRAME, b"3"), Sound(b"3", FRAME)]


def test_who_comes_after_it_was_told_as_lost_is_dropped() -> None:
    buffer = ReceiveBuffer(RATE_HZ)
    for number, at in ((0, 0.0), (2, 0.040)):
        buffer.push(packet(number), at)
    buffer.pull(0.080)
    buffer.push(packet(1), 0.090)
    assert buffer.pull(0.100) == []
    assert (buffer.counts.late, buffer.counts.duplicate) == (1, 0)


def test_what_comes_twice_is_heard_once() -> None:
    buffer = ReceiveBuffer(RATE_HZ)
    for number in (0, 0, 2, 2, 1, 1):
        buffer.push(packet(number), 0.040)
    assert sounds(buffer.pull(0.040)) == [0, 1, 2]
    buffer.push(packet(1), 0.050)
    assert buffer.pull(0.060) == []
    assert (buffer.counts.duplicate, buffer.counts.late) == (4, 0)


def test_numbers_that_take_no_time_leave_no_hole() -> None:
    """Keys pressed on a telephone are packets between the sound ones (RFC 4733)."""
    buffer = ReceiveBuffer(8000)
    buffer.push(Packet(1, 0, 160, b"a"), 0.0)
    buffer.push(Packet(4, 160, 160, b"b"), 0.020)
    assert buffer.pull(0.1) == [Sound(b"a", 160), Sound(b"b", 160)]


# Numbers that wrap around


def test_numbers_and_timestamps_may_wrap_around() -> None:
    heard = conversed(
        200,
        bad_network(1, loss=0.05, jitter_s=0.030),
        sequence=0xFFFF - 50,
        timestamp=0xFFFF_FFFF - 100 * FRAME + 7,
    )
    plain = conversed(200, bad_network(1, loss=0.05, jitter_s=0.030))
    assert heard.entries == plain.entries
    assert heard.buffer.counts.restarts == 0


# Networks


@pytest.mark.parametrize("loss", [0.0, 0.01, 0.05])
@pytest.mark.parametrize("jitter_s", [0.0, 0.010, 0.040])
def test_the_added_delay_stays_under_80_ms(loss: float, jitter_s: float) -> None:
    heard = conversed(3000, bad_network(7, loss=loss, jitter_s=jitter_s, again=0.02))
    assert max(heard.delays_s.values()) <= TARGET_MAX_S + TICK_S + 0.001
    sent_s = 3000 * TICK_S
    assert heard.samples == pytest.approx(sent_s * RATE_HZ, abs=FRAME)
    numbers = sounds(heard.entries)
    assert numbers == sorted(set(numbers))
    # Hardly more is lost than the network lost.
    assert len(numbers) >= 3000 * (1 - loss) * 0.98


@pytest.mark.parametrize("loss", [0.01, 0.05])
def test_a_lost_packet_does_not_delay_the_ones_after_it(loss: float) -> None:
    heard = conversed(3000, bad_network(3, loss=loss))
    delays_s = sorted(heard.delays_s.values())
    assert delays_s[len(delays_s) // 2] <= TICK_S
    assert max(delays_s) <= TARGET_MIN_S + TICK_S + 0.001
    assert heard.delays_s[max(heard.delays_s)] <= TICK_S
    assert heard.buffer.counts.lost == 3000 - len(sounds(heard.entries))


def test_packets_out_of_order_are_waited_for_the_longer_the_more_they_jitter() -> None:
    calm = conversed(500, bad_network(5, loss=0, jitter_s=0.005))
    wild = conversed(500, bad_network(5, loss=0, jitter_s=0.050))
    hopeless = conversed(500, bad_network(5, loss=0, jitter_s=0.090))
    assert calm.buffer.target_s == TARGET_MIN_S
    assert 0.040 < wild.buffer.target_s < TARGET_MAX_S
    assert hopeless.buffer.target_s == TARGET_MAX_S
    assert wild.buffer.counts.lost <= 5


def test_a_burst_after_500_ms_loses_no_word_and_leaves_no_delay() -> None:
    def held_up(number: int) -> list[float]:
        return [max((125 - number) * TICK_S, 0.0)] if 100 <= number < 125 else [0.0]

    heard = conversed(400, held_up)
    assert sounds(heard.entries) == list(range(400))
    assert heard.delays_s[100] >= 0.450
    assert max(heard.delays_s[number] for number in range(126, 400)) <= TICK_S
    assert heard.buffer.target_s == TARGET_MIN_S


def test_an_outage_of_500_ms_is_told_as_silence_and_leaves_no_delay() -> None:
    heard = conversed(400, lambda number: [] if 100 <= number < 125 else [0.0])
    assert heard.samples == pytest.approx(400 * FRAME, abs=FRAME)
    assert max(heard.delays_s[number] for number in range(127, 400)) <= TICK_S
    # Silence was told while nothing came, so nothing is left to conceal.
    assert sounds(heard.entries) == [n for n in range(400) if not 100 <= n < 125]
    assert heard.buffer.counts.lost == 25


def test_a_way_that_gets_longer_for_good_is_taken_as_it_is_within_two_seconds() -> None:
    random = Random(2)
    heard = conversed(
        400,
        lambda number: [(0.150 if number >= 100 else 0.0) + random.random() * 0.030],
    )
    late = [number for number in range(400) if number not in heard.delays_s]
    assert all(100 <= number < 200 for number in late)
    assert max(heard.delays_s[number] for number in range(200, 400)) <= 0.150 + 0.080


@pytest.mark.parametrize("pace", [0.999, 1.001])
def test_clocks_that_drift_apart_never_lose_or_delay_sound(pace: float) -> None:
    heard = conversed(15_000, bad_network(9, loss=0, jitter_s=0.015), pace=pace)
    assert sounds(heard.entries) == list(range(15_000))
    assert max(heard.delays_s.values()) <= 0.015 + TARGET_MIN_S + TICK_S
    assert heard.buffer.counts.restarts == 0


# Pauses


def test_a_sender_that_falls_silent_is_heard_as_silence() -> None:
    buffer = ReceiveBuffer(RATE_HZ)
    buffer.push(packet(0), 0.0)
    assert buffer.pull(0.0) == [Sound(b"0", FRAME)]
    assert buffer.pull(0.200) == []
    assert buffer.pull(0.2201) == [Pause(9604)]
    assert buffer.pull(0.2401) == [Pause(960)]


def test_a_pause_is_told_once() -> None:
    """Three seconds without a packet, then the next number with a timestamp three seconds on."""
    buffer = ReceiveBuffer(RATE_HZ)
    buffer.push(packet(0), 0.0)
    entries = [entry for tick in range(151) for entry in buffer.pull(tick * TICK_S)]
    later = Packet(1, 151 * FRAME, FRAME, b"151", 1)
    buffer.push(later, 151 * TICK_S)
    entries += buffer.pull(151 * TICK_S)
    assert entries[-1] == Sound(b"151", FRAME)
    assert sum(entry.samples for entry in entries) == 152 * FRAME
    assert not any(isinstance(entry, Lost) for entry in entries)


def test_a_short_pause_is_silence_and_not_loss() -> None:
    buffer = ReceiveBuffer(RATE_HZ)
    buffer.push(packet(0), 0.0)
    buffer.push(Packet(1, 5 * FRAME, FRAME, b"5", 1), 0.1)
    assert buffer.pull(0.1) == [Sound(b"0", FRAME), Pause(4 * FRAME), Sound(b"5", FRAME)]
    assert buffer.counts.lost == 0


def test_nothing_is_heard_before_the_first_packet() -> None:
    assert ReceiveBuffer(RATE_HZ).pull(1000.0) == []


# Streams that begin anew


def test_another_source_is_believed_with_its_second_packet_and_loses_none() -> None:
    buffer = ReceiveBuffer(RATE_HZ)
    buffer.push(packet(0), 0.0)
    buffer.push(packet(2), 0.040)
    other = [packet(n, source=2, sequence=40_000, timestamp=12_345) for n in (7, 8, 9)]
    buffer.push(other[0], 0.050)
    assert sounds(buffer.pull(0.050)) == [0]
    buffer.push(other[1], 0.055)
    buffer.push(other[2], 0.060)
    # What the first source had left comes first.
    assert sounds(buffer.pull(0.060)) == [2, 7, 8, 9]
    assert buffer.counts.restarts == 1


def test_single_packets_of_another_source_change_nothing() -> None:
    buffer = ReceiveBuffer(RATE_HZ)
    entries = []
    for number in range(50):
        buffer.push(packet(number), number * TICK_S)
        buffer.push(packet(number, source=2, sequence=9), number * TICK_S)
        entries += buffer.pull(number * TICK_S)
    assert sounds(entries) == list(range(50))
    assert (buffer.counts.doubted, buffer.counts.restarts) == (50, 0)


@pytest.mark.parametrize(
    ("sequence", "timestamp"), [(20_000, 0), (0, 0x7000_0000), (31_000, 0x9000_0000)]
)
def test_numbers_that_jump_far_begin_anew(sequence: int, timestamp: int) -> None:
    buffer = ReceiveBuffer(RATE_HZ)
    entries = []
    for number in range(100):
        jumped = {"sequence": sequence, "timestamp": timestamp} if number >= 50 else {}
        buffer.push(packet(number, **jumped), number * TICK_S)
        entries += buffer.pull(number * TICK_S)
    assert sounds(entries) == list(range(100))
    assert sum(entry.samples for entry in entries) == 100 * FRAME
    assert buffer.counts.restarts == 1


def test_five_seconds_that_the_network_kept_back_are_heard_whole() -> None:
    def held_up(number: int) -> list[float]:
        return [(350 - number) * TICK_S] if 100 <= number < 350 else [0.0]

    heard = conversed(600, held_up)
    assert sounds(heard.entries) == list(range(600))
    assert max(heard.delays_s[number] for number in range(352, 600)) <= TICK_S


# Bounds


def test_a_flood_is_bounded_and_heard_from_its_beginning() -> None:
    buffer = ReceiveBuffer(RATE_HZ)
    for number in range(2000):
        buffer.push(packet(number % 3000, timestamp=0), 0.0 + number * TICK_S)
    assert buffer.held == HELD_MAX
    assert sounds(buffer.pull(40.0)) == list(range(HELD_MAX))
    assert buffer.counts.overflowed == 2000 - HELD_MAX


def test_timestamps_that_leap_with_every_packet_do_not_make_hours_of_silence() -> None:
    buffer = ReceiveBuffer(RATE_HZ)
    told = 0
    for number in range(500):
        at = number * TICK_S
        buffer.push(Packet(number, number * 2 * RATE_HZ & 0xFFFF_FFFF, FRAME, b"", 1), at)
        told += sum(entry.samples for entry in buffer.pull(at))
    assert told <= 5 * 500 * FRAME


# Any network at all


@st.composite
def networks(draw: st.DrawFn) -> list[tuple[float, int]]:
    """Arrivals: any packets, at any time within a second, lost, doubled and in any order."""
    numbers = draw(st.lists(st.integers(0, 60), min_size=1, max_size=120))
    return sorted(
        (number * TICK_S + draw(st.floats(0, 1, allow_nan=False)), number) for number in numbers
    )


@settings(max_examples=200, deadline=None)
@given(networks(), st.integers(0, 0xFFFF), st.integers(0, 0xFFFF_FFFF))
def test_whatever_arrives_sound_is_in_order_without_holes_or_doubles(
    arrivals: list[tuple[float, int]], sequence: int, timestamp: int
) -> None:
    buffer = ReceiveBuffer(RATE_HZ)
    entries: list[Entry] = []
    now = 0.0
    for at, number in arrivals:
        while now < at:
            entries += buffer.pull(now)
            now += TICK_S
        buffer.push(packet(number, sequence=sequence, timestamp=timestamp), at)
    entries += buffer.pull(now)
    settled = now + TARGET_MAX_S + 1.0  # jitter of a second: the base may still be that far off
    entries += buffer.pull(settled)

    numbers = sounds(entries)
    assert numbers == sorted(set(numbers))
    assert buffer.held == 0
    assert all(entry.samples > 0 for entry in entries)
    first, last = numbers[0], numbers[-1]
    span = (last + 1 - first) * FRAME
    told = sum(entry.samples for entry in entries)
    silence = sum(entry.samples for entry in entries if isinstance(entry, Pause))
    # Every sample of the sender's time is told once; silence may be told on top, while one waits.
    assert span <= told <= span + silence
    arrived = {number for _, number in arrivals}
    counts = buffer.counts
    assert counts.sound == len(numbers) <= len(arrived)
    assert counts.lost >= last + 1 - first - len(numbers) - counts.late
