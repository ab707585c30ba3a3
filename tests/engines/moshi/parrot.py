"""A stand-in for our own port `FrameModel`, of no product: it says a loud word for all it hears.

It says one in every frame in which it hears anything. For tests of what stands around a model: no
weights, no torch. `Parrot.gate` holds it in a step.
"""

import asyncio
import threading
from collections.abc import Mapping

from duologue.audio.pcm import loudness
from duologue.engines.moshi.frames import FRAME_BYTES, SILENCE, Spoken
from duologue.engines.moshi.text import Vocabulary

WORD, PADDING = 7, 3
CUE = (100).to_bytes(2, "little", signed=True) * (FRAME_BYTES // 2)
"""What makes it speak, and is too soft to be taken for a user who does."""
LOUD = (3000).to_bytes(2, "little", signed=True) * (FRAME_BYTES // 2)
QUIET = SILENCE
VOCABULARY = Vocabulary({WORD: "▁word"})


class Parrot:
    """Satisfies `FrameModel`."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.steps: list[dict[int, bytes]] = []
        self.seeds: list[tuple[int, int]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.breaks = False
        self._stepped = threading.Condition()

    def reset(self, slot: int, seed: int) -> None:
        self.seeds.append((slot, seed))

    def step(self, heard: Mapping[int, bytes]) -> Mapping[int, Spoken]:
        with self._stepped:
            self.steps.append(dict(heard))
            self._stepped.notify_all()
        self.gate.wait()
        if self.breaks:
            raise RuntimeError("out of memory")
        return {
            slot: Spoken(WORD, LOUD) if loudness(pcm) > 50 else Spoken(PADDING, QUIET)
            for slot, pcm in heard.items()
        }

    async def stepped(self, count: int) -> None:
        """Wait until so many steps have begun."""

        def wait() -> bool:
            with self._stepped:
                return self._stepped.wait_for(lambda: len(self.steps) >= count, timeout=10)

        assert await asyncio.to_thread(wait), f"{len(self.steps)} steps, not {count}"
