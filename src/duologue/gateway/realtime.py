"""`WS /v1/realtime`: who may have a session, of which model, and where there is room.

An upgrade goes through key, query, model and capacity in that order; what fails is refused
as reference sections 1.2, 1.3 and 7 have it, before any session exists. Then the parts are
joined (session, talk, voice activity, recorder) and the transport carries them to the end.
`session.created` is thus never sent to a client that was not let in.
"""

import logging
from pathlib import Path

from msgspec import structs
from starlette.datastructures import QueryParams
from starlette.websockets import WebSocket

from duologue.config import ServerConfig
from duologue.errors import EngineBusy, Refusal
from duologue.events import RealtimeSessionUpdate, SessionUpdateParams
from duologue.gateway.auth import Doorkeeper, Passage, safety_identifier, subprotocol
from duologue.gateway.compose import Parts
from duologue.gateway.dialects import asks_for_beta, dialect_of
from duologue.gateway.faults import (
    BETA_REFUSED,
    NOT_WITH_A_SECRET,
    REFUSED,
    ErrorType,
    Fatal,
    fatal_of,
    refuse,
    unauthorised,
)
from duologue.gateway.resumption import OPT_IN, QUERY_KEY, Resumption
from duologue.gateway.session_start import OWN_MODEL, SessionStart
from duologue.gateway.sessions import KeyBusy, Sessions
from duologue.runtime.runner import Runner
from duologue.transports.websocket import attend, carry

logger = logging.getLogger(__name__)

TRY_AGAIN_LATER = 1013


