"""`WS /v1/realtime` and `/v1/realtime/translations`: who may have a session, and is there room.

An upgrade goes through key, query, model and capacity in that order; what fails is refused
as reference sections 1.2, 1.3 and 7 have it, before any session exists. Then the parts are
joined (session, talk, voice activity, recorder) and the transport carries them to the end.
`session.created` is thus never sent to a client that was not let in.
"""

import logging
import re

from msgspec import structs
from starlette.datastructures import QueryParams
from starlette.websockets import WebSocket

from duologue.config import ServerConfig
from duologue.errors import EngineBusy, Refusal
from duologue.events import RealtimeSessionUpdate, TranscriptionSessionUpdate
from duologue.events.client_secrets import TranslationSessionCreate
from duologue.gateway.auth import Doorkeeper, Passage, subprotocol
from duologue.gateway.calls import Calls
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
from duologue.gateway.opening import open_runner, open_talk
from duologue.gateway.resumption import OPT_IN, QUERY_KEY, Resumption
from duologue.gateway.session_start import OWN_MODEL, SessionStart, SessionType
from duologue.gateway.sessions import KeyBusy, Sessions
from duologue.transports.websocket import attend, carry

logger = logging.getLogger(__name__)

TRANSLATION_MODEL = re.compile(r"duologue|gpt-realtime-translate(-[a-z0-9.-]+)?")

TRY_AGAIN_LATER = 1013

NO_SUCH_CALL = Fatal(REFUSED, "invalid_value", "There is no such call.", param="call_id")


