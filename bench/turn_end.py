"""Where turns end on the test recordings, by `server_vad` and by `semantic_vad` of each eagerness.

Plays every recording through voice activity and the turn detection of the core, asking the
turn-end model as a session would; its answer comes when its run is over. Prints one JSON line
per policy: true ends found within `--within-ms` of the end of speech, how long they took, and
recordings that were cut at a pause of their own. `held` plays each recording with a pause of
`--pause-ms` in its middle, at the quietest point between two words: how many went on as one turn.
(A person who hesitates sounds otherwise than a sentence that was cut open; read it as the
harder case.) `python bench/turn_end.py --within-ms 500`
"""

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from duologue.core.turn_detection import TurnDetection
from duologue.core.user_turn import PATIENCE_BY_EAGERNESS, semantic, server
from duologue.events import ServerVad
from duologue.hearing.silero import SileroActivity
from duologue.hearing.turn_end import SmartTurn
from duologue.models import Store, profile, resolve
from recordings import Recording, recordings, windows

WINDOW_MS = 32
TAIL_MS = 9000
"""Silence behind each recording: longer than the longest that is waited for."""


class Sound(NamedTuple):
    """A recording in windows with their scores; `end_ms` of its speech."""

    frames: list[bytes]
    scores: list[float]
    end_ms: float


def policies() -> dict[str, Callable[[], TurnDetection]]:
    """Makers of detectors, by name."""
    own = ServerVad(silence_duration_ms=400)
    found: dict[str, Callable[[], TurnDetection]] = {"server_vad": lambda: server(own, own=True)}
    for eagerness in PATIENCE_BY_EAGERNESS:
        found[f"semantic_vad {eagerness}"] = partial(semantic, eagerness)
    return found


def ends(sound: Sound, turn: TurnDetection, model: SmartTurn, took_ms: list[float]) -> list[int]:
    """The audio times at which turns end."""
    found = []
    first = 0
    answer: tuple[float, float] | None = None
    for n, score in enumerate(sound.scores):
        now = (n + 1) * WINDOW_MS
        decision = turn.hear(score, now - WINDOW_MS, now)
        if decision == "started":
            first = max(first, (turn.onset_ms - turn.prefix_padding_ms) // WINDOW_MS)
        elif decision == "asked":
            begin = time.perf_counter()
            probability = model.probability(b"".join(sound.frames[first : n + 1]))
            took_ms.append((time.perf_counter() - begin) * 1000)
            answer = (now + took_ms[-1], probability)
        elif decision == "resumed":
            answer = None
        if answer and decision != "stopped" and answer[0] <= now + WINDOW_MS:
            now = int(answer[0])
            decision, answer = turn.judge(answer[1]), None
        if decision == "stopped":
            found.append(now)
            first, answer = n + 1, None
    return found


def with_pause(r: Recording, pause_ms: int) -> bytes:
    """The recording with silence at the quietest 20 ms between 40 and 70 per cent of its speech."""
    hop = 480
    frames = np.frombuffer(r.pcm, np.int16)[: len(r.pcm) // 2 // hop * hop].reshape(-1, hop)
    level = np.abs(frames.astype(np.int32)).mean(axis=1)
    low, high = (int(r.end_ms * share / 20) for share in (0.4, 0.7))
    cut = (low + int(level[low:high].argmin())) * hop * 2
    return r.pcm[:cut] + bytes(pause_ms * 48) + r.pcm[cut:]


async def scored(activity: SileroActivity, pcm: bytes, end_ms: float) -> Sound:
    frames = windows(pcm + bytes(TAIL_MS * 48))
    return Sound(frames, await activity.open().score(frames), end_ms)


async def measure(args: argparse.Namespace) -> None:
    store, chosen = Store(), profile("small")
    model = SmartTurn(resolve(chosen.turn_end, store))
    activity = await SileroActivity.load(resolve(chosen.activity, store))
    heard = recordings()
    whole = [await scored(activity, r.pcm, r.end_ms) for r in heard]
    paused = [
        await scored(activity, with_pause(r, args.pause_ms), r.end_ms + args.pause_ms)
        for r in heard
    ]
    for name, made in policies().items():
        took_ms: list[float] = []
        turns = [(sound, ends(sound, made(), model, took_ms)) for sound in whole]
        held = [len(ends(sound, made(), model, took_ms)) == 1 for sound in paused]
        waits = [found[-1] - sound.end_ms for sound, found in turns if found]
        line = {
            "bench": "turn_end",
            "policy": name,
            "recordings": len(heard),
            f"ends_within_{args.within_ms}_ms": sum(wait <= args.within_ms for wait in waits),
            "p50_ms": round(statistics.median(waits)),
            "longest_ms": round(max(waits)),
            "cut": sum(len(found) > 1 for _, found in turns),
            f"held_{args.pause_ms}_ms": sum(held),
        }
        if took_ms:
            line["model_p50_ms"] = round(statistics.median(took_ms))
        print(json.dumps(line))
    await activity.aclose()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--within-ms", type=int, default=500)
    parser.add_argument("--pause-ms", type=int, default=1000)
    asyncio.run(measure(parser.parse_args()))


if __name__ == "__main__":
    main()
