"""The parts of a server whose engine is a Realtime upstream.

The upstream thinks and speaks; voice activity, turn ends and transcripts are our own models,
unless the settings name what needs none: `vad` and `turn_end` may be `loudness`, `stt` may be
`upstream`. With all three nothing is loaded.
"""

import asyncio
from functools import partial

from msgspec import structs

from duologue.config import ServerConfig
from duologue.engines.realtime.engine import LATE_S, RealtimeEngine
from duologue.engines.realtime.traits import Common, common_traits
from duologue.engines.realtime.transcripts import Transcripts
from duologue.engines.realtime.upstream import OPEN_TRAITS, Upstream
from duologue.errors import ConfigFault
from duologue.gateway.compose import Parts, clean_images, resolve_ears
from duologue.gateway.compose_parts import make_listeners
from duologue.gateway.compose_upstream import opening_fields
from duologue.gateway.provision import transcription_names
from duologue.hearing.noise import DeepFilterReduction
from duologue.hearing.transcriber import WhisperTranscriber
from duologue.runtime.ports import Traits

NO_TRANSLATOR = "This server's engine is another server's conversation; it does not translate."
NO_EARS = (
    "This server has no ears of its own, and its engine writes down only what it also answers: "
    "there are no transcription sessions here."
)


async def compose_realtime(config: ServerConfig) -> Parts:
    """Reach for the upstream and load the ears. Raises `ConfigFault`, `ModelFault`.

    An upstream that is away now may come later: the server starts without it.
    """
    upstreams = [
        Upstream(url, config.upstream_key, config.upstream_model)
        for url in (config.upstream or "").split(",")
        if url.strip()
    ]
    if not upstreams:
        raise ConfigFault("upstream: the engine realtime needs the address of its upstream")
    voices = tuple(filter(None, map(str.strip, config.upstream_voices.split(","))))

    unsaid = _unsaid(config)

    async def ask(late_s: float | None = None) -> Common:
        common = await common_traits(upstreams, unsaid, late_s=late_s)
        if voices and not common.aligned:  # another duologue has told what voices it has
            common = structs.replace(common, traits=structs.replace(common.traits, voices=voices))
        return common

    common = await ask()
    opening = await asyncio.to_thread(opening_fields, config)
    is_open = config.unknown_model == "lenient"
    names = transcription_names(config)
    own = await make_listeners(config, await asyncio.to_thread(resolve_ears, config))
    # A model that is asked in the background reads what was said, whatever the client reads.
    transcripts = None if own.ears else Transcripts(is_open=is_open, always=bool(config.delegate))
    engine = RealtimeEngine(
        upstreams,
        common.traits,
        aligned=common.aligned,
        transcripts=transcripts,
        silence_s=config.upstream_timeout_s,
        ask_again=partial(ask, LATE_S),
        own=common.own,
        away=common.away,
        opening=opening,
    )
    return Parts(
        engine,
        transcripts or WhisperTranscriber(own.ears, names, is_open=is_open),
        own.activity,
        DeepFilterReduction(),
        own.turn_end,
        clean_images(config),
        None,
        NO_TRANSLATOR,
        closers=own.closers,
        look=engine.look,
        why_no_transcription="" if own.ears else NO_EARS,
    )


def _unsaid(config: ServerConfig) -> Traits:
    """What an upstream that says nothing of itself is, by its owner's word."""
    whole = config.upstream_end_to_end
    traits = structs.replace(
        OPEN_TRAITS,
        hears=whole,
        speaks=whole,
        tools=config.upstream_tools,
        sees=config.upstream_sees == "yes",
        reads_images=config.upstream_sees != "no",
    )
    if config.context_tokens == ServerConfig().context_tokens:  # the default is that of `light`
        return traits
    return structs.replace(traits, context_tokens=config.context_tokens)
