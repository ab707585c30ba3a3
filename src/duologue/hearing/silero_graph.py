"""The Silero graph on many streams at once: [memory, window] of each in, probabilities out.

    [carry, window] at 24 kHz ─► 16 kHz ─► [context, window] ─► graph ─► probability, new memory

Blocking, without threads, for one caller. A stream's memory is one row: the detector's state,
the 64 samples of context that Silero v6 wants, and the resampler's carry.
"""

from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from duologue.errors import ModelFault
from duologue.hearing.resampling import CARRY_SAMPLES, WINDOW_OUT, Samples, WindowResampler
from duologue.runtime.ports import WINDOW_SAMPLES

CONTEXT_SAMPLES = 64
STATE_SHAPE = (2, 128)
STATE_FLOATS = 256
MEMORY_FLOATS = STATE_FLOATS + CONTEXT_SAMPLES + CARRY_SAMPLES


def fresh_memory() -> Samples:
    """What a stream that has heard nothing remembers."""
    return np.zeros(MEMORY_FLOATS, np.float32)


class SileroGraph:
    """One loaded graph. Raises `ModelFault` when it cannot be loaded."""

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

    def score(
        self, memories: list[Samples], windows: list[bytes]
    ) -> tuple[Samples, NDArray[np.float32]]:
        """One window (768 samples, s16le) of each stream: new memories, probabilities 0..1."""
        size = len(windows)
        memory = np.array(memories)
        sound = np.empty((size, CARRY_SAMPLES + WINDOW_SAMPLES), np.float32)
        sound[:, :CARRY_SAMPLES] = memory[:, -CARRY_SAMPLES:]
        pcm = np.frombuffer(b"".join(windows), np.int16)
        sound[:, CARRY_SAMPLES:] = pcm.reshape(size, WINDOW_SAMPLES)
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
        return memory, scores[:, 0]
