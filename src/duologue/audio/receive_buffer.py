"""Packets of sound as a network brings them, put back into the order they were spoken in.

    network ──push(packet, now)──► ReceiveBuffer ──pull(now)──► Sound | Lost | Pause ──► decoder

Pure: time comes in as an argument (seconds of any clock that only goes on), payloads are opaque,
and nothing here knows a codec or a transport. Pull once every 20 ms, and after a push if the sound
is wanted at once; what is pulled covers the sender's time without a hole.

Who listens is a program, not a loudspeaker, so sound need not come out evenly, only in order:

- what is next in order goes on at once, in whatever bunches it came; so a burst after an outage
  is never queued up, drift between two clocks cannot pile up, and no word is dropped for it;
- what comes after a gap waits for the missing packet until its own time has come: the quickest
  recent way through the network plus a target of 20 to 60 ms, by the jitter of late. Then the gap
  is `Lost`, and who comes later than that is dropped;
- where nothing comes at all, silence is told after 200 ms (a sender may pause without a word, and
  its turn must be able to end). It is made up for in the next gap, so pauses are not told twice.

A packet of a different source, or far from the others, is believed when a second one follows it
(RFC 3550, appendix A.1, asks as much); then the stream begins anew.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median_low

TARGET_MIN_S = 0.020
TARGET_MAX_S = 0.060
"""The least and the longest time that a packet waits for the ones missing before it."""

PATIENCE_S = 0.200
"""How long nothing may come before it counts as silence."""

HELD_MAX = 512
"""Packets that may wait; ten seconds of 20 ms, far more than a gap ever keeps."""

RECENT = 64
"""Packets whose way through the network is remembered: 1.3 s, so that a bad moment is soon past."""

JITTER_SHARE = 0.97
"""The share of the recent packets that the target waits for."""

OUTLIER_S = 0.100
"""Who is later than this was held up, and no target would have waited for it."""

MAX_DROPOUT, MAX_MISORDER = 3000, 100
"""Sequence numbers ahead and behind that are still the same stream (RFC 3550, A.1)."""

MAX_SHIFT_S = 2.0
"""How far a timestamp and the time of arrival may be apart in the same stream."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One RTP packet with sound in it."""

    sequence: int
    """16 bits, wraps around."""
    timestamp: int
    """32 bits, in units of the stream's clock rate; wraps around."""
    samples: int
    """The length of the sound in the payload, in units of the clock rate."""
    payload: bytes
    source: int = 0
    """The SSRC."""


@dataclass(frozen=True, slots=True)
class Sound:
    """The payload of a packet, to be decoded."""

    payload: bytes
    samples: int


@dataclass(frozen=True, slots=True)
class Lost:
    """A frame that did not come in time, to be concealed."""

    samples: int
    following: bytes | None
    """The payload right behind this frame, which may hold a spare copy of it (Opus FEC)."""


@dataclass(frozen=True, slots=True)
class Pause:
    """The sender sent nothing for this long: silence."""

    samples: int


Entry = Sound | Lost | Pause


@dataclass(slots=True)
class Counts:
    """What happened to packets since the buffer was made."""

    sound: int = 0
    lost: int = 0
    late: int = 0
    """Came after they had been told as lost; part of `lost`."""
    duplicate: int = 0
    overflowed: int = 0
    doubted: int = 0
    """Of another source or far from the others."""
    restarts: int = 0


class ReceiveBuffer:
    """The packets of one receiver, whose stream may begin anew. `rate_hz` is of the timestamps."""

    def __init__(self, rate_hz: int) -> None:
        self.counts = Counts()
        self._rate_hz = rate_hz
        self._stream: _Stream | None = None
        self._suspect: Packet | None = None
        self._ended: list[Entry] = []

    @property
    def target_s(self) -> float:
        """How long a packet waits at present for the ones missing before it."""
        return self._stream.target_s if self._stream else TARGET_MIN_S

    @property
    def held(self) -> int:
        """Packets that wait."""
        return self._stream.held if self._stream else 0

    def push(self, packet: Packet, now: float) -> None:
        """Take a packet that arrived at `now`."""
        if self._stream and not self._stream.continues_with(packet, now):
            self._doubt(packet, now)
            return
        self._suspect = None
        if not self._stream:
            self._stream = _Stream(packet, self._rate_hz, self.counts)
        self._stream.take(packet, now)

    def pull(self, now: float) -> list[Entry]:
        """What is to be heard by `now`, in order; often nothing, and many frames after a burst."""
        entries, self._ended = self._ended, []
        if self._stream:
            entries.extend(self._stream.give(now))
        return entries

    def _doubt(self, packet: Packet, now: float) -> None:
        """Begin anew if `packet` follows the last one that was doubted."""
        before, self._suspect = self._suspect, packet
        self.counts.doubted += 1
        if (
            before is None
            or before.source != packet.source
            or packet.sequence != (before.sequence + 1) & 0xFFFF
        ):
            return
        assert self._stream, "only a stream makes doubt"
        # What the old stream holds will not be completed any more; a flood has no right to it.
        self._ended.extend(self._stream.give(now, everything=True))
        del self._ended[HELD_MAX:]
        self._stream = _Stream(before, self._rate_hz, self.counts)
        self._stream.take(before, now)
        self._suspect = None
        self.counts.restarts += 1
        self.push(packet, now)


