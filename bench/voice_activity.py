"""What a voice-activity window costs, here and in ONNX Runtime, by windows scored at a time.

Both score the same sound in one thread, with the memory settings of the voice-activity process;
processor time, so that other programs matter little. `python bench/voice_activity.py`; a JSON
line for each number of windows.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from duologue.hearing.silero import PROCESS_ENVIRON

if any(name not in os.environ for name in PROCESS_ENVIRON):  # read when a program starts
    os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **PROCESS_ENVIRON})

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from duologue.hearing.resampling import resample
from duologue.hearing.silero_network import INPUT_SAMPLES, STATE_FLOATS, SileroNetwork
from duologue.models import Store, resolve
from recordings import recordings

RUNS = 200
SIZES = (1, 4, 16, 64, 150)

Floats = NDArray[np.float32]


def windows(size: int) -> list[Floats]:
    """`RUNS` times a window of each of `size` streams, from anywhere in the recordings."""
    sound = np.concatenate([resample(r.pcm) for r in recordings()])
    starts = np.random.default_rng(1).integers(0, len(sound) - INPUT_SAMPLES, (RUNS, size))
    return [np.array([sound[start:][:INPUT_SAMPLES] for start in row]) for row in starts]


def window_us(
    score: Callable[[Floats, Floats], Floats], state: Floats, sound: list[Floats]
) -> float:
    began = time.process_time()
    for window in sound:
        state = score(window, state)
    return (time.process_time() - began) * 1e6 / RUNS / len(sound[0])


def main() -> None:
    path = resolve("silero-vad", Store())
    network = SileroNetwork(path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    graph = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    rate = np.array(16_000, np.int64)
    for size in SIZES:
        sound = windows(size)
        ours = window_us(
            lambda window, state: network(window, state)[1],
            np.zeros((size, STATE_FLOATS), np.float32),
            sound,
        )
        theirs = window_us(
            lambda window, state: graph.run(None, {"input": window, "state": state, "sr": rate})[1],
            np.zeros((2, size, STATE_FLOATS // 2), np.float32),
            sound,
        )
        row = {
            "bench": "voice_activity",
            "windows": size,
            "window_us": round(ours, 1),
            "onnxruntime_us": round(theirs, 1),
            "ratio": round(ours / theirs, 2),
        }
        print(json.dumps(row))


if __name__ == "__main__":
    main()
