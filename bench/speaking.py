"""The voice measured: time to speak a clause, silence left at its edges, evenness, size.

Prints one JSON line. For 1 and 2 threads, alone and beside a thread that burns a core:
median milliseconds from text to sound for a clause of 4 and of 12 words (the fixed cost of
the first sound of a reply is the former). Then, over 12 clauses: the longest near-silence
before the first sound, and the spread of loudness. `python bench/speaking.py [ROUNDS]`
"""

import asyncio
import json
import statistics
import sys
import time

import numpy as np
import psutil

from duologue.engines.light.mouth import HibariMouth

SHORT = "The capital is Canberra,"
LONG = " and it lies between Sydney and Melbourne, a bit nearer to Sydney."
CLAUSES = (
    "Sure,", " I can help you with that.", "Hello!", "What is it?", "It costs $4.20,",
    " which is quite a lot,", "He said so.", "Five past three.", "The train is late,",
    " and it is raining.", "Oh no!", "That is all I know",
)  # fmt: skip
BURN = "while True: pass"


async def clause_ms(mouth: HibariMouth, clause: str, rounds: int) -> float:
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        await mouth.speak(clause, voice="heart", speed=1.0)
        times.append((time.perf_counter() - start) * 1000)
    return round(statistics.median(times), 1)


def edges(pcm: bytes) -> tuple[float, float]:
    """Milliseconds under -45 dBFS before the first sound, and the loudness of speech in dB."""
    wave = np.frombuffer(pcm, "<i2") / 32768
    power = (wave[: len(wave) // 24 * 24].reshape(-1, 24) ** 2).mean(1)
    loud = power > 10**-4.5
    return float(np.argmax(loud)), float(10 * np.log10(power[loud].mean()))


async def main(rounds: int) -> None:
    row: dict[str, object] = {"bench": "speaking", "rounds": rounds}
    before = psutil.Process().memory_info().rss
    for threads in (1, 2):
        start = time.perf_counter()
        mouth = HibariMouth(threads=threads)
        if threads == 1:
            row["load_s"] = round(time.perf_counter() - start, 2)
            row["rss_mb"] = round((psutil.Process().memory_info().rss - before) / 1e6)
        for beside in ("alone", "beside_a_burning_core"):
            burner = None
            if beside != "alone":
                burner = await asyncio.create_subprocess_exec(sys.executable, "-c", BURN)
            row[f"threads_{threads}_{beside}"] = {
                "4_words_ms": await clause_ms(mouth, SHORT, rounds),
                "12_words_ms": await clause_ms(mouth, LONG, rounds),
            }
            if burner:
                burner.kill()
                await burner.wait()
        if threads == 1:
            spoken = [await mouth.speak(c, voice="heart", speed=1.0) for c in CLAUSES]
            found = [edges(b"".join(w.pcm for w in words)) for words in spoken]
            row["lead_ms_max"] = max(lead for lead, _ in found)
            levels = [level for _, level in found]
            row["loudness_spread_db"] = round(max(levels) - min(levels), 2)
        await mouth.aclose()
    print(json.dumps(row))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 15))
