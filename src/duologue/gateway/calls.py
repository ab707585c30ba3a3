"""`POST /v1/realtime/calls`: WebRTC calls, from the offer to the end; hangup and sidebands.

    POST /v1/realtime/calls                 offer ─► 201, answer, `Location: …/rtc_…`
    POST /v1/realtime/calls/{id}/hangup     200; 404 when there is no such call
    POST /v1/realtime/calls/{id}/restart    offer ─► 200, answer: ICE anew, the same call
    POST /v1/realtime?model=                the beta way to a call
    WS   /v1/realtime?call_id=              a sideband (`realtime.py`)

A call outlives the request that made it: its task belongs to `running`, which the app's
lifespan holds. It takes a place, answers, waits for the data channel, lives its session, and
lets go of everything, whatever ends it. Reference 1.5 and 1.8, C-026 to C-038.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hmac import compare_digest

from msgspec import Struct, structs
from starlette.requests import Request
from starlette.responses import Response

from duologue.config import ServerConfig
from duologue.errors import DuologueError, EngineBusy, Refusal
from duologue.events import RealtimeSessionUpdate, TranscriptionSessionUpdate
from duologue.gateway.auth import Doorkeeper, Passage, credential
from duologue.gateway.client_secrets import PREFIX
from duologue.gateway.compose import Parts
from duologue.gateway.dialects import asks_for_beta, dialect_of
from duologue.gateway.faults import beta_refused, http_error, needs_standard_key, unauthorised
from duologue.gateway.keys import digest_of
from duologue.gateway.offers import Offer, read_offer, read_sdp
from duologue.gateway.opening import open_runner, open_talk, tape_path
from duologue.gateway.resumption import OPT_IN, QUERY_KEY
from duologue.gateway.session_start import OWN_MODEL, SessionStart, SessionStartParams, SessionType
from duologue.gateway.sessions import KeyBusy, Sessions
from duologue.runtime.ids import IdSource, new_seed
from duologue.runtime.runner import Runner
from duologue.runtime.sidebands import Sidebands
from duologue.transports.webrtc.call import Media, carry, connected
from duologue.transports.webrtc.ice import ice_policy
from duologue.transports.webrtc.pacer import Pacer
from duologue.transports.webrtc.peer import Peer

logger = logging.getLogger(__name__)

SETUP_S = 10.0
"""How long a peer may take from the answer to the open data channel."""

NO_SUCH_CALL = "There is no such call."


class Call(Struct, eq=False):
    """One call that is being made or held. `owner` is the digest of its key.

    `secret` is the digest of the client secret that made it, if one did.
    """

    id: str
    owner: str
    secret: str | None
    peer: Peer
    runner: Runner | None = None
    sidebands: Sidebands | None = None

    def hang_up(self) -> None:
        """End it, as its client could."""
        if self.runner is not None:
            self.runner.end(1000, "")
        if not self.peer.opened.is_set():
            self.peer.give_up()


class _Ask(Struct, frozen=True):
    """A call that is asked for: by whom, how, and with what settings."""

    request: Request
    passage: Passage
    is_beta: bool
    grace_s: int
    kind: SessionType
    model: str | None
    start: SessionStartParams | None
    sdp: str


class Calls:
    """All calls of one server."""

    def __init__(
        self,
        config: ServerConfig,
        door: Doorkeeper,
        start: SessionStart,
        parts: Parts,
        sessions: Sessions,
        setup_s: float = SETUP_S,
    ) -> None:
        self._config = config
        self._setup_s = setup_s
        self._door = door
        self._start = start
        self._parts = parts
        self._sessions = sessions
        self._policy = ice_policy(
            config.ice_servers,
            config.ice_username,
            config.ice_credential,
            config.webrtc_hosts,
            config.webrtc_ports,
            config.webrtc_address,
        )
        self._pacer = Pacer()
        self._new_id = IdSource(new_seed())
        self._calls: dict[str, Call] = {}
        self._tasks: asyncio.TaskGroup | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Calls can be made for as long as this lasts; at its end those that are left end."""
        failure: Exception | None = None
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            try:
                yield
            except Exception as fault:  # none of the calls' doing: it goes on as it is
                failure = fault
            finally:
                self.close()
        if failure is not None:
            raise failure

    def close(self) -> None:
        """Take no more calls and have those that are not connected yet end at once."""
        self._tasks = None
        for call in self._calls.values():
            call.peer.give_up()

    async def create(self, request: Request, *, beta: bool = False) -> Response:
        """Answer an offer; `beta` where it came by the beta route."""
        passage = self._door.judge(request)
        if not isinstance(passage, Passage):
            return unauthorised(passage)
        is_beta = beta or asks_for_beta(request, passage)
        if is_beta and self._config.beta == "refuse":
            return beta_refused()
        offer = await read_offer(request, strict=self._config.unknown_keys == "strict")
        ask = self._ask(request, passage, offer, is_beta=is_beta)
        if self._tasks is None:
            return http_error(503, "The server is shutting down.", "server_shutting_down")
        call_id = self._new_id("rtc")
        answered: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._tasks.create_task(self._live(call_id, ask, answered))
        if await _left_before(answered, request):
            answered.cancel()
            if call := self._calls.get(call_id):
                logger.info("call %s: who asked for it did not wait for the answer", call_id)
                call.hang_up()
            return Response(status_code=499)  # to nobody
        try:
            answer = await answered
        except KeyBusy as busy:
            return http_error(429, str(busy), "session_limit_reached")
        except EngineBusy as busy:
            return http_error(503, str(busy), "session_limit_reached")
        location = f"/v1/realtime/calls/{call_id}"
        return Response(answer, 201, media_type="application/sdp", headers={"Location": location})

    async def hang_up(self, request: Request) -> Response:
        """End a call of the same key."""
        passage = self._door.judge(request)
        if not isinstance(passage, Passage):
            return unauthorised(passage)
        if passage.bound:
            return needs_standard_key()
        call = self.find(request.path_params["call_id"], passage)
        if call is None:
            return http_error(404, NO_SUCH_CALL, "call_not_found", "call_id")
        del self._calls[call.id]
        call.hang_up()
        return Response(status_code=200)

    async def restart(self, request: Request) -> Response:
        """Answer an offer to restart the ICE of a call: its client has another network.

        A client secret may restart the call that it made, for as long as that lasts: it begins
        nothing, and DTLS, whose keys stay as they are, knows the client.
        """
        call = self._to_restart(request)
        if isinstance(call, Response):
            return call
        sdp = await read_sdp(request)
        try:
            answer = await call.peer.restart(sdp)
        except EngineBusy as busy:
            return http_error(503, str(busy), "no_port_free")
        return Response(answer, 200, media_type="application/sdp")

    def _to_restart(self, request: Request) -> Call | Response:
        passage = self._door.judge(request)
        call_id = request.path_params["call_id"]
        if isinstance(passage, Passage):
            call = self.find(call_id, passage)
        elif passage == "expired" and (call := self._calls.get(call_id)):
            given = credential(request.headers) or ""
            if call.secret is None or not compare_digest(call.secret, digest_of(given)):
                return unauthorised(passage)
        else:
            return unauthorised(passage)
        return call or http_error(404, NO_SUCH_CALL, "call_not_found", "call_id")

    def find(self, call_id: str, passage: Passage) -> Call | None:
        """The call of that id, if the key is that of its maker."""
        call = self._calls.get(call_id)
        return call if call and call.owner == passage.key.terms.digest else None

    def _ask(self, request: Request, passage: Passage, offer: Offer, *, is_beta: bool) -> _Ask:
        """What a request asks for; raises `Refusal`."""
        start = offer.start or (passage.bound.start if passage.bound else None)
        model = request.query_params.get("model") or None
        kind: SessionType = "realtime"
        if isinstance(start, TranscriptionSessionUpdate):
            kind = "transcription"
        elif start is not None and not isinstance(start, RealtimeSessionUpdate):
            message = "The session that this client secret is bound to is not of this kind."
            raise Refusal("invalid_value", message, "session.type")
        elif start is None and self._start.transcriber(model or ""):
            kind = "transcription"
        if kind == "realtime":
            if model:
                self._start.check_model(model, "model")
            elif isinstance(start, RealtimeSessionUpdate) and start.model:
                self._start.check_model(start.model, "session.model")
            elif self._config.missing_model == "strict" and not passage.bound:
                message = f"You must provide a model parameter, such as `model={OWN_MODEL}`."
                raise Refusal("missing_model", message, "model")
        grace_s = self._grace_s(request)
        return _Ask(request, passage, is_beta, grace_s, kind, model, start, offer.sdp)

    def _grace_s(self, request: Request) -> int:
        wish = request.query_params.get(QUERY_KEY, "")
        if wish not in ("", OPT_IN):
            message = f"A call is restarted by its own URL; '{QUERY_KEY}' may be '{OPT_IN}' here."
            raise Refusal("invalid_value", message, QUERY_KEY)
        return self._config.resume_grace_s if wish else 0

    async def _live(self, call_id: str, ask: _Ask, answered: asyncio.Future[str]) -> None:
        """A call, from its place to its end; `answered` is told the answer or what is wrong."""
        is_talk = ask.kind == "realtime"
        place = self._sessions.place if is_talk else self._sessions.listening_place
        try:
            with place(ask.passage.key):
                media = Media()
                peer = Peer(media.voice, media.inbound, self._policy, ask.grace_s)
                call = Call(call_id, ask.passage.key.terms.digest, _secret_of(ask), peer)
                self._calls[call_id] = call
                try:
                    answer = await peer.answer(ask.sdp)
                    runner = await self._open(call, ask, media)
                    if not answered.done():
                        answered.set_result(answer)
                    await self._converse(call, runner, ask, media)
                finally:
                    self._calls.pop(call_id, None)
                    try:
                        await peer.close()
                    finally:
                        await media.inbound.close()
        except DuologueError as fault:
            if not answered.done():
                answered.set_exception(fault)
        except Exception as fault:
            logger.exception("call %s: broke and is ended", call_id)
            if not answered.done():
                answered.set_exception(fault)
        finally:
            answered.cancel()  # nothing, once it is told

    async def _open(self, call: Call, ask: _Ask, media: Media) -> Runner:
        if ask.kind == "realtime":
            await self._start.look()
        settings = await asyncio.to_thread(self._start.running, ask.model, ask.start, ask.kind)
        settings = structs.replace(
            settings, announces_conversation=ask.is_beta, plays=ask.kind == "realtime"
        )
        talk = card = None
        if ask.kind == "realtime":
            leased = await asyncio.to_thread(self._start.ask, settings)
            talk, settings = await open_talk(self._parts.engine, self._start, settings, leased)
            card = None if ask.is_beta else self._start.card
        if tape := tape_path(self._config, settings.id, "pcap"):
            media.inbound.record(tape)
        runner = open_runner(
            self._config,
            self._parts,
            settings,
            talk,
            ask.request,
            ask.passage,
            card=card,
            speaker=media.playout,
        )
        call.runner, call.sidebands = runner, Sidebands(runner.receive)
        logger.info("call %s: session %s", call.id, settings.id)
        return runner

    async def _converse(self, call: Call, runner: Runner, ask: _Ask, media: Media) -> None:
        with self._sessions.running(runner, ask.passage.key):
            if not await connected(call.peer, self._setup_s):
                logger.info("call %s: the peer did not connect", call.id)
                runner.disconnect()
                await runner.run()  # gives back what it was made with
                return
            assert call.sidebands is not None
            await carry(
                call.peer,
                media,
                self._pacer,
                runner,
                dialect_of(self._config, ask.passage, is_beta=ask.is_beta),
                call.sidebands,
                send_timeout_s=self._config.send_timeout_s,
            )


async def _left_before(answered: asyncio.Future[str], request: Request) -> bool:
    """Wait for the answer, or until the client hangs up; whether it has."""
    async with asyncio.TaskGroup() as tasks:
        leaving = tasks.create_task(_left(request))
        await asyncio.wait((answered, leaving), return_when=asyncio.FIRST_COMPLETED)
        leaving.cancel()
    return not leaving.cancelled()


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _secret_of(ask: _Ask) -> str | None:
    given = credential(ask.request.headers) or ""
    return digest_of(given) if given.startswith(PREFIX) else None