class _Stream:
    """The packets of one source whose numbers and timestamps go on."""

    def __init__(self, first: Packet, rate_hz: int, counts: Counts) -> None:
        self._source, self._rate_hz, self._counts = first.source, rate_hz, counts
        # Numbers without wrap-around: each is told from the last one that was taken.
        self._sequence, self._timestamp = first.sequence, first.timestamp
        self._origin = first.timestamp
        self._next = first.sequence
        self._reached = first.timestamp
        self._held: dict[int, tuple[Packet, int]] = {}
        self._missed: deque[int] = deque(maxlen=RECENT)
        self._transits_s: deque[float] = deque(maxlen=RECENT)
        self._silent_from: float = 0.0
        self._paused = 0
        self._owed = 0

    @property
    def held(self) -> int:
        return len(self._held)

    @property
    def target_s(self) -> float:
        quickest_s = min(self._transits_s)
        late_s = sorted(t - quickest_s for t in self._transits_s if t - quickest_s <= OUTLIER_S)
        return min(max(late_s[int(JITTER_SHARE * (len(late_s) - 1))], TARGET_MIN_S), TARGET_MAX_S)

    def continues_with(self, packet: Packet, now: float) -> bool:
        """Whether `packet` belongs to this stream."""
        if packet.source != self._source:
            return False
        if not -MAX_MISORDER < _signed(packet.sequence - self._sequence, 16) < MAX_DROPOUT:
            return False
        transit_s = now - self._media_s(self._unwrapped_timestamp(packet))
        # Against the middle, since one that is moved forward at every packet would make seconds of
        # silence for each.
        return abs(transit_s - median_low(self._transits_s)) < MAX_SHIFT_S

    def take(self, packet: Packet, now: float) -> None:
        """Hold `packet` until its turn; drop it if that is past or it is here already."""
        sequence = self._sequence + _signed(packet.sequence - self._sequence, 16)
        timestamp = self._unwrapped_timestamp(packet)
        past = sequence < self._next
        if sequence in self._held or (past and sequence not in self._missed):
            self._counts.duplicate += 1
            return
        self._transits_s.append(now - self._media_s(timestamp))
        if past:
            self._missed.remove(sequence)
            self._counts.late += 1
        elif len(self._held) >= HELD_MAX:
            self._counts.overflowed += 1
        else:
            self._held[sequence] = packet, timestamp
            self._sequence = max(self._sequence, sequence)
            self._timestamp = max(self._timestamp, timestamp)
            # What follows it would arrive when its own sound is over.
            self._silent_from = now + packet.samples / self._rate_hz
            self._paused = 0

    def give(self, now: float, *, everything: bool = False) -> Iterator[Entry]:
        """What may go on at `now`; with `everything` nothing is waited for."""
        while self._held:
            sequence = self._next if self._next in self._held else min(self._held)
            packet, timestamp = self._held[sequence]
            if sequence != self._next and not everything and now < self._due(timestamp):
                return
            del self._held[sequence]
            yield from self._filling(sequence, packet, timestamp)
            self._counts.sound += 1
            yield Sound(packet.payload, packet.samples)
            self._next = sequence + 1
            self._reached = max(self._reached, timestamp + packet.samples)
        if now - self._silent_from >= PATIENCE_S:
            paused = int((now - self._silent_from) * self._rate_hz)
            yield Pause(paused - self._paused)
            self._owed += paused - self._paused
            self._paused = paused

    def _filling(self, sequence: int, packet: Packet, timestamp: int) -> Iterator[Entry]:
        """What stands between the sound given so far and `packet`."""
        missing = sequence - self._next
        self._missed.extend(range(max(self._next, sequence - RECENT), sequence))
        self._counts.lost += missing
        gap = max(timestamp - self._reached, 0)
        told = min(gap, self._owed)
        self._owed -= told
        gap -= told
        lost = min(gap, missing * packet.samples)
        if gap > lost:
            yield Pause(gap - lost)
        while lost > 0:
            frame = min(lost, packet.samples)
            lost -= frame
            yield Lost(frame, None if lost else packet.payload)

    def _due(self, timestamp: int) -> float:
        """When the packet of `timestamp` stops to wait for the ones before it."""
        return min(self._transits_s) + self._media_s(timestamp) + self.target_s

    def _unwrapped_timestamp(self, packet: Packet) -> int:
        return self._timestamp + _signed(packet.timestamp - self._timestamp, 32)

    def _media_s(self, timestamp: int) -> float:
        return (timestamp - self._origin) / self._rate_hz


def _signed(difference: int, bits: int) -> int:
    """The difference of two counters that wrap around at `bits`, by the shorter way."""
    half = 1 << bits - 1
    return (difference + half) % (1 << bits) - half
