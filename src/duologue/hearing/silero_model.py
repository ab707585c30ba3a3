"""Silero on many streams at once: [memory, window] of each in, probabilities out.

    [carry, window] at 24 kHz ─► 16 kHz ─► [context, window] ─► network ─► probability, new memory

Blocking, without threads, for one caller. A stream's memory is one row: the network's state,
the 64 samples of context that Silero v6 wants, and the resampler's carry.
"""

from pathlib import Path

import numpy as np

from duologue.hearing.resampling import CARRY_SAMPLES, Samples, WindowResampler
from duologue.hearing.silero_network import INPUT_SAMPLES, STATE_FLOATS, SileroNetwork
from duologue.runtime.ports import WINDOW_SAMPLES

CONTEXT_SAMPLES = 64
MEMORY_FLOATS = STATE_FLOATS + CONTEXT_SAMPLES + CARRY_SAMPLES


def fresh_memory() -> Samples:
    """What a stream that has heard nothing remembers."""
    return np.zeros(MEMORY_FLOATS, np.float32)


class SileroModel:
    """One loaded model. Raises `ModelFault` when it cannot be loaded."""

    def __init__(self, model_path: Path) -> None:
        self._network = SileroNetwork(model_path)
        self._resample = WindowResampler()

    def score(self, memories: list[Samples], windows: list[bytes]) -> tuple[Samples, Samples]:
        """One window (768 samples, s16le) of each stream: new memories, probabilities 0..1."""
        size = len(windows)
        memory = np.array(memories)
        sound = np.empty((size, CARRY_SAMPLES + WINDOW_SAMPLES), np.float32)
        sound[:, :CARRY_SAMPLES] = memory[:, -CARRY_SAMPLES:]
        pcm = np.frombuffer(b"".join(windows), np.int16)
        sound[:, CARRY_SAMPLES:] = pcm.reshape(size, WINDOW_SAMPLES)
        heard = np.empty((size, INPUT_SAMPLES), np.float32)
        heard[:, :CONTEXT_SAMPLES] = memory[:, STATE_FLOATS:-CARRY_SAMPLES]
        heard[:, CONTEXT_SAMPLES:] = self._resample(sound)
        scores, memory[:, :STATE_FLOATS] = self._network(heard, memory[:, :STATE_FLOATS])
        memory[:, STATE_FLOATS:-CARRY_SAMPLES] = heard[:, -CONTEXT_SAMPLES:]
        memory[:, -CARRY_SAMPLES:] = sound[:, -CARRY_SAMPLES:]
        return memory, scores
