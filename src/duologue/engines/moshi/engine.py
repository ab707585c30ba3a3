"""The engine `moshi`: one model, as many conversations as it has places and the machine keeps up.

A directory of weights goes in; talks come out. How many fit is measured before anybody is let in.
"""

import asyncio
import logging
import time
from collections.abc import Callable

from duologue.core.talk import Ask
from duologue.engines.moshi.clock import Clock
from duologue.engines.moshi.frames import FRAME_MS, SILENCE, FrameModel
from duologue.engines.moshi.memory import free_memory, is_of_memory
from duologue.engines.moshi.talk import MoshiTalk
from duologue.engines.moshi.text import Vocabulary
from duologue.errors import ConfigFault
from duologue.runtime.ports import LiveTalk, Traits

log = logging.getLogger(__name__)

BUDGET_MS = 0.8 * FRAME_MS
"""What a step may take when places are counted; the rest is for bad moments."""
MEASURED_PLACES = 2
"""With a single one, layers may be too small for threads to be used at all."""
WORSE = 1.2
"""Fewer threads that are so much slower: still fewer are slower yet."""
MEASURED_S = 0.5
"""Time for measuring, after two steps that warm up."""


def fit(make: Callable[[int], FrameModel], slots: int) -> FrameModel:
    """A model with as many places up to `slots` as can be stepped in time. Blocks.

    `make` builds one of so many places; the last is gone before the next is built. Raises
    `ConfigFault` when not even one place can be had.
    """
    while True:
        model, step_ms = _tried(make, slots)
        if model is not None and step_ms <= BUDGET_MS:
            log.info("engine moshi: %d places, %.1f ms a step", slots, step_ms)
            return model
        if slots == 1:
            raise ConfigFault(_why_not(None if model is None else step_ms))
        if model is None:
            log.warning(
                "engine moshi: there is no memory for %d places; trying %d", slots, slots // 2
            )
        else:
            log.warning(
                "engine moshi: %d places take %.0f ms a step of %d; trying %d",
                slots,
                step_ms,
                FRAME_MS,
                slots // 2,
            )
        del model
        free_memory()
        slots //= 2


def quickest_threads(
    make: Callable[[int], FrameModel], set_threads: Callable[[int], None], cores: int
) -> int:
    """With how many threads up to `cores` a step is quickest, which are then set. Blocks.

    More are no help where layers are small: on two cores, two threads made tiny layers three times
    slower than one, since they meet after each of them. `make` builds a model of so many places.
    """
    taken_ms: dict[int, float] = {}
    try:
        model, count = make(MEASURED_PLACES), cores
        while count:
            set_threads(count)
            taken_ms[count] = _step_ms(model)
            if taken_ms[count] > WORSE * min(taken_ms.values()):
                break
            count //= 2
    except (MemoryError, RuntimeError) as error:
        if not is_of_memory(error):
            raise  # whether there is memory for any place at all, `fit` says
    best = min(taken_ms, key=taken_ms.__getitem__, default=cores)
    set_threads(best)
    log.info("engine moshi: %d threads of %d cores (ms a step: %s)", best, cores, taken_ms)
    return best


def _tried(make: Callable[[int], FrameModel], slots: int) -> tuple[FrameModel | None, float]:
    """A model and what its step takes, in ms; None where memory did not last for it."""
    try:
        model = make(slots)
        return model, _step_ms(model)
    except (MemoryError, RuntimeError) as error:
        if not is_of_memory(error):
            raise
        log.info("engine moshi: %s", error)
    return None, 0.0


def _why_not(step_ms: float | None) -> str:
    """Why there is not even one place."""
    if step_ms is None:
        return (
            "engine: moshi has not enough memory on this machine for one conversation beside "
            "its weights (`device`; the model is `moshi_model`)"
        )
    return (
        f"engine: moshi needs {step_ms:.0f} ms on this machine for {FRAME_MS} ms of "
        "sound; it can talk only where that is quicker, as on a GPU (`device`)"
    )


def _step_ms(model: FrameModel) -> float:
    """What a step of all places takes where nothing disturbs it: a lower quartile.

    What else the machine does now only adds to it; while it serves, the clock looks at that.
    """
    for slot in range(model.slots):
        model.reset(slot, slot)
    everybody = dict.fromkeys(range(model.slots), SILENCE)
    taken_s: list[float] = []
    begun_s = time.monotonic()
    while len(taken_s) < 3 or time.monotonic() - begun_s < MEASURED_S:
        step_s = time.monotonic()
        model.step(everybody)
        taken_s.append(time.monotonic() - step_s)
    return 1000 * sorted(taken_s[2:])[len(taken_s[2:]) // 4]


class MoshiEngine:
    """Satisfies `Engine`. `window` is how many frames the model remembers."""

    def __init__(
        self, model: FrameModel, vocabulary: Vocabulary, window: int, seed: int | None = None
    ) -> None:
        self.traits = Traits(
            hears=True,
            speaks=True,
            duplex=True,
            rewinds=False,
            tools=False,
            languages=("en",),
            context_tokens=window,
            max_output_tokens=window,
        )
        self.slots = model.slots
        self._vocabulary, self._window, self._seed = vocabulary, window, seed
        self._clock = Clock(model)

    async def open(self, ask: Ask) -> LiveTalk:
        """A place in the batch. Raises `EngineBusy`: all are taken, or the machine is behind."""
        return MoshiTalk(self._clock, self._vocabulary, self._window, self._seed)

    async def aclose(self) -> None:
        """End the thread; talks that are open hear of no more frames."""
        await asyncio.to_thread(self._clock.stop)