class Realtime:
    """The endpoint, for all connections of one server."""

    def __init__(
        self,
        config: ServerConfig,
        door: Doorkeeper,
        start: SessionStart,
        parts: Parts,
        sessions: Sessions,
    ) -> None:
        self._config = config
        self._door = door
        self._start = start
        self._parts = parts
        self._sessions = sessions
        self._resumption = Resumption(config.resume_grace_s)

    async def connect(self, websocket: WebSocket) -> None:
        """One connection, from the upgrade to its end."""
        protocol = subprotocol(websocket.scope["subprotocols"])
        passage = self._door.judge(websocket)
        fatal: Fatal | None
        if not isinstance(passage, Passage):
            if passage == "none" or self._config.auth_failure == "401":
                await websocket.send_denial_response(unauthorised(passage))
                return
            fatal = fatal_of(passage)
        elif self._config.beta == "refuse" and asks_for_beta(websocket, passage):
            fatal = BETA_REFUSED
        elif not (fatal := self._fault_of(websocket.query_params, passage)):
            if websocket.query_params.get(QUERY_KEY, "") not in ("", OPT_IN):
                await self._resume(websocket, protocol, passage)
                return
            try:
                with self._sessions.place(passage.key):
                    await self._converse(websocket, protocol, passage)
                return
            except EngineBusy as busy:
                fatal = _full(busy)
        logger.info("a connection was refused: %s", fatal.code)
        await refuse(websocket, fatal, protocol)

    def _fault_of(self, query: QueryParams, passage: Passage) -> Fatal | None:
        """What is wrong with the query, if anything; keys that are not known are let be."""
        if "call_id" in query:
            if passage.bound:
                return Fatal(REFUSED, "insufficient_permissions", NOT_WITH_A_SECRET)
            return Fatal(REFUSED, "invalid_value", "There is no such call.", param="call_id")
        if intent := query.get("intent"):
            if intent != "realtime":
                message = f"Sessions with intent '{intent}' are not served here."
                return Fatal(REFUSED, "invalid_value", message, param="intent")
        if passage.bound and passage.bound.start is not None and _start_of(passage) is None:
            message = "The session that this client secret is bound to is not served here."
            return Fatal(REFUSED, "invalid_value", message, param="session.type")
        return self._fault_of_model(query.get("model", ""), passage)

    def _fault_of_model(self, model: str, passage: Passage) -> Fatal | None:
        if not model:
            # A secret has settled which model it is for, be it by default.
            if self._config.missing_model == "lenient" or passage.bound:
                return None
            message = f"You must provide a model parameter, such as `model={OWN_MODEL}`."
            return Fatal(REFUSED, "missing_model", message)
        try:
            self._start.check_model(model)
        except Refusal as refusal:
            return Fatal(REFUSED, refusal.code, refusal.message)
        return None

    async def _converse(self, websocket: WebSocket, protocol: str | None, passage: Passage) -> None:
        """Lease a talk and live the session; raises `EngineBusy` before anything is sent."""
        config = self._config
        try:
            await websocket.accept(protocol)
        except OSError:
            return  # gone before it was let in
        is_beta = asks_for_beta(websocket, passage)
        settings = self._start.running(websocket.query_params.get("model"), _start_of(passage))
        settings = structs.replace(settings, announces_conversation=is_beta)
        talk = await self._parts.engine.open(self._start.ask(settings))
        # The beta dialect remembers what it said; a session in it ends with its connection.
        offer = None if is_beta else self._resumption.offer(websocket.query_params)
        runner = Runner(  # owns the talk from here, and gives it back however the session ends
            settings,
            talk,
            self._parts.transcriber,
            self._parts.activity.open(),
            self._parts.turn_end,
            noise=self._parts.noise,
            images=self._parts.images,
            offer=offer,
            outbox_bytes=config.outbox_bytes,
            limiter=passage.key.limiter,
            tape=self._tape(settings.id),
        )
        logger.info(
            "session %s: key %s, safety identifier %s",
            settings.id,
            passage.key.terms.name,
            safety_identifier(websocket, passage),
        )
        if offer is not None:
            self._resumption.hold(runner, offer, passage.key.terms.digest)
        try:
            with self._sessions.running(runner, passage.key):
                await carry(
                    websocket,
                    runner,
                    dialect_of(config, passage, is_beta=is_beta),
                    send_timeout_s=config.send_timeout_s,
                )
        finally:
            self._resumption.forget(runner)

    async def _resume(self, websocket: WebSocket, protocol: str | None, passage: Passage) -> None:
        """Give a client that comes back its session, which has a place already."""
        try:
            await websocket.accept(protocol)
        except OSError:
            return  # gone again
        query = websocket.query_params
        after = query.get("after") or None
        runner = self._resumption.find(query[QUERY_KEY], passage.key.terms.digest)
        if runner is None or runner.over:
            message = "The token is not known: used before, too late, or given to another key."
            fatal = Fatal(REFUSED, "resume_token_invalid", message, param=QUERY_KEY)
        elif not runner.can_resume(after):
            message = "What was sent after that event is not known any more."
            fatal = Fatal(REFUSED, "resume_gap", message, param="after")
        else:
            line = await runner.resume(self._resumption.renew(runner), after)
            await attend(
                websocket,
                runner,
                line,
                dialect_of(self._config, passage, is_beta=False),
                send_timeout_s=self._config.send_timeout_s,
            )
            return
        logger.info("a connection was refused: %s", fatal.code)
        await refuse(websocket, fatal, protocol)

    def _tape(self, session_id: str) -> Path | None:
        if self._config.record_dir is None:
            return None
        return Path(self._config.record_dir).expanduser() / f"{session_id}.jsonl"


def _start_of(passage: Passage) -> SessionUpdateParams | None:
    """What a conversation with this passage begins with."""
    start = passage.bound.start if passage.bound else None
    return start if isinstance(start, RealtimeSessionUpdate) else None


def _full(busy: EngineBusy) -> Fatal:
    """No room, for now: 1013 tells clients that reconnect to do so, a few times and later.

    The code is none that clients take for an account that is spent (reference, section 7).
    """
    kind: ErrorType = "rate_limit_error" if isinstance(busy, KeyBusy) else "server_error"
    return Fatal(TRY_AGAIN_LATER, "session_limit_reached", str(busy), type=kind)