class Realtime:
    """The endpoint, for all connections of one server."""

    def __init__(
        self,
        config: ServerConfig,
        door: Doorkeeper,
        start: SessionStart,
        parts: Parts,
        sessions: Sessions,
        calls: Calls,
    ) -> None:
        self._config = config
        self._door = door
        self._start = start
        self._parts = parts
        self._sessions = sessions
        self._calls = calls
        self._resumption = Resumption(config.resume_grace_s)

    async def connect(self, websocket: WebSocket, *, translation: bool = False) -> None:
        """One connection, from the upgrade to its end; `translation` says by which door."""
        protocol = subprotocol(websocket.scope["subprotocols"])
        passage = self._door.judge(websocket)
        fatal: Fatal | None
        if not isinstance(passage, Passage):
            if passage == "none" or self._config.auth_failure == "401":
                await websocket.send_denial_response(unauthorised(passage))
                return
            fatal = fatal_of(passage)
        else:
            query, sessions = websocket.query_params, self._sessions
            kind: SessionType = "translation" if translation else self._type_of(query, passage)
            fatal = self._fault_of(query, passage, kind)
            if self._config.beta == "refuse" and asks_for_beta(websocket, passage):
                fatal = BETA_REFUSED
        if fatal is None:
            assert isinstance(passage, Passage)
            if "call_id" in query and kind != "translation":
                await self._attend_call(websocket, protocol, passage)
                return
            if query.get(QUERY_KEY, "") not in ("", OPT_IN):
                await self._resume(websocket, protocol, passage, kind)
                return
            place = sessions.place if kind == "realtime" else sessions.listening_place
            try:
                with place(passage.key):
                    await self._converse(websocket, protocol, passage, kind)
                return
            except EngineBusy as busy:
                fatal = _full(busy)
            except Refusal as refusal:  # what a secret is bound to is not to be had any more
                fatal = Fatal(REFUSED, refusal.code, refusal.message, param=refusal.param)
        logger.info("a connection was refused: %s", fatal.code)
        await refuse(websocket, fatal, protocol)

    def _type_of(self, query: QueryParams, passage: Passage) -> SessionType:
        """What kind of session `/v1/realtime` shall be."""
        if passage.bound and isinstance(passage.bound.start, TranscriptionSessionUpdate):
            return "transcription"
        is_transcriber = self._start.transcriber(query.get("model", "")) is not None
        if query.get("intent") == "transcription" or ("intent" not in query and is_transcriber):
            return "transcription"
        return "realtime"

    def _fault_of(self, query: QueryParams, passage: Passage, kind: SessionType) -> Fatal | None:
        """What is wrong with the query, if anything; keys that are not known are let be."""
        if kind == "translation":
            return self._fault_of_translation(query.get("model", ""), passage)
        if "call_id" in query:
            if passage.bound:
                return Fatal(REFUSED, "insufficient_permissions", NOT_WITH_A_SECRET)
            if self._calls.find(query["call_id"], passage) is None:
                return NO_SUCH_CALL
            return None
        if intent := query.get("intent"):
            if intent not in ("realtime", "transcription"):
                message = f"Sessions with intent '{intent}' are not served here."
                return Fatal(REFUSED, "invalid_value", message, param="intent")
        start = passage.bound.start if passage.bound else None
        if start is not None and not isinstance(
            start, TranscriptionSessionUpdate if kind == "transcription" else RealtimeSessionUpdate
        ):
            message = "The session that this client secret is bound to is not of this kind."
            return Fatal(REFUSED, "invalid_value", message, param="session.type")
        return self._fault_of_model(query.get("model", ""), passage, kind)

    def _fault_of_model(self, model: str, passage: Passage, kind: SessionType) -> Fatal | None:
        if kind == "transcription" and (not model or self._start.transcriber(model)):
            return None
        if not model:
            # A secret has settled which model it is for, be it by default.
            if self._config.missing_model == "lenient" or passage.bound:
                return None
            return _missing_model(OWN_MODEL)
        try:
            self._start.check_model(model)
        except Refusal as refusal:
            return Fatal(REFUSED, refusal.code, refusal.message)
        return None

    def _fault_of_translation(self, model: str, passage: Passage) -> Fatal | None:
        start = passage.bound.start if passage.bound else None
        if start is not None and not isinstance(start, TranslationSessionCreate):
            message = "The session that this client secret is bound to is not of this kind."
            return Fatal(REFUSED, "invalid_value", message, param="session.type")
        model = model or (start.model if start else "")
        if not model:
            return _missing_model("gpt-realtime-translate")
        if self._config.unknown_model == "strict" and not TRANSLATION_MODEL.fullmatch(model):
            message = f"Model '{model[:100]}' does not translate here; '{OWN_MODEL}' does."
            return Fatal(REFUSED, "invalid_model", message)
        if self._parts.translator is None:
            return Fatal(REFUSED, "invalid_model", self._parts.why_no_translator)
        return None

    async def _converse(
        self, websocket: WebSocket, protocol: str | None, passage: Passage, kind: SessionType
    ) -> None:
        """Lease a talk and live the session; raises `EngineBusy` before anything is sent.

        Only a conversation needs a talk.
        """
        config = self._config
        try:
            await websocket.accept(protocol)
        except OSError:
            return  # gone before it was let in
        is_beta = asks_for_beta(websocket, passage) and kind != "translation"
        start = passage.bound.start if passage.bound else None
        if kind == "realtime":
            await self._start.look()
        settings = self._start.running(websocket.query_params.get("model"), start, kind)
        settings = structs.replace(settings, announces_conversation=is_beta)
        talk = offer = card = None
        if kind == "realtime":
            ask = self._start.ask(settings)
            talk, settings = await open_talk(self._parts.engine, self._start, settings, ask)
            # The beta dialect remembers what it said; a session in it ends with its connection.
            offer = None if is_beta else self._resumption.offer(websocket.query_params)
            card = None if is_beta else self._start.card
        runner = open_runner(
            config, self._parts, settings, talk, websocket, passage, card=card, offer=offer
        )
        if offer is not None:
            self._resumption.hold(runner, offer, passage.key.terms.digest)
        try:
            with self._sessions.running(runner, passage.key):
                await carry(
                    websocket,
                    runner,
                    dialect_of(config, passage, is_beta=is_beta, translation=kind == "translation"),
                    send_timeout_s=config.send_timeout_s,
                )
        finally:
            self._resumption.forget(runner)

    async def _resume(
        self, websocket: WebSocket, protocol: str | None, passage: Passage, kind: SessionType
    ) -> None:
        """Give a client that comes back its conversation, which has a place already."""
        try:
            await websocket.accept(protocol)
        except OSError:
            return  # gone again
        query = websocket.query_params
        after = query.get("after") or None
        runner = self._resumption.find(query[QUERY_KEY], passage.key.terms.digest)
        if runner is None or runner.over or kind != "realtime":
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

    async def _attend_call(
        self, websocket: WebSocket, protocol: str | None, passage: Passage
    ) -> None:
        """Let a sideband into a call of the same key, for as long as that lasts."""
        try:
            await websocket.accept(protocol)
        except OSError:
            return  # gone before it was let in
        call = self._calls.find(websocket.query_params["call_id"], passage)
        line = call.sidebands.attach() if call and call.sidebands else None
        if call is None or call.runner is None or line is None:
            await refuse(websocket, NO_SUCH_CALL, protocol)  # over, or not connected yet
            return
        await attend(
            websocket,
            call.runner,
            line,
            dialect_of(self._config, passage, is_beta=asks_for_beta(websocket, passage)),
            send_timeout_s=self._config.send_timeout_s,
        )


def _missing_model(example: str) -> Fatal:
    message = f"You must provide a model parameter, such as `model={example}`."
    return Fatal(REFUSED, "missing_model", message)


def _full(busy: EngineBusy) -> Fatal:
    """No room, for now: 1013 tells clients that reconnect to do so, a few times and later.

    The code is none that clients take for an account that is spent (reference, section 7).
    """
    kind: ErrorType = "rate_limit_error" if isinstance(busy, KeyBusy) else "server_error"
    return Fatal(TRY_AGAIN_LATER, "session_limit_reached", str(busy), type=kind)
