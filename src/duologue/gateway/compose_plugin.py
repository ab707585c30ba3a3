"""Composes an engine that another package brings, found by its entry point.

A name goes in, the parts of a server come out: the plugin's engine and, if it has one, its
transcriber; beside it the ears that the server has anyway. Models that are on the disk are
used, none is fetched; where one is missing a plainer part stands in, and the log says so.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, cast

import msgspec

from duologue.config import BUILT_IN_ENGINES, ServerConfig
from duologue.core.talk import Transcript, TranscriptionAsk, TranscriptPart
from duologue.core.transcription_models import TranscriptionModels
from duologue.engines.plugin import GROUP, EngineParts, EngineSetup, MakeEngine
from duologue.engines.scripted import LoudnessActivity, LoudnessTurnEnd
from duologue.errors import ConfigFault, DuologueError, EngineFault, ModelFault
from duologue.gateway.compose import Parts, clean_images, only
from duologue.gateway.provision import ear_specs, specs, store_of, transcription_names
from duologue.hearing.noise import DeepFilterReduction
from duologue.models import resolve
from duologue.runtime.ports import Transcriber, TurnEnd, VoiceActivity

log = logging.getLogger(__name__)

Close = Callable[[], Awaitable[None]]


async def compose_plugin(config: ServerConfig) -> Parts:
    """The parts around the engine that `config.engine` names.

    Raises `ConfigFault`, `ModelFault`.
    """
    setup = EngineSetup(config.engine, engine_settings(config.engine_config), config.max_sessions)
    make = await asyncio.to_thread(_load, config.engine)
    try:
        made = await make(setup)
    except DuologueError:
        raise
    except Exception as fault:
        log.exception("engine %s could not be made", config.engine)
        raise ConfigFault(
            f"engine: {config.engine!r} could not be made: {type(fault).__name__}: {fault}"
        ) from fault
    parts = made if isinstance(made, EngineParts) else EngineParts(made)
    try:
        transcriber, closers = await _transcriber(config, parts.transcriber)
        return Parts(
            parts.engine,
            transcriber,
            await _activity(config),
            DeepFilterReduction(),
            await _turn_end(config),
            clean_images(config),
            why_no_translator=f"The engine {config.engine} of this server does not translate.",
            closers=closers,
        )
    except BaseException:
        await parts.engine.aclose()
        raise


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


def _local(config: ServerConfig, role: str) -> Path | None:
    """The model of a role, where it is on the disk. One that was set must be there."""
    spec = specs(config)[role]  # type: ignore[index]
    is_set = {"activity": config.vad, "turn_end": config.turn_end, "ear": config.stt}[role]
    try:
        return resolve(spec, store_of(config))
    except ModelFault as fault:
        if is_set:
            raise
        log.warning("engine %s goes without %s: %s", config.engine, spec, fault)
        return None


async def _activity(config: ServerConfig) -> VoiceActivity:
    path = await asyncio.to_thread(_local, config, "activity")
    if path is None:
        log.warning("voice activity is judged by loudness alone")
        return LoudnessActivity()
    from duologue.hearing.silero import SileroActivity

    return await SileroActivity.load(only(path, ".onnx"))


async def _turn_end(config: ServerConfig) -> TurnEnd:
    path = await asyncio.to_thread(_local, config, "turn_end")
    if path is None:
        log.warning("semantic_vad judges turns by their length alone")
        return LoudnessTurnEnd()
    from duologue.hearing.turn_end import SmartTurnEnd

    return await SmartTurnEnd.load(only(path, ".onnx"))


async def _transcriber(
    config: ServerConfig, own: Transcriber | None
) -> tuple[Transcriber, tuple[Close, ...]]:
    if own is not None:
        return own, ()
    if await asyncio.to_thread(_local, config, "ear") is None:
        log.warning("nothing writes down what is said: transcription fails")
        return NoTranscriber(), ()
    from duologue.hearing.ear import WhisperEar
    from duologue.hearing.transcriber import WhisperTranscriber

    store = store_of(config)
    names = transcription_names(config)
    paths = await asyncio.to_thread(
        lambda: {spec: resolve(spec, store) for spec in ear_specs(config)}
    )
    ears = {spec: await WhisperEar.load(path) for spec, path in paths.items()}
    is_open = config.unknown_model == "lenient"
    closers = tuple(ear.aclose for ear in ears.values())
    return WhisperTranscriber(ears, names, is_open=is_open), closers


class NoTranscriber:
    """Satisfies `Transcriber` where there is none: transcripts fail, and say why."""

    models = TranscriptionModels()

    async def transcribe(
        self, item_id: str, pcm: bytes, ask: TranscriptionAsk
    ) -> AsyncIterator[TranscriptPart | Transcript]:
        """Nothing said is nothing written; anything else fails."""
        if pcm:
            raise EngineFault("this server has no speech recognition model")
        yield Transcript("", 0.0)
