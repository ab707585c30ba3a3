"""The parts of a server whose engine may ask a stronger model: those of the engine, and that.

The address is judged before anything is loaded. Whether the server there is well is not asked:
one that is away now may be there when a question comes.
"""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable

from duologue.config import ServerConfig
from duologue.engines.delegation.engine import DelegatingEngine
from duologue.engines.delegation.heard import hearing
from duologue.engines.remote.chat_mind import ChatMind
from duologue.errors import ConfigFault
from duologue.gateway.compose import Parts
from duologue.remote.address import is_remote
from duologue.remote.server import RemoteServer


async def compose_delegation(
    config: ServerConfig, engine_parts: Callable[[ServerConfig], Awaitable[Parts]]
) -> Parts:
    """What `engine_parts` gives, with the engine wrapped. Raises as `compose`."""
    spec = config.delegate or ""
    if not is_remote(spec):
        raise ConfigFault("delegate: that is no URL; allowed: http(s)://host/v1#MODEL")
    server = await asyncio.to_thread(
        RemoteServer,
        spec,
        "delegate",
        "the server of the model that is asked",
        config.delegate_key,
        answer_s=config.upstream_timeout_s,
    )
    mind = ChatMind(server, context_tokens=config.context_tokens)
    try:
        parts = await engine_parts(config)
    except BaseException:
        await mind.aclose()
        raise
    try:
        engine = DelegatingEngine(parts.engine, mind, hearing(parts.transcriber))
    except ConfigFault:
        await mind.aclose()
        await parts.aclose()
        raise
    return dataclasses.replace(parts, engine=engine)
