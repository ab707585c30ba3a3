"""The parts of a server whose engine is `moshi`: a full-duplex model in this process.

It hears, thinks and speaks; beside it are the local models for transcripts, and for voice
activity and turn ends unless the settings say `loudness`. Torch is imported here or nowhere.
"""

import asyncio
import importlib.util
import os
from typing import TYPE_CHECKING

from duologue.config import ServerConfig
from duologue.errors import ConfigFault
from duologue.gateway.compose import Parts
from duologue.gateway.compose_parts import compose_listening

if TYPE_CHECKING:
    from duologue.engines.moshi.engine import MoshiEngine

NEEDED = ("torch", "transformers")


async def compose_moshi(config: ServerConfig, needed: tuple[str, ...] = NEEDED) -> Parts:
    """Load the model and the ears, off the event loop. Raises `ConfigFault`, `ModelFault`."""
    check_installed(needed)
    return await compose_listening(config, await asyncio.to_thread(moshi_engine, config))


def check_installed(needed: tuple[str, ...] = NEEDED) -> None:
    """Raises `ConfigFault` where the optional extra is missing."""
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigFault(
            f"engine: moshi needs {' and '.join(missing)}, which an optional extra brings: "
            "pip install 'duologue[moshi]'"
        )


def moshi_engine(config: ServerConfig) -> "MoshiEngine":
    """The engine of the settings, with as many places as are kept up with; blocks.

    Raises `ConfigFault`, `ModelFault`.
    """
    from duologue.engines.moshi.engine import MoshiEngine, fit, quickest_threads
    from duologue.engines.moshi.model import MoshiFrames
    from duologue.engines.moshi.weights import load_weights, set_threads
    from duologue.gateway.provision import store_of
    from duologue.models import resolve

    path = resolve(config.moshi_model, store_of(config))
    weights = load_weights(path, config.device, config.threads)

    def make(slots: int) -> MoshiFrames:
        return MoshiFrames(weights, slots)

    if config.threads is None and weights.device.type == "cpu":
        quickest_threads(make, set_threads, os.cpu_count() or 1)
    model = fit(make, config.max_sessions)
    return MoshiEngine(model, weights.vocabulary, weights.moshi.config.sliding_window)
