"""Smart Turn: whether a turn is complete, as one listens for it. A turn's sound in, 0..1 out.

Silence alone cannot tell a pause for thought from the end of a turn; the melody and the words
before it can. The model (Whisper tiny's encoder and a classifier, ONNX) hears the last eight
seconds of the turn, the pause included. One worker thread runs it for all sessions; askers
wait in a short line, for an answer that comes late is worth nothing.

    score(pcm) ─► line ─► thread: 24 → 16 kHz ─► log-mel ─► graph ─► probability
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
from faster_whisper.feature_extractor import FeatureExtractor

from duologue.audio import pcm as audio
from duologue.errors import EngineFault, ModelFault
from duologue.hearing.resampling import Samples, resample

RATE_HZ = 16_000
HEARD_S = 8
"""What the model hears: the end of the turn, with zeros before a shorter one."""

HEARD_SAMPLES = HEARD_S * RATE_HZ

WAITING_LIMIT = 16
"""Askers that may wait in line, a second or two of work; one more is refused."""

VARIANCE_FLOOR = 1e-7
"""Keeps silence finite when sound is brought to unit variance (as the model was trained)."""


class SmartTurn:
    """The graph and its features: blocking, no state. Raises `ModelFault` when it cannot load."""

    def __init__(self, model_path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._graph = onnxruntime.InferenceSession(
                str(model_path), options, providers=["CPUExecutionProvider"]
            )
            self._features = FeatureExtractor(chunk_length=HEARD_S)
            self.probability(bytes(audio.BYTES_PER_MS * 100))  # the first is slow
        except Exception as fault:
            raise ModelFault(f"the turn-end model {model_path} cannot be used: {fault}") from fault

    def probability(self, pcm: bytes) -> float:
        """How likely the turn that ends with `pcm` (24 kHz s16le) is complete, 0..1."""
        # A little more than is heard, so that the resampler's edge lies outside of it.
        end = pcm[-(HEARD_S * 1000 + 20) * audio.BYTES_PER_MS :]
        sound = resample(end)[-HEARD_SAMPLES:]
        padded = np.zeros(HEARD_SAMPLES, np.float32)
        padded[HEARD_SAMPLES - len(sound) :] = sound
        features = self._features(_standardised(padded), padding=0)
        answer = self._graph.run(None, {"input_features": features[None].astype(np.float32)})
        return float(np.ravel(answer[0])[0])


def _standardised(sound: Samples) -> Samples:
    """Zero mean and unit variance over the whole window, its zeros included."""
    return np.asarray((sound - sound.mean()) / np.sqrt(sound.var() + VARIANCE_FLOOR), np.float32)


class SmartTurnEnd:
    """Satisfies `TurnEnd`: one thread for all sessions."""

    def __init__(self, model: SmartTurn) -> None:
        self._model = model
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="turn-end")
        self._place = asyncio.Semaphore(1)
        self._waiting = 0

    @classmethod
    async def load(cls, model_path: Path) -> "SmartTurnEnd":
        """Load the weights off the event loop. Raises `ModelFault`."""
        return cls(await asyncio.to_thread(SmartTurn, model_path))

    async def score(self, pcm: bytes) -> float:
        """See `TurnEnd`. Cancelled while it waits, it costs nothing."""
        if self._waiting >= WAITING_LIMIT:
            raise EngineFault("Too many turns wait to be judged.", "overloaded")
        self._waiting += 1
        try:
            await self._place.acquire()
        finally:
            self._waiting -= 1
        loop = asyncio.get_running_loop()
        try:
            running = loop.run_in_executor(self._thread, self._model.probability, pcm)
        except RuntimeError as fault:
            self._place.release()
            raise EngineFault("the turn-end model has been shut down") from fault
        # A run cannot be stopped; the place is free when it is over, not when it is forgotten.
        running.add_done_callback(lambda _: self._place.release())
        return await asyncio.shield(running)

    async def aclose(self) -> None:
        """Let what runs come to its end and free the thread."""
        await asyncio.to_thread(self._thread.shutdown)
