"""Silero voice activity for all sessions: one thread, one batch over whoever has a window.

Windows of 24 kHz sound go in by `score`, probabilities come back. Streams put their windows
in line and wait; the thread takes one window of every stream in line, resamples and scores
them in one run of the graph, and goes on with what has piled up meanwhile; while several
speak, it waits a few milliseconds for more. A stream keeps the detector's state, the 64
samples of context that Silero v6 wants, and the resampler's carry.

A line that has been all but silent for some windows is not speech whatever a model says, so
it costs no model: an open microphone in a quiet room is most of what a server hears.
"""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime

from duologue.errors import EngineFault, ModelFault
from duologue.hearing.resampling import CARRY_SAMPLES, WINDOW_OUT, WindowResampler
from duologue.runtime.ports import WINDOW_SAMPLES

logger = logging.getLogger(__name__)

CONTEXT_SAMPLES = 64
STATE_SHAPE = (2, 128)
STATE_FLOATS = 256
MEMORY_FLOATS = STATE_FLOATS + CONTEXT_SAMPLES + CARRY_SAMPLES
BATCH_LIMIT = 256
"""Streams scored in one run of the graph."""

GATHER_S = 0.004
"""How long a run waits for more streams, when there were several lately: a larger batch costs
little more, and every run takes the interpreter from the event loop a few times."""

SEVERAL = 4

QUIET_PEAK = 100
"""A window with no sample beyond this (-50 dBFS) is quiet."""

QUIET_WINDOWS = 4
"""Quiet windows that the model still hears, so that it sees every word out to its end."""


class _Request:
    """Windows of one stream that wait to be scored, and who waits for them."""

    __slots__ = ("done", "loop", "scores", "stream", "windows")

    def __init__(self, stream: "SileroStream", windows: Sequence[bytes]) -> None:
        self.stream = stream
        self.windows = deque(windows)
        self.scores: list[float] = []
        self.loop = asyncio.get_running_loop()
        self.done: asyncio.Future[list[float]] = self.loop.create_future()

    def wake(self, fault: str | None) -> None:
        """Let the waiter go; in the event loop."""
        if self.done.done():
            return
        if fault is None:
            self.done.set_result(self.scores)
        else:
            self.done.set_exception(EngineFault(fault))


def _finish(requests: Sequence[_Request], fault: str | None = None) -> None:
    """Wake the waiters, with one call into each event loop; called in the scoring thread."""
    for loop in {request.loop for request in requests}:
        try:
            loop.call_soon_threadsafe(_wake, [r for r in requests if r.loop is loop], fault)
        except RuntimeError:
            logger.debug("the event loop is gone")


def _wake(requests: Sequence[_Request], fault: str | None) -> None:
    for request in requests:
        request.wake(fault)


class SileroStream:
    """Satisfies `ActivityStream`."""

    def __init__(self, activity: "SileroActivity") -> None:
        self._activity = activity
        self.memory = np.zeros(MEMORY_FLOATS, np.float32)
        """The detector's state, its context, the resampler's carry."""
        self.closed = False
        self._quiet = 0

    async def score(self, windows: Sequence[bytes]) -> list[float]:
        if self.closed:
            return [0.0] * len(windows)
        silent = [self._is_silent(window) for window in windows]
        loud = [window for window, skip in zip(windows, silent, strict=True) if not skip]
        if not loud:
            return [0.0] * len(windows)
        request = _Request(self, loud)
        self._activity.enqueue(request)
        scores = iter(await request.done)
        return [0.0 if skip else next(scores) for skip in silent]

    def _is_silent(self, window: bytes) -> bool:
        """Whether the line has been quiet for longer than the model needs to hear."""
        samples = np.frombuffer(window, np.int16)
        if samples[::16].max(initial=0) > QUIET_PEAK:  # a look at some tells most loud windows
            self._quiet = 0
            return False
        if samples.max(initial=0) > QUIET_PEAK or samples.min(initial=0) < -QUIET_PEAK:
            self._quiet = 0
            return False
        self._quiet += 1
        return self._quiet > QUIET_WINDOWS

    def close(self) -> None:
        self.closed = True


