"""Opening a session: the parts of the server joined to a runner, whatever carries it.

A passage and what was asked for go in, a `Runner` comes out, which owns its talk from then on
and gives it back however it ends. WebSockets and calls share it.
"""

import logging
from pathlib import Path

from starlette.requests import HTTPConnection

from duologue.config import ServerConfig
from duologue.core.settings import SessionConfig
from duologue.core.talk import Ask
from duologue.errors import Refusal
from duologue.events import EngineCard, ResumeOffer
from duologue.gateway.auth import Passage, safety_identifier
from duologue.gateway.compose import Parts
from duologue.gateway.session_start import SessionStart
from duologue.runtime.ports import Engine, Speaker, Talk
from duologue.runtime.runner import Runner

logger = logging.getLogger(__name__)


async def open_talk(
    engine: Engine, start: SessionStart, settings: SessionConfig, ask: Ask
) -> tuple[Talk, SessionConfig]:
    """A talk that is leased with `ask`, and the session by what the engine has learnt with it.

    Raises `EngineBusy`, and `Refusal` where it has learnt that it cannot be this session's.
    """
    talk = await engine.open(ask)
    try:
        return talk, start.learn(settings, engine.traits)
    except Refusal:
        await talk.aclose()
        raise


def open_runner(
    config: ServerConfig,
    parts: Parts,
    settings: SessionConfig,
    talk: Talk | None,
    connection: HTTPConnection,
    passage: Passage,
    *,
    card: EngineCard | None = None,
    offer: ResumeOffer | None = None,
    speaker: Speaker | None = None,
) -> Runner:
    """The runner of a session that was let in by `passage`; only a conversation has a talk."""
    logger.info(
        "session %s: key %s, safety identifier %s",
        settings.id,
        passage.key.terms.name,
        safety_identifier(connection, passage),
    )
    return Runner(
        settings,
        talk,
        parts.transcriber,
        parts.activity.open(),
        parts.turn_end,
        noise=parts.noise,
        images=parts.images if settings.takes_images else None,
        translator=parts.translator,
        card=card,
        offer=offer,
        outbox_bytes=config.outbox_bytes,
        limiter=passage.key.limiter,
        tape=tape_path(config, settings.id, "jsonl"),
        trace=_trace_path(config, settings.id),
        speaker=speaker,
    )


def tape_path(config: ServerConfig, session_id: str, kind: str) -> Path | None:
    """Where a session's tape of a kind is to be written; None when nothing is to be recorded."""
    if config.record_dir is None:
        return None
    return Path(config.record_dir).expanduser() / f"{session_id}.{kind}"


def _trace_path(config: ServerConfig, session_id: str) -> Path | None:
    if config.trace_dir is None:
        return None
    return Path(config.trace_dir).expanduser() / f"{session_id}.trace.jsonl"
