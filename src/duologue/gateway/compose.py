"""The composition root: settings in, the parts that sessions are made of out.

The one place that knows engines, ears and models by name. What an engine needs is imported
only when it is the one configured, so that `scripted` runs where no weights can.
"""

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from duologue.config import ServerConfig
from duologue.engines.composed.parts import Mouth
from duologue.engines.scripted import (
    LoudnessActivity,
    LoudnessTurnEnd,
    Script,
    ScriptedEngine,
    ScriptedLiveEngine,
    ScriptedTranscriber,
    ScriptedTranslator,
    read_script,
)
from duologue.errors import ConfigFault, ModelFault
from duologue.gateway.provision import ear_specs, specs, store_of, transcription_names
from duologue.hearing.noise import DeepFilterReduction
from duologue.models import Role, resolve
from duologue.remote.address import is_remote
from duologue.runtime.ports import (
    Engine,
    Images,
    NoiseReduction,
    Traits,
    Transcriber,
    Translator,
    TurnEnd,
    VoiceActivity,
)
from duologue.seeing.fetch import Fetch
from duologue.seeing.images import CleanImages


@dataclass(frozen=True)
class Parts:
    """What every session of a server shares."""

    engine: Engine
    transcriber: Transcriber
    activity: VoiceActivity
    noise: NoiseReduction
    turn_end: TurnEnd
    images: Images
    translator: Translator | None = None
    """None where the ear knows one language only; `why_no_translator` says which ear that is."""
    why_no_translator: str = ""
    closers: tuple[Callable[[], Awaitable[None]], ...] = field(default=())
    """What else is to be closed, after the engine."""
    mouth: Mouth | None = None
    """The voice, where the engine has one of its own that can be asked alone."""
    look: Callable[[], Awaitable[Traits]] | None = None
    """Where the engine may learn after the start what it is: asked before each conversation."""
    why_no_transcription: str = ""
    """Empty where there is an ear that sessions without a conversation can ask."""

    async def aclose(self) -> None:
        """Stop all work and free the weights."""
        for close in (
            self.engine.aclose,
            *self.closers,
            self.noise.aclose,
            self.turn_end.aclose,
            self.activity.aclose,
            self.images.aclose,
        ):
            await close()


async def compose(config: ServerConfig) -> Parts:
    """Load what `config` asks for, off the event loop. Raises `ConfigFault`, `ModelFault`."""
    if config.delegate is not None:
        from duologue.gateway.compose_delegation import compose_delegation

        return await compose_delegation(config, _engine_parts)
    return await _engine_parts(config)


async def _engine_parts(config: ServerConfig) -> Parts:
    if config.engine == "chat":
        from duologue.gateway.compose_chat import compose_chat

        return await compose_chat(config)
    if config.engine == "realtime":
        from duologue.gateway.compose_realtime import compose_realtime

        return await compose_realtime(config)
    if config.engine == "moshi":
        from duologue.gateway.compose_moshi import compose_moshi

        return await compose_moshi(config)
    if config.engine == "scripted":
        return await _scripted(config)
    if config.engine == "light":
        return await _light(config)
    from duologue.gateway.compose_plugin import compose_plugin

    return await compose_plugin(config)


async def _scripted(config: ServerConfig) -> Parts:
    from duologue.gateway.compose_parts import make_activity

    asked = script(config.script)
    engine = ScriptedLiveEngine(asked) if asked.duplex else ScriptedEngine(asked)
    is_open = config.unknown_model == "lenient"
    return Parts(
        engine,
        ScriptedTranscriber(engine, is_open=is_open),
        await make_activity(config) if config.vad else LoudnessActivity(),
        DeepFilterReduction(),
        LoudnessTurnEnd(),
        clean_images(config),
        ScriptedTranslator(engine),
    )


def clean_images(config: ServerConfig) -> CleanImages:
    """What checks clients' images and fetches those of hosts that are allowed."""
    limit = config.max_image_bytes
    hosts = (host.strip().lower() for host in config.image_hosts.split(","))
    return CleanImages(Fetch(frozenset(filter(None, hosts)), limit_bytes=limit), limit_bytes=limit)


async def _light(config: ServerConfig) -> Parts:
    # Read by OpenMP when llama.cpp brings it in. Threads that wait for each other spin at
    # first; after 1,000 rounds they sleep, so that a busy neighbour gets the core at last. With
    # 10,000 a neighbour slowed text down to the pace of speech; with none it costs a token as much.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    from duologue.engines.composed.engine import ComposedEngine
    from duologue.engines.composed.translator import ComposedTranslator
    from duologue.gateway.compose_parts import make_listeners, make_mind, make_mouth
    from duologue.hearing.transcriber import WhisperTranscriber
    from duologue.seeing.eye import RapidOcrEye

    names = transcription_names(config)
    paths, ear_paths = await asyncio.to_thread(resolve_all, config)
    async with contextlib.AsyncExitStack() as made:  # of a start that fails nothing is left
        listeners = await make_listeners(config, ear_paths)
        made.push_async_callback(listeners.aclose)
        own, ear = next(iter(listeners.ears.items()))
        mouth = await make_mouth(config, _file(paths.get("mouth"), ".onnx"))
        made.push_async_callback(mouth.aclose)
        mind = await make_mind(config, _file(paths.get("mind"), ".gguf"))
        made.push_async_callback(mind.aclose)
        engine = ComposedEngine(ear, mind, mouth, RapidOcrEye())
        await engine.warm()
        made.pop_all()
    is_open = config.unknown_model == "lenient"
    return Parts(
        engine,
        WhisperTranscriber(listeners.ears, names, is_open=is_open),
        listeners.activity,
        DeepFilterReduction(),
        listeners.turn_end,
        clean_images(config),
        ComposedTranslator(ear, mouth) if len(ear.languages) > 1 else None,
        f"The speech model {own} of this server knows one language only, or is elsewhere. "
        "Translation needs one here that knows many, such as that of the profile default.",
        listeners.closers,
        mouth,
    )


def resolve_all(config: ServerConfig) -> tuple[dict[Role, Path], dict[str, Path | None]]:
    """The models of each role, and those of `resolve_ears`. Blocks."""
    store = store_of(config)
    return {role: resolve(spec, store) for role, spec in specs(config).items()}, resolve_ears(
        config
    )


def resolve_ears(config: ServerConfig) -> dict[str, Path | None]:
    """Every speech recognition model by its name; None where it is another server's. Blocks."""
    store = store_of(config)
    return {spec: None if is_remote(spec) else resolve(spec, store) for spec in ear_specs(config)}


def _file(path: Path | None, suffix: str) -> Path | None:
    """As `only`; None for a part that lives on another server."""
    return None if path is None else only(path, suffix)


def only(path: Path, suffix: str) -> Path:
    """The one file of a kind in a model's directory, or the file itself."""
    if path.is_file():
        return path
    found = sorted(path.glob(f"*{suffix}"))
    if len(found) != 1:
        raise ModelFault(f"{path} holds {len(found)} {suffix} files, where one is needed")
    return found[0]


def script(setting: str | None) -> Script:
    """The script of a setting: a path, or TOML itself, told apart by its `=`."""
    if setting is None:
        return Script()
    if "=" not in setting:
        return read_script(Path(setting).expanduser())
    try:
        return msgspec.toml.decode(setting, type=Script)
    except msgspec.MsgspecError as fault:
        raise ConfigFault(f"script: {fault}") from None
