"""PCM arithmetic: 24 kHz mono signed 16-bit little-endian, in bytes, samples and milliseconds.

Everything inside duologue is in this one format; other formats are converted at the edge.
`Windows` cuts a stream of odd-sized chunks into windows of fixed length, so that nothing
behind it can tell how a client framed its audio.
"""

import array

RATE_HZ = 24_000
SAMPLE_BYTES = 2
BYTES_PER_MS = RATE_HZ * SAMPLE_BYTES // 1000


def samples(pcm: bytes) -> int:
    """Whole samples in `pcm`."""
    return len(pcm) // SAMPLE_BYTES


def ms_of_samples(count: int) -> int:
    """Milliseconds that `count` samples last, rounded down."""
    return count * 1000 // RATE_HZ


def ceil_ms_of_samples(count: int) -> int:
    """Milliseconds that `count` samples last, rounded up."""
    return -(-count * 1000 // RATE_HZ)


def samples_of_ms(ms: int) -> int:
    """Samples in `ms` milliseconds."""
    return ms * RATE_HZ // 1000


def chunks(pcm: bytes, size_bytes: int) -> list[bytes]:
    """`pcm` in pieces of at most `size_bytes`, which must be even."""
    if len(pcm) <= size_bytes:
        return [pcm] if pcm else []
    return [pcm[start : start + size_bytes] for start in range(0, len(pcm), size_bytes)]


def loudness(pcm: bytes) -> float:
    """Mean absolute value of every eighth sample: enough to tell loud from quiet, in 5 us."""
    some = array.array("h", pcm[: len(pcm) - len(pcm) % SAMPLE_BYTES])[::8]
    return sum(map(abs, some)) / len(some) if some else 0.0


class Windows:
    """Cuts appended bytes into windows of `window_samples`; keeps the rest, odd byte included."""

    def __init__(self, window_samples: int) -> None:
        self._size = window_samples * SAMPLE_BYTES
        self._rest = b""

    def push(self, pcm: bytes) -> list[bytes]:
        """The windows that `pcm` completes, in order."""
        data = self._rest + pcm
        if len(data) < self._size:
            self._rest = data
            return []
        whole = len(data) - len(data) % self._size
        self._rest = data[whole:]
        return [data[start : start + self._size] for start in range(0, whole, self._size)]

    def drop_half_sample(self) -> None:
        """Forget an odd byte, whose other half will not come: the format changes."""
        self._rest = self._rest[: len(self._rest) - len(self._rest) % SAMPLE_BYTES]

    def flush(self) -> bytes:
        """The whole samples short of a window; an odd byte stays for the next push."""
        whole = len(self._rest) - len(self._rest) % SAMPLE_BYTES
        rest, self._rest = self._rest[:whole], self._rest[whole:]
        return rest