class SileroActivity:
    """Satisfies `VoiceActivity`. Raises `ModelFault` when the graph cannot be loaded."""

    def __init__(self, model_path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._graph = onnxruntime.InferenceSession(
                str(model_path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as fault:
            raise ModelFault(
                f"the voice-activity model {model_path} cannot be used: {fault}"
            ) from fault
        self._resample = WindowResampler()
        self._rate = np.array(16_000, np.int64)
        self._line: deque[_Request] = deque()
        self._wake = threading.Condition()
        self._closing = False
        self._lately = 0
        """Streams in the last run."""
        self._thread = threading.Thread(target=self._work, name="voice-activity", daemon=True)
        self._thread.start()

    def open(self) -> SileroStream:
        return SileroStream(self)

    async def aclose(self) -> None:
        with self._wake:
            self._closing = True
            self._wake.notify()
        await asyncio.to_thread(self._thread.join)

    def enqueue(self, request: _Request) -> None:
        """Put a request in line. A stream waits for one before the next, so the line is short."""
        with self._wake:
            if self._closing:
                _finish([request], "voice activity has been shut down")
                return
            self._line.append(request)
            if len(self._line) == 1:
                self._wake.notify()

    def _work(self) -> None:
        while batch := self._take():
            try:
                self._score(batch)
            except Exception:
                logger.exception("a voice-activity run failed")
                _finish(batch, "voice activity failed")
                continue
            self._give_back(batch)

    def _take(self) -> list[_Request]:
        with self._wake:
            while not self._line and not self._closing:
                self._wake.wait()
        if self._lately >= SEVERAL:
            time.sleep(GATHER_S)
        with self._wake:
            if self._closing:
                _finish(self._line, "voice activity has been shut down")
                return []
            batch = [self._line.popleft() for _ in range(min(BATCH_LIMIT, len(self._line)))]
            self._lately = len(batch)
            return batch

    def _score(self, batch: list[_Request]) -> None:
        """One window of every request: [carry, window] -> 16 kHz -> [context, window] -> score."""
        # One array operation for the whole batch at every step: this thread holds up the event
        # loop whenever it is in the interpreter.
        size = len(batch)
        memory = np.array([request.stream.memory for request in batch])
        windows = b"".join([request.windows.popleft() for request in batch])
        sound = np.empty((size, CARRY_SAMPLES + WINDOW_SAMPLES), np.float32)
        sound[:, :CARRY_SAMPLES] = memory[:, -CARRY_SAMPLES:]
        sound[:, CARRY_SAMPLES:] = np.frombuffer(windows, np.int16).reshape(size, WINDOW_SAMPLES)
        heard = np.empty((size, CONTEXT_SAMPLES + WINDOW_OUT), np.float32)
        heard[:, :CONTEXT_SAMPLES] = memory[:, STATE_FLOATS:-CARRY_SAMPLES]
        heard[:, CONTEXT_SAMPLES:] = self._resample(sound)
        state = memory[:, :STATE_FLOATS].reshape(size, *STATE_SHAPE).transpose(1, 0, 2)
        scores, new_state = self._graph.run(
            None, {"input": heard, "state": np.ascontiguousarray(state), "sr": self._rate}
        )
        memory[:, :STATE_FLOATS] = new_state.transpose(1, 0, 2).reshape(size, STATE_FLOATS)
        memory[:, STATE_FLOATS:-CARRY_SAMPLES] = heard[:, -CONTEXT_SAMPLES:]
        memory[:, -CARRY_SAMPLES:] = sound[:, -CARRY_SAMPLES:]
        for request, row, score in zip(batch, memory, scores[:, 0].tolist(), strict=True):
            request.stream.memory = row
            request.scores.append(score)

    def _give_back(self, batch: list[_Request]) -> None:
        unfinished = [request for request in batch if request.windows]
        _finish([request for request in batch if not request.windows])
        if unfinished:
            with self._wake:
                self._line.extend(unfinished)
