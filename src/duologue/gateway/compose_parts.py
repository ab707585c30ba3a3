"""Parts out of settings: each a model here, or one on another server.

What a part needs is imported only when it is the one configured.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from duologue.config import ServerConfig
from duologue.engines.composed.parts import Mind, Mouth
from duologue.engines.scripted import LoudnessActivity, LoudnessTurnEnd
from duologue.gateway.compose import Parts, clean_images, only, resolve_ears
from duologue.gateway.provision import specs, store_of, transcription_names
from duologue.hearing.ear import WhisperEar
from duologue.hearing.noise import DeepFilterReduction
from duologue.hearing.transcriber import WhisperTranscriber
from duologue.models import Role, resolve
from duologue.remote.address import is_remote
from duologue.runtime.ports import Engine, TurnEnd, VoiceActivity

Close = Callable[[], Awaitable[None]]


async def make_activity(config: ServerConfig) -> VoiceActivity:
    """What hears whether somebody speaks: a model, or loudness. Raises `ModelFault`."""
    path = await _local(config, "activity")
    if path is None:
        return LoudnessActivity()
    from duologue.hearing.silero import SileroActivity

    return await SileroActivity.load(only(path, ".onnx"))


async def make_turn_end(config: ServerConfig) -> TurnEnd:
    """What `semantic_vad` asks: a model, or the length of a turn. Raises `ModelFault`."""
    path = await _local(config, "turn_end")
    if path is None:
        return LoudnessTurnEnd()
    from duologue.hearing.turn_end import SmartTurnEnd

    return await SmartTurnEnd.load(only(path, ".onnx"))


@dataclass(frozen=True)
class Listeners:
    """What listens beside an engine; `closers` are those of the ears."""

    activity: VoiceActivity
    turn_end: TurnEnd
    ears: dict[str, WhisperEar]
    closers: tuple[Close, ...]

    async def aclose(self) -> None:
        """Free it all, where what it was for could not be had."""
        for close in (*self.closers, self.turn_end.aclose, self.activity.aclose):
            await close()


async def compose_listening(config: ServerConfig, engine: Engine) -> Parts:
    """The parts of an engine that thinks and speaks by itself: it, and what listens beside it.

    Raises `ConfigFault`, `ModelFault`, and closes the engine then.
    """
    try:
        names = transcription_names(config)
        own = await make_listeners(config, await asyncio.to_thread(resolve_ears, config))
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
        f"The engine `{config.engine}` does not translate; the engine `light` does.",
        closers=own.closers,
    )


async def make_listeners(config: ServerConfig, paths: Mapping[str, Path | None]) -> Listeners:
    """Voice activity, turn ends and the ears of `paths`; of a start that fails nothing is left.

    Raises `ConfigFault`, `ModelFault`.
    """
    async with AsyncExitStack() as made:
        activity = await make_activity(config)
        made.push_async_callback(activity.aclose)
        turn_end = await make_turn_end(config)
        made.push_async_callback(turn_end.aclose)
        ears, closers = await make_ears(config, paths)
        made.pop_all()
    return Listeners(activity, turn_end, ears, closers)


async def _local(config: ServerConfig, role: Role) -> Path | None:
    """The model of a role; None where the settings say that none is needed."""
    spec = specs(config).get(role)
    return None if spec is None else await asyncio.to_thread(resolve, spec, store_of(config))


async def make_mind(config: ServerConfig, path: Path | None) -> Mind:
    """The language model: at `path`, or where the setting `llm` says.

    Raises `ConfigFault`, `ModelFault`.
    """
    if config.llm is not None and is_remote(config.llm):
        from duologue.engines.remote.chat_mind import ChatMind
        from duologue.engines.sizes import audio_tokens_per_s
        from duologue.remote.server import RemoteServer

        server = RemoteServer(config.llm, "llm", "the language model's server", config.llm_key)
        return ChatMind(
            server,
            context_tokens=config.context_tokens,
            hears=config.llm_hears,
            audio_tokens_per_s=config.audio_tokens_per_s
            or audio_tokens_per_s(server.address.model),
        )

    from duologue.engines.light.mind import LlamaMind
    from duologue.engines.light.prompt_mind import PromptMind

    assert path is not None, "what is not remote was resolved"
    return PromptMind(
        await LlamaMind.load(
            path,
            places=config.max_sessions,
            context_tokens=config.context_tokens,
            threads=config.threads or os.cpu_count() or 1,
        )
    )


async def make_ears(
    config: ServerConfig, paths: Mapping[str, Path | None]
) -> tuple[dict[str, WhisperEar], tuple[Close, ...]]:
    """The speech recognition models of `ear_specs` by name, and what is to be closed.

    A path is None where one lives on another server. Raises `ConfigFault`, `ModelFault`.
    """
    ears: dict[str, WhisperEar] = {}
    closers: list[Close] = []
    async with AsyncExitStack() as made:
        for spec, path in paths.items():
            ears[spec], closing = await _make_ear(config, spec, path)
            for close in closing:
                made.push_async_callback(close)
            closers += closing
        made.pop_all()
    return ears, tuple(closers)


async def _make_ear(
    config: ServerConfig, spec: str, path: Path | None
) -> tuple[WhisperEar, tuple[Close, ...]]:
    if path is not None:
        ear = await WhisperEar.load(path)
        return ear, (ear.aclose,)

    from duologue.hearing.remote import WORKERS, RemoteSpeech
    from duologue.remote.server import RemoteServer

    # A key is for the one server that it was set for.
    key = config.stt_key if spec == config.stt else None
    speech = RemoteSpeech(RemoteServer(spec, "stt", "the speech recognition server", key))
    ear = WhisperEar(speech, workers=WORKERS)
    return ear, (speech.give_up, ear.aclose, speech.aclose)  # else the ear waits for answers


async def make_mouth(config: ServerConfig, path: Path | None) -> Mouth:
    """The voice: at `path`, or where the setting `tts` says. Raises as `make_mind`."""
    if config.tts is not None:
        from duologue.engines.remote.mouth import RemoteMouth
        from duologue.remote.server import RemoteServer

        names = (name.strip() for name in config.tts_voices.split(","))
        server = RemoteServer(config.tts, "tts", "the voice's server", config.tts_key)
        return RemoteMouth(server, tuple(filter(None, names)))

    from duologue.engines.light.mouth import HibariMouth

    return await asyncio.to_thread(HibariMouth, path)
