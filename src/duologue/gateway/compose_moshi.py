"""The parts of a server whose engine is `moshi`: a full-duplex model in this process.

It hears, thinks and speaks; beside it are the local models for transcripts, and for voice
activity and turn ends unless the settings say `loudness`. Torch is imported here or nowhere.
"""

import asyncio
import importlib.util
from typing import TYPE_CHECKING

from duologue.config import ServerConfig
from duologue.errors import ConfigFault
from duologue.gateway.compose import Parts, clean_images, resolve_all
from duologue.gateway.compose_parts import make_listeners
from duologue.gateway.provision import transcription_names
from duologue.hearing.noise import DeepFilterReduction
from duologue.hearing.transcriber import WhisperTranscriber

if TYPE_CHECKING:
    from duologue.engines.moshi.engine import MoshiEngine

NEEDED = ("torch", "transformers")


async def compose_moshi(config: ServerConfig, needed: tuple[str, ...] = NEEDED) -> Parts:
    """Load the model and the ears, off the event loop. Raises `ConfigFault`, `ModelFault`."""
    check_installed(needed)
    engine = await asyncio.to_thread(moshi_engine, config)
    try:
        names = transcription_names(config)
        _, ear_paths = await asyncio.to_thread(resolve_all, config)
        own = await make_listeners(config, ear_paths)
    except BaseException:
        await engine.aclose()
        raise
    return Parts(
        engine,
        WhisperTranscriber(own.ears, names, is_open=config.unknown_model == "lenient"),
        own.activity,
        DeepFilterReduction(),
        own.turn_end,
        clean_images(config),
        None,
        "The engine `moshi` does not translate; the engine `light` does.",
        closers=own.closers,
    )


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
    from duologue.engines.moshi.engine import MoshiEngine, fit
    from duologue.engines.moshi.model import MoshiFrames
    from duologue.engines.moshi.weights import load_weights
    from duologue.gateway.provision import store_of
    from duologue.models import resolve

    path = resolve(config.moshi_model, store_of(config))
    weights = load_weights(path, config.device, config.threads)
    model = fit(lambda slots: MoshiFrames(weights, slots), config.max_sessions)
    return MoshiEngine(model, weights.vocabulary, weights.moshi.config.sliding_window)
