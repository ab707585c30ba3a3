"""The parts of a server whose engine is `chat`: the model is upstream, the rest is here.

Voice activity, turn ends, noise reduction and the transcripts that people read are the local
models, as beside `light`; no language model and no voice is loaded.
"""

import asyncio

from duologue.config import ServerConfig
from duologue.engines.chat.engine import ChatEngine
from duologue.engines.chat.request import Model
from duologue.engines.sizes import audio_tokens_per_s
from duologue.errors import ConfigFault
from duologue.gateway.compose import Parts
from duologue.gateway.compose_parts import compose_listening
from duologue.gateway.compose_upstream import further_fields


async def compose_chat(config: ServerConfig) -> Parts:
    """Load the local parts, off the event loop. Raises `ConfigFault`, `ModelFault`."""
    return await compose_listening(config, await asyncio.to_thread(chat_engine, config))


def chat_engine(config: ServerConfig) -> ChatEngine:
    """The engine of the settings. Raises `ConfigFault`."""
    urls = _names(config.upstream or "")
    if not urls:
        raise ConfigFault("upstream: the engine chat needs the URL of a model server")
    if not config.upstream_model:
        raise ConfigFault("upstream_model: the engine chat needs the name of a model")
    if config.upstream_voice_sample is not None:
        raise ConfigFault(
            "upstream_voice_sample: the protocol of the engine chat has no place for it; what a "
            "model server has for that may stand in upstream_extra"
        )
    model = Model(
        config.upstream_model,
        _names(config.upstream_voices),
        config.upstream_dialect,
        further_fields(config),
        config.audio_tokens_per_s or audio_tokens_per_s(config.upstream_model),
    )
    return ChatEngine(
        urls,
        model,
        key=config.upstream_key,
        sees=_sees(config),
        tools=config.upstream_tools,
        context_tokens=config.context_tokens,
        timeout_s=config.upstream_timeout_s,
    )


def _sees(config: ServerConfig) -> bool:
    """The hosted gpt-audio, whose dialect "openai" is, refuses images; the omni models look."""
    if config.upstream_sees == "auto":
        return config.upstream_dialect == "omni"
    return config.upstream_sees == "yes"


def _names(setting: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, map(str.strip, setting.split(",")))))
