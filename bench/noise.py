"""What noise reduction does: words understood, turns found, and what it costs.

The test recordings, dry and in a room (a made one, 0.4 s of reverberation), are mixed with
white, pink and babble noise, the babble being the other recordings, at `--snr-db` below
the voice. Each mixture is heard as it is and cleaned to each of `--limits-db`; 100 is no
limit. Counted: the word error rate of each of `--ears`; the share of utterances that voice
activity with the server's own policy makes one turn of, which ends after the voice and within
1.5 s; and the turns that begin where nobody speaks. Prints one JSON line.

    python bench/noise.py --limits-db 6,12,100
"""

import argparse
import asyncio
import json
import re
import time
import wave
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from duologue.core.turn_detection import TurnDetection
from duologue.core.user_turn import SHORT_SPEECH_PATIENCE_MS
from duologue.hearing.noise import LAG_SAMPLES, LIMIT_DB, DeepFilterReduction
from duologue.hearing.silero import SileroActivity
from duologue.hearing.whisper import Whisper
from duologue.models import Store, resolve
from duologue.runtime.ports import WINDOW_SAMPLES

AUDIO = Path(__file__).parent.parent / "tests" / "data" / "audio"
RATE_HZ = 24_000
LEAD_S, TRAIL_S = 1.0, 2.0
"""Noise alone before and after the voice."""

KINDS = ("white", "pink", "babble")
NUMBERS = {"10": "ten", "15": "fifteen", "4729": "four seven two nine", "729": "seven two nine"}
Sound = NDArray[np.float64]


@dataclass
class Clip:
    text: str
    voice: Sound
    end_s: float


@dataclass
class Tally:
    """Of one way to clean."""

    errors: dict[str, int] = field(default_factory=dict)
    words: dict[str, int] = field(default_factory=dict)
    by_kind: dict[str, list[int]] = field(default_factory=dict)
    utterances: int = 0
    turns_found: int = 0
    false_starts: int = 0
    seconds: float = 0.0
    cpu_s: float = 0.0


def clips() -> list[Clip]:
    found = []
    for row in json.loads((AUDIO / "manifest.json").read_text()):
        with wave.open(str(AUDIO / row["file"])) as sound:
            voice = np.frombuffer(sound.readframes(sound.getnframes()), np.int16).astype(float)
        loud = np.nonzero(np.abs(voice) > np.abs(voice).max() / 100)[0]
        found.append(Clip(row["text"], voice, loud[-1] / RATE_HZ))
    return found


def rms(sound: Sound) -> float:
    return float(np.sqrt(np.mean(sound**2)))


def in_a_room(voice: Sound, random: np.random.Generator) -> Sound:
    """The voice some metres away: a direct path and as much that the walls send back."""
    count = int(0.4 * RATE_HZ)
    echoes = random.standard_normal(count) * 10 ** (-3 * np.arange(count) / count)
    echoes[: int(0.005 * RATE_HZ)] = 0
    echoes /= np.sqrt(np.sum(echoes**2))
    echoes[0] = 1
    size = len(voice) + count
    wet = np.fft.irfft(np.fft.rfft(voice, size) * np.fft.rfft(echoes, size), size)[: len(voice)]
    return np.asarray(wet * rms(voice) / rms(wet))


def noise(kind: str, count: int, others: list[Clip], random: np.random.Generator) -> Sound:
    if kind == "white":
        return random.standard_normal(count)
    if kind == "pink":
        spectrum = np.fft.rfft(random.standard_normal(count))
        return np.fft.irfft(spectrum / np.sqrt(np.maximum(np.arange(len(spectrum)), 1)), count)
    babble = np.zeros(count)
    for other in others:
        start = random.integers(len(other.voice))
        babble += np.resize(np.roll(other.voice, -start), count) / rms(other.voice)
    return babble


def mixture(clip: Clip, room: bool, kind: str, snr_db: float, all_clips: list[Clip]) -> bytes:
    random = np.random.default_rng(len(clip.text) + int(snr_db) + KINDS.index(kind))
    voice = in_a_room(clip.voice, random) if room else clip.voice
    padded = np.pad(voice, (int(LEAD_S * RATE_HZ), int(TRAIL_S * RATE_HZ)))
    others = [other for other in all_clips if other is not clip]
    disturbance = noise(kind, len(padded), others, random)
    disturbance *= rms(voice) / rms(disturbance) * 10 ** (-snr_db / 20)
    return np.clip(padded + disturbance, -32_768, 32_767).astype(np.int16).tobytes()


def words(text: str) -> list[str]:
    plain = re.sub(r"[^a-z0-9 ]", "", text.lower().replace("-", " ").replace("mr.", "mister"))
    return [w for word in plain.split() for w in NUMBERS.get(word, word).split()]


def distance(wanted: list[str], heard: list[str]) -> int:
    row = list(range(len(heard) + 1))
    for i, one in enumerate(wanted, 1):
        before, row[0] = row[0], i
        for j, other in enumerate(heard, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (one != other))
    return row[-1]


