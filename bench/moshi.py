"""How many conversations the engine `moshi` steps in time: 80 ms of sound every 80 ms, each.

For each number of places from 1 to `--places`, all of them taken: every line brings 20 ms of
sound every 20 ms, the lines apart from each other as callers are, for `--seconds`. Of every frame
is taken how long it was between the last of its sound and the model's answer; late is one that
took more than 80 ms. `step_ms` is what a step of the model took. Prints one JSON line.

    python scripts/install_torch.py
    python bench/moshi.py --places 8

Without `--weights` these are random and tiny (0.4 M parameters): what is measured is the loop,
not a machine's power.
"""

import argparse
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import torch

from duologue.engines.moshi.clock import Clock
from duologue.engines.moshi.engine import quickest_threads
from duologue.engines.moshi.frames import FRAME_BYTES, FRAME_MS, Spoken
from duologue.engines.moshi.model import MoshiFrames
from duologue.engines.moshi.weights import Weights, load_weights, set_threads
from duologue.errors import EngineFault
from duologue.testing.tiny_moshi import build

CHUNKS = 4
"""Pieces of a frame's sound."""
CHUNK_BYTES = FRAME_BYTES // CHUNKS


class Timed(MoshiFrames):
    """Notes what its steps take."""

    def __init__(self, weights: Weights, slots: int) -> None:
        super().__init__(weights, slots)
        self.taken_ms: list[float] = []

    def step(self, heard: Mapping[int, bytes]) -> Mapping[int, Spoken]:
        begun_s = time.perf_counter()
        spoken = super().step(heard)
        self.taken_ms.append(1000 * (time.perf_counter() - begun_s))
        return spoken


class Line:
    """A listener that notes when its frames come back; always has room."""

    has_room = True
    is_replying = False

    def __init__(self) -> None:
        self.asked_s: list[float] = []
        self.answered_s: list[float] = []

    def take(self, heard: bytes, spoken: Spoken, at_ms: int) -> None:
        self.answered_s.append(time.perf_counter())

    def fail(self, fault: EngineFault) -> None:
        raise fault

    @property
    def waits_ms(self) -> list[float]:
        pairs = zip(self.asked_s, self.answered_s, strict=False)
        return [1000 * (answered - asked) for asked, answered in pairs]


def measure(weights: Weights, places: int, seconds: float) -> dict[str, object]:
    """One point of the curve."""
    model = Timed(weights, places)
    for slot in range(places):
        model.reset(slot, slot)
    for _ in range(5):
        model.step({slot: bytes(FRAME_BYTES) for slot in range(places)})
    model.taken_ms.clear()
    clock = Clock(model)
    lines = [Line() for _ in range(places)]
    seats = [clock.lease(line, seed) for seed, line in enumerate(lines)]
    for seat in seats:
        seat.start()
    draw = random.Random(1)
    chunk = draw.randbytes(CHUNK_BYTES)
    begun_s = time.perf_counter() + 0.05
    for at_s, count, index in paced(places, seconds, begun_s, draw):
        time.sleep(max(0.0, at_s - time.perf_counter()))
        if count % CHUNKS == CHUNKS - 1:
            lines[index].asked_s.append(time.perf_counter())
        seats[index].hear(chunk)
    end_s = time.monotonic() + 5
    while time.monotonic() < end_s and any(
        len(line.answered_s) < len(line.asked_s) for line in lines
    ):
        time.sleep(0.02)
    for seat in seats:
        seat.leave()
    clock.stop()
    waits = [wait for line in lines for wait in line.waits_ms]
    asked = sum(len(line.asked_s) for line in lines)
    return {
        "places": places,
        "step_ms_p50": round(statistics.median(model.taken_ms), 1),
        "step_ms_p99": round(percentile(model.taken_ms, 99), 1),
        "answer_ms_p50": round(statistics.median(waits), 1),
        "answer_ms_p99": round(percentile(waits, 99), 1),
        "frames": asked,
        "late": sum(wait > FRAME_MS for wait in waits),
        "lost": asked - len(waits),
        "steps": len(model.taken_ms),
    }


def paced(
    places: int, seconds: float, begun_s: float, draw: random.Random
) -> list[tuple[float, int, int]]:
    """When which line brings which of its pieces: each in its own time."""
    chunks = int(seconds * 1000 / FRAME_MS) * CHUNKS
    starts_s = [begun_s + draw.uniform(0, FRAME_MS / 1000) for _ in range(places)]
    step_s = FRAME_MS / CHUNKS / 1000
    return sorted(
        (start_s + count * step_s, count, index)
        for index, start_s in enumerate(starts_s)
        for count in range(chunks)
    )


def percentile(values: list[float], share: int) -> float:
    return statistics.quantiles(values, n=100)[share - 1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--places", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--threads", type=int, help="unset: as many as are quickest")
    parser.add_argument("--weights", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        path = options.weights or build(Path(directory))
        weights = load_weights(path, "auto", options.threads)
    cores = os.cpu_count() or 1
    if options.threads is None and weights.device.type == "cpu":
        quickest_threads(lambda slots: MoshiFrames(weights, slots), set_threads, cores)
    curve = [measure(weights, n, options.seconds) for n in range(1, options.places + 1)]
    about = {
        "weights": str(options.weights or "tiny, random"),
        "device": str(weights.device),
        "threads": torch.get_num_threads(),
        "cores": cores,
        "load_1m": round(os.getloadavg()[0], 1),
    }
    print(json.dumps({"bench": "moshi", **about, "curve": curve}))


if __name__ == "__main__":
    main()
