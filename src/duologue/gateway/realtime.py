"""`WS /v1/realtime`: who may have a session, of which model, and where there is room.

An upgrade goes through key, query, model and capacity in that order; what fails is refused
as reference sections 1.2, 1.3 and 7 have it, before any session exists. Then the parts are
joined (session, talk, voice activity, recorder) and the transport carries them to the end.
`session.created` is thus never sent to a client that was not let in.
"""

import logging
import re
import time
from pathlib import Path

from starlette.datastructures import QueryParams
from starlette.websockets import WebSocket

from duologue.config import ServerConfig
from duologue.core.settings import SessionConfig
from duologue.core.talk import Ask
from duologue.errors import EngineBusy
from duologue.gateway.auth import Keys, subprotocol
from duologue.gateway.compose import Parts
from duologue.gateway.faults import WRONG_KEY, Fatal, refuse, unauthorised
from duologue.gateway.sessions import Sessions
from duologue.runtime.ids import IdSource, new_seed
from duologue.runtime.runner import Runner
from duologue.transports.websocket import carry

logger = logging.getLogger(__name__)

OWN_MODEL = "duologue"
LISTED_MODELS = (OWN_MODEL, "gpt-realtime", "gpt-realtime-mini")
"""What `/v1/models` shows; every name that `is_known` accepts leads to the same engine."""

CONVERSATION_MODEL = re.compile(
    r"duologue|gpt-(4o-|4o-mini-)?realtime(?!-whisper|-translate)(-[a-z0-9.-]+)?"
)
"""Names that applications use for a conversation; two of that family only transcribe."""

TRY_AGAIN_LATER = 1013
REFUSED = 4000


def is_known(model: str) -> bool:
    """Whether a model name means the configured engine."""
    return CONVERSATION_MODEL.fullmatch(model) is not None


class Realtime:
    """The endpoint, for all connections of one server."""

    def __init__(self, config: ServerConfig, keys: Keys, parts: Parts, sessions: Sessions) -> None:
        self._config = config
        self._keys = keys
        self._parts = parts
        self._sessions = sessions
        voices = parts.engine.traits.voices
        self._voice = config.voice or next(iter(voices), SessionConfig(id="", model="").voice)

    async def connect(self, websocket: WebSocket) -> None:
        """One connection, from the upgrade to its end."""
        protocol = subprotocol(websocket.scope["subprotocols"])
        verdict = self._keys.judge(websocket)
        if verdict == "none" or (verdict == "wrong" and self._config.auth_failure == "401"):
            await websocket.send_denial_response(unauthorised(verdict))
            return
        fatal = WRONG_KEY if verdict == "wrong" else self._fault_of(websocket.query_params)
        if fatal is None:
            try:
                with self._sessions.place():
                    await self._converse(websocket, protocol)
                return
            except EngineBusy as busy:
                fatal = _full(busy)
        logger.info("a connection was refused: %s", fatal.code)
        await refuse(websocket, fatal, protocol)

    def _fault_of(self, query: QueryParams) -> Fatal | None:
        """What is wrong with the query, if anything; keys that are not known are let be."""
        if "call_id" in query:
            return Fatal(REFUSED, "invalid_value", "There is no such call.", param="call_id")
        if intent := query.get("intent"):
            if intent != "realtime":
                message = f"Sessions with intent '{intent}' are not served here."
                return Fatal(REFUSED, "invalid_value", message, param="intent")
        model = query.get("model", "")
        if not model:
            if self._config.missing_model == "lenient":
                return None
            message = f"You must provide a model parameter, such as `model={OWN_MODEL}`."
            return Fatal(REFUSED, "missing_model", message)
        if not is_known(model) and self._config.unknown_model == "strict":
            message = f"Model '{model[:100]}' is not served here; '{OWN_MODEL}' is."
            return Fatal(REFUSED, "invalid_model", message)
        return None

    async def _converse(self, websocket: WebSocket, protocol: str | None) -> None:
        """Lease a talk and live the session; raises `EngineBusy` before anything is sent."""
        config = self._config
        try:
            await websocket.accept(protocol)
        except OSError:
            return  # gone before it was let in
        ask = Ask(instructions=config.instructions, voice=self._voice)
        talk = await self._parts.engine.open(ask)
        settings = self._settings(IdSource(new_seed())("sess"), websocket.query_params.get("model"))
        runner = Runner(  # owns the talk from here, and gives it back however the session ends
            settings,
            talk,
            self._parts.transcriber,
            self._parts.activity.open(),
            outbox_bytes=config.outbox_bytes,
            tape=self._tape(settings.id),
        )
        with self._sessions.running(runner):
            await carry(
                websocket,
                runner,
                send_timeout_s=config.send_timeout_s,
                strict=config.unknown_keys == "strict",
            )

    def _settings(self, session_id: str, model: str | None) -> SessionConfig:
        config = self._config
        return SessionConfig(
            id=session_id,
            model=model or OWN_MODEL,
            model_is_open=not model,
            voice=self._voice,
            voices=self._parts.engine.traits.voices,
            instructions=config.instructions,
            silence_duration_ms=config.silence_duration_ms,
            expires_at=int(time.time()) + config.session_max_s,  # noqa: TID251 - the wire's clock
            max_s=config.session_max_s,
        )

    def _tape(self, session_id: str) -> Path | None:
        if self._config.record_dir is None:
            return None
        return Path(self._config.record_dir).expanduser() / f"{session_id}.jsonl"


def _full(busy: EngineBusy) -> Fatal:
    """No room, for now: 1013 tells clients that reconnect to do so, a few times and later.

    The code is none that clients take for an account that is spent (reference, section 7).
    """
    return Fatal(TRY_AGAIN_LATER, "session_limit_reached", str(busy), type="server_error")