async def turns(activity: SileroActivity, pcm: bytes) -> tuple[list[float], list[float]]:
    """When turns start and stop, in seconds."""
    size = WINDOW_SAMPLES * 2
    windows = [pcm[n : n + size] for n in range(0, len(pcm) - size + 1, size)]
    policy = TurnDetection(
        threshold=0.5,
        prefix_padding_ms=300,
        silence_duration_ms=400,
        short_speech_patience_ms=SHORT_SPEECH_PATIENCE_MS,
    )
    starts, stops = [], []
    for n, score in enumerate(await activity.open().score(windows)):
        decision = policy.hear(score, n * 32, n * 32 + 32)
        if decision == "started":
            starts.append(policy.onset_ms / 1000)
        elif decision == "stopped":
            stops.append((n + 1) * 0.032)
    return starts, stops


async def cleaned(
    reduction: DeepFilterReduction, limit_db: float, pcm: bytes, tally: Tally
) -> bytes:
    stream = await reduction.open_limited(limit_db)
    start = time.process_time()
    out = [await stream.clean(pcm[n : n + 960]) for n in range(0, len(pcm), 960)]
    tally.cpu_s += time.process_time() - start
    out.append(await stream.flush())
    stream.close()
    return b"".join(out)


async def measure(options: argparse.Namespace) -> dict[str, object]:
    store = Store()
    ears = {name: Whisper(resolve(name, store)) for name in options.ears.split(",")}
    activity = await SileroActivity.load(resolve("silero-vad", store))
    reduction = DeepFilterReduction()
    limits = [float(limit) for limit in options.limits_db.split(",")]
    tallies = {"off": Tally()} | {f"{limit:g} dB": Tally() for limit in limits}
    all_clips = clips()
    for room in (False, True):
        for kind in KINDS:
            for snr_db in map(float, options.snr_db.split(",")):
                for clip in all_clips:
                    pcm = mixture(clip, room, kind, snr_db, all_clips)
                    for name, tally in tallies.items():
                        limit_db = float(name.removesuffix(" dB")) if name != "off" else 0
                        sound = pcm
                        if limit_db:
                            sound = await cleaned(reduction, limit_db, pcm, tally)
                        where = f"{'room' if room else 'dry'} {kind} {snr_db:g}"
                        count(tally, where, clip, sound, ears, *await turns(activity, sound))
    await activity.aclose()
    await reduction.aclose()
    return {
        "bench": "noise",
        "shipped_limits_db": LIMIT_DB,
        "snr_db": options.snr_db,
        "lag_ms": round(LAG_SAMPLES / 24 + 10, 1),
        **{name: figures(tally) for name, tally in tallies.items()},
    }


def count(
    tally: Tally,
    where: str,
    clip: Clip,
    pcm: bytes,
    ears: dict[str, Whisper],
    starts: list[float],
    stops: list[float],
) -> None:
    wanted = words(clip.text)
    begin, end = LEAD_S, LEAD_S + clip.end_s
    some = pcm[int((LEAD_S - 0.5) * RATE_HZ) * 2 : int((end + 0.5) * RATE_HZ) * 2]
    for ear, model in ears.items():
        errors = min(distance(wanted, words(model.transcribe(some, "en"))), len(wanted))
        scene, _, _ = where.partition(" ")
        for key in (ear, f"{ear} {scene}"):
            tally.errors[key] = tally.errors.get(key, 0) + errors
            tally.words[key] = tally.words.get(key, 0) + len(wanted)
        row = tally.by_kind.setdefault(where, [0, 0])
        row[0] += errors
        row[1] += len(wanted)
    inside = [at for at in starts if begin - 0.2 <= at <= end]
    tally.utterances += 1
    tally.seconds += len(pcm) / 48_000
    tally.false_starts += len(starts) - len(inside)
    tally.turns_found += len(inside) == 1 and any(end - 0.2 <= at <= end + 1.5 for at in stops)


def figures(tally: Tally) -> dict[str, object]:
    return {
        "wer_percent": {
            key: round(100 * errors / tally.words[key], 1) for key, errors in tally.errors.items()
        },
        "wer_percent_by_noise": {
            where: round(100 * errors / total, 1)
            for where, (errors, total) in tally.by_kind.items()
        },
        "turns_found_percent": round(100 * tally.turns_found / tally.utterances, 1),
        "false_starts_per_min": round(tally.false_starts / tally.seconds * 60, 2),
        "cpu_us_per_20_ms": round(tally.cpu_s / tally.seconds * 0.02 * 1e6),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    limits = ",".join(f"{limit:g}" for limit in sorted(set(LIMIT_DB.values())))
    parser.add_argument("--limits-db", default=f"{limits},100")
    parser.add_argument("--snr-db", default="5,0")
    parser.add_argument("--ears", default="whisper-tiny.en,whisper-base")
    print(json.dumps(asyncio.run(measure(parser.parse_args()))))


if __name__ == "__main__":
    main()
