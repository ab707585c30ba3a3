"""Opus from the wire: what the receive buffer gives, as 24 kHz s16le.

    ReceiveBuffer ──Sound | Lost | Pause──► OpusDecoder ──pcm──► session

The codec is libopus, by ctypes: the one that PyAV's wheel brings, else the system's. PyAV itself
has no way to ask for concealment or for the spare copy of a lost frame that the next packet may
hold (in-band FEC), and would decode to 48 kHz for us to halve. About 45 us for 20 ms; the
interpreter is free meanwhile.
"""

import ctypes
from collections.abc import Iterable
from ctypes.util import find_library
from functools import lru_cache
from pathlib import Path

import av

from duologue.audio.pcm import RATE_HZ, SAMPLE_BYTES
from duologue.audio.receive_buffer import Entry, Lost, Pause, Sound

CLOCK_HZ = 48_000
"""The rate of RTP timestamps, whatever the sound's own rate is (RFC 7587, 4.1)."""

PACKET_MAX_SAMPLES = 120 * RATE_HZ // 1000
"""A packet holds 120 ms at most (RFC 6716, 3.2.5)."""

CONCEALED_MAX_S = 0.100
"""Longer than this, concealment is silence in any case: it has faded by then."""

_STEP = RATE_HZ // 400
"""Concealment comes in steps of 2.5 ms."""


class OpusDecoder:
    """One stream of Opus. Raises `OSError` when there is no libopus."""

    def __init__(self) -> None:
        self._lib = _library()
        self._state = ctypes.create_string_buffer(self._lib.opus_decoder_get_size(1))
        self._pcm = ctypes.create_string_buffer(PACKET_MAX_SAMPLES * SAMPLE_BYTES)
        failed = self._lib.opus_decoder_init(self._state, RATE_HZ, 1)
        assert not failed, "libopus makes decoders for 24 kHz"
        self._concealed = 0
        self.broken = 0
        """Payloads that were no Opus and were concealed instead."""

    def decode(self, entries: Iterable[Entry]) -> bytes:
        """24 kHz s16le for `entries`, as long as they are to within 2.5 ms for each `Lost`."""
        return b"".join(self._entry(entry) for entry in entries)

    def _entry(self, entry: Entry) -> bytes:
        match entry:
            case Sound(payload=payload, samples=samples):
                self._concealed = 0
                pcm = self._run(payload, PACKET_MAX_SAMPLES, spare=False) if payload else None
                if pcm is None:
                    self.broken += 1
                    return self._conceal(samples * RATE_HZ // CLOCK_HZ, None)
                return pcm
            case Lost(samples=samples, following=following):
                return self._conceal(samples * RATE_HZ // CLOCK_HZ, following)
            case Pause(samples=samples):
                return bytes(samples * RATE_HZ // CLOCK_HZ * SAMPLE_BYTES)

    def _conceal(self, samples: int, following: bytes | None) -> bytes:
        """What was most likely said in a lost frame; after a while, silence."""
        frame = min(samples // _STEP * _STEP, PACKET_MAX_SAMPLES)
        silent = self._concealed > CONCEALED_MAX_S * RATE_HZ and not following
        pcm = None if silent or not frame else self._run(following, frame, spare=bool(following))
        self._concealed += samples
        return (pcm or b"").ljust(samples * SAMPLE_BYTES, b"\0")

    def _run(self, payload: bytes | None, room: int, *, spare: bool) -> bytes | None:
        """libopus's answer, or None where it has none. Without a payload it conceals `room`."""
        size = len(payload) if payload else 0
        count = self._lib.opus_decode(self._state, payload, size, self._pcm, room, int(spare))
        return self._pcm.raw[: count * SAMPLE_BYTES] if count > 0 else None


def samples_in(payload: bytes) -> int:
    """How long the sound of an Opus packet is in ticks of `CLOCK_HZ`; 0 where it is no packet."""
    count: int = _library().opus_packet_get_nb_samples(payload, len(payload), CLOCK_HZ)
    return count if 0 < count <= CLOCK_HZ * 120 // 1000 else 0


def found(beside: Path, system: str | None) -> str:
    """The libopus to load: the one in a directory of libraries, else the system's."""
    name = next((str(path) for path in sorted(beside.glob("libopus*.so*"))), system)
    if name is None:
        raise OSError("there is no libopus: neither in PyAV's wheel nor on this system")
    return name


@lru_cache
def _library() -> ctypes.CDLL:
    lib = ctypes.CDLL(found(Path(av.__file__).parent.parent / "av.libs", find_library("opus")))
    lib.opus_decode.argtypes = [
        ctypes.c_char_p,
        ctypes.c_char_p,
        ctypes.c_int32,
        ctypes.c_char_p,
        ctypes.c_int,
        ctypes.c_int,
    ]
    lib.opus_packet_get_nb_samples.argtypes = [ctypes.c_char_p, ctypes.c_int32, ctypes.c_int32]
    return lib
