"""Composes an engine that another package brings, found by its entry point.

A name goes in, the parts of a server come out: the plugin's engine and, if it has one, its
transcriber; beside it the ears that the server has anyway. Models that are on the disk are
used, none is fetched; where one is missing a plainer part stands in, and the log says so.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, cast

import msgspec
from msgspec import structs

from duologue.config import BUILT_IN_ENGINES, ServerConfig
from duologue.core.talk import Transcript, TranscriptionAsk, TranscriptPart
from duologue.core.transcription_models import TranscriptionModels
from duologue.engines.plugin import GROUP, EngineParts, EngineSetup, MakeEngine
from duologue.errors import ConfigFault, DuologueError, EngineFault, ModelFault
from duologue.gateway.compose import Parts, clean_images, resolve_ears
from duologue.gateway.compose_parts import Close, make_activity, make_ears, make_turn_end
from duologue.gateway.provision import NO_MODEL, specs, store_of, transcription_names
from duologue.hearing.noise import DeepFilterReduction
from duologue.models import Role, resolve
from duologue.runtime.ports import Transcriber

log = logging.getLogger(__name__)


async def compose_plugin(config: ServerConfig) -> Parts:
    """The parts around the engine that `config.engine` names.

    Raises `ConfigFault`, `ModelFault`.
    """
    setup = EngineSetup(config.engine, engine_settings(config.engine_config), config.max_sessions)
    make = await asyncio.to_thread(_load, config.engine)
    try:
        brought = await make(setup)
    except DuologueError:
        raise
    except Exception as fault:
        log.exception("engine %s could not be made", config.engine)
        raise ConfigFault(
            f"engine: {config.engine!r} could not be made: {type(fault).__name__}: {fault}"
        ) from fault
    parts = brought if isinstance(brought, EngineParts) else EngineParts(brought)
    async with AsyncExitStack() as made:  # of a start that fails nothing is left
        made.push_async_callback(parts.engine.aclose)
        config = await asyncio.to_thread(_without_what_is_missing, config)
        transcriber, closers = await _transcriber(config, parts.transcriber)
        for close in closers:
            made.push_async_callback(close)
        activity = await make_activity(config)
        made.push_async_callback(activity.aclose)
        turn_end = await make_turn_end(config)
        made.pop_all()
    return Parts(
        parts.engine,
        transcriber,
        activity,
        DeepFilterReduction(),
        turn_end,
        clean_images(config),
        why_no_translator=f"The engine {config.engine} of this server does not translate.",
        closers=closers,
    )


def engine_settings(setting: str | None) -> dict[str, Any]:
    """The table of `engine_config`: a path to TOML, or TOML itself, told apart by its `=`."""
    if setting is None:
        return {}
    try:
        text = setting if "=" in setting else Path(setting).expanduser().read_text("utf-8")
        return cast(dict[str, Any], msgspec.toml.decode(text))
    except (OSError, UnicodeDecodeError, msgspec.MsgspecError) as fault:
        what = "TOML" if "=" in setting else repr(setting)
        raise ConfigFault(f"engine_config: {what} cannot be read: {fault}") from None


def _load(name: str) -> MakeEngine:
    """In a worker thread: it imports what may be large."""
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=GROUP):
        found.setdefault(point.name, point)
    if name not in found:
        installed = ", ".join(sorted(found)) or "none"
        built_in = ", ".join(BUILT_IN_ENGINES)
        raise ConfigFault(
            f"engine: {name!r} is not allowed; built in: {built_in}; installed: {installed}"
        )
    try:
        make = found[name].load()
    except Exception as fault:
        log.exception("engine %s could not be loaded", name)
        raise ConfigFault(
            f"engine: {name!r} ({found[name].value}) could not be loaded: "
            f"{type(fault).__name__}: {fault}"
        ) from fault
    return cast(MakeEngine, make)


def _without_what_is_missing(config: ServerConfig) -> ServerConfig:
    """The settings without the profile's ears that are not on the disk. Blocks."""
    if config.vad is None and _is_missing(config, "activity"):
        log.warning("voice activity is judged by loudness alone")
        config = structs.replace(config, vad=NO_MODEL["activity"])
    if config.turn_end is None and _is_missing(config, "turn_end"):
        log.warning("semantic_vad judges turns by their length alone")
        config = structs.replace(config, turn_end=NO_MODEL["turn_end"])
    return config


def _is_missing(config: ServerConfig, role: Role) -> bool:
    spec = specs(config).get(role)
    try:
        if spec is not None:
            resolve(spec, store_of(config))
    except ModelFault as fault:
        log.warning("engine %s goes without %s: %s", config.engine, spec, fault)
        return True
    return False


async def _transcriber(
    config: ServerConfig, own: Transcriber | None
) -> tuple[Transcriber, tuple[Close, ...]]:
    if own is not None:
        return own, ()
    if config.stt is None and await asyncio.to_thread(_is_missing, config, "ear"):
        log.warning("nothing writes down what is said: transcription fails")
        return NoTranscriber(), ()
    from duologue.hearing.transcriber import WhisperTranscriber

    names = transcription_names(config)
    ears, closers = await make_ears(config, await asyncio.to_thread(resolve_ears, config))
    is_open = config.unknown_model == "lenient"
    return WhisperTranscriber(ears, names, is_open=is_open), closers


class NoTranscriber:
    """Satisfies `Transcriber` where there is none: transcripts fail, and say why."""

    models = TranscriptionModels()

    async def transcribe(
        self, media_id: str, pcm: bytes, ask: TranscriptionAsk
    ) -> AsyncIterator[TranscriptPart | Transcript]:
        """Nothing said is nothing written; anything else fails."""
        if pcm:
            raise EngineFault("this server has no speech recognition model")
        yield Transcript("", 0.0)
