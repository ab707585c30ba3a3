"""The ASGI app: what is served where, and how it starts and stops.

`create_app(config)` gives a Starlette app. Its lifespan loads the engine's weights before
the first request and ends every session with close code 1001 before it frees them.

    WS   /v1/realtime                 sessions (`realtime.py`)
    WS   /v1/realtime/translations    translation sessions
    POST /v1/audio/transcriptions     the ear alone (`audio_routes.py`)
    POST /v1/audio/speech             the voice alone
    POST /v1/realtime/client_secrets  secrets for browsers (`secret_routes.py`)
    POST /v1/realtime/calls           WebRTC calls, their hangup and restart (`calls.py`)
    POST /v1/realtime/sessions        the same in the beta protocol (`beta_routes.py`)
    GET  /v1/models                   the models of this server, and what the engine honestly is
    GET  /healthz                     for load balancers and people; needs no key
    GET  /                            the page to talk to it (`playground.py`)
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from duologue import __version__
from duologue.config import ServerConfig
from duologue.core.prompts import Prompts
from duologue.core.settings import WELL_KNOWN_VOICES
from duologue.errors import ConfigFault, EngineBusy, Refusal
from duologue.gateway.audio_routes import AudioRoutes
from duologue.gateway.auth import Doorkeeper, Passage
from duologue.gateway.beta_routes import BetaRoutes
from duologue.gateway.calls import SETUP_S, Calls
from duologue.gateway.client_secrets import ClientSecrets
from duologue.gateway.compose import Parts, compose
from duologue.gateway.faults import (
    http_error,
    needs_standard_key,
    on_exception,
    on_http_exception,
    on_refusal,
    unauthorised,
)
from duologue.gateway.key_source import KeySource
from duologue.gateway.origins import Origins
from duologue.gateway.playground import Playground
from duologue.gateway.prompt_files import followed_prompts
from duologue.gateway.realtime import Realtime
from duologue.gateway.secret_routes import SecretRoutes
from duologue.gateway.session_start import LISTED_MODELS, SessionStart
from duologue.gateway.sessions import Sessions

CREATED = 1767225600
"""`created` of the model objects: a date is asked for and no client reads it (2026-01-01)."""

CLOSING_PATIENCE_S = 5.0


Clock = Callable[[], float]
MakeParts = Callable[[ServerConfig], Awaitable[Parts]]

wall_clock: Clock = time.time  # noqa: TID251 - this is the composition root
"""Unix seconds: what the wire says about expiry. Deadlines go by the monotonic clock."""


def create_app(
    config: ServerConfig,
    clock: Clock = wall_clock,
    make_parts: MakeParts = compose,
    setup_s: float = SETUP_S,
) -> Starlette:
    """The app of one server; there must be an `api_key` or a `keys_file`. Raises `ConfigFault`.

    `make_parts` loads what the settings ask for, `setup_s` is how long a call may take to connect.
    """
    origins = Origins(config.allowed_origins)
    gateway = Gateway(config, origins, clock, make_parts, setup_s)
    app = Starlette(
        routes=[
            Route("/", gateway.front_page),
            Route("/playground/secret", gateway.playground_secret, methods=["POST"]),
            Route("/playground/{name}", gateway.playground_file),
            Route("/healthz", gateway.health),
            Route("/v1/models", gateway.models),
            Route("/v1/models/{model}", gateway.model),
            Route("/v1/audio/transcriptions", gateway.transcription, methods=["POST"]),
            Route("/v1/audio/speech", gateway.speech, methods=["POST"]),
            Route("/v1/realtime/client_secrets", gateway.client_secret, methods=["POST"]),
            Route(
                "/v1/realtime/translations/client_secrets",
                gateway.translation_client_secret,
                methods=["POST"],
            ),
            Route("/v1/realtime/sessions", gateway.beta_session, methods=["POST"]),
            Route(
                "/v1/realtime/transcription_sessions",
                gateway.beta_transcription_session,
                methods=["POST"],
            ),
            Route("/v1/realtime/calls", gateway.call, methods=["POST"]),
            Route("/v1/realtime/calls/{call_id}/hangup", gateway.hang_up, methods=["POST"]),
            Route("/v1/realtime/calls/{call_id}/restart", gateway.restart, methods=["POST"]),
            Route("/v1/realtime", gateway.beta_call, methods=["POST"]),
            WebSocketRoute("/v1/realtime", gateway.realtime),
            WebSocketRoute("/v1/realtime/translations", gateway.translation),
        ],
        middleware=[origins.middleware()],
        exception_handlers={
            HTTPException: on_http_exception,
            Refusal: on_refusal,
            Exception: on_exception,
        },
        lifespan=gateway.lifespan,
    )
    app.state.gateway = gateway
    app.router.redirect_slashes = False
    app.router.default = _nowhere
    return app


class Gateway:
    """The routes of one server and what they share while it runs."""

    def __init__(
        self,
        config: ServerConfig,
        origins: Origins,
        clock: Clock,
        make_parts: MakeParts,
        setup_s: float,
    ) -> None:
        self._config = config
        self._origins = origins
        self._key_source = KeySource(config)
        directory = config.prompts_dir
        self._prompt_files = followed_prompts(Path(directory).expanduser()) if directory else None
        self._prompts = self._prompt_files.load() if self._prompt_files else {}
        self._clock = clock
        self._make_parts = make_parts
        self._setup_s = setup_s
        self._sessions = Sessions(config.max_sessions, config.max_listening_sessions)
        self._start: SessionStart | None = None
        self._door: Doorkeeper | None = None
        self._realtime: Realtime | None = None
        self._calls: Calls | None = None
        self._secret_routes: SecretRoutes | None = None
        self._beta_routes: BetaRoutes | None = None
        self._audio_routes: AudioRoutes | None = None
        self._playground: Playground | None = None

    @asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        """Weights in, sessions, weights out."""
        _make_directory("record_dir", self._config.record_dir)
        _make_directory("trace_dir", self._config.trace_dir)
        parts = await self._make_parts(self._config)
        try:
            _check_voice(self._config.voice, parts.engine.traits.voices)
            calls = self._open(parts)
            async with (
                calls.running(),
                self._key_source.following(self._sessions),
                self._following_prompts(),
            ):
                try:
                    yield
                finally:
                    await self.close()
        finally:
            await self.close()
            await parts.aclose()

    @asynccontextmanager
    async def _following_prompts(self) -> AsyncIterator[None]:
        """Sessions that begin inside the block have the prompts that are stored then."""
        if self._prompt_files is None:
            yield
            return
        assert self._start
        start = self._start
        start.prompts = self._prompts

        def take(prompts: Prompts) -> None:
            start.prompts = prompts

        async with self._prompt_files.following(take):
            yield

    def _open(self, parts: Parts) -> Calls:
        config = self._config
        self._start = start = SessionStart(
            config,
            parts.engine.traits,
            self._clock,
            models=parts.transcriber.models,
            languages=parts.translator.languages if parts.translator else (),
            look=parts.look,
            why_no_transcription=parts.why_no_transcription,
        )
        client_secrets = ClientSecrets(start, self._clock)
        self._playground = Playground(config, self._key_source.keys, client_secrets)
        door = Doorkeeper(self._key_source.keys, client_secrets)
        strict = config.unknown_keys == "strict"
        self._secret_routes = SecretRoutes(door, client_secrets, strict=strict)
        self._beta_routes = BetaRoutes(
            door, client_secrets, strict=strict, refuses=config.beta == "refuse"
        )
        self._calls = calls = Calls(config, door, start, parts, self._sessions, self._setup_s)
        self._realtime = Realtime(config, door, start, parts, self._sessions, calls)
        self._audio_routes = AudioRoutes(door, parts.transcriber, parts.mouth, strict=strict)
        self._door = door
        return calls

    async def close(self) -> None:
        """Let nobody in any more and send home who is in (1001); may be called twice."""
        if self._calls:
            self._calls.close()
        await self._sessions.close(CLOSING_PATIENCE_S)

    async def realtime(self, websocket: WebSocket) -> None:
        """A conversation, or a transcription session."""
        await self._connect(websocket, translation=False)

    async def translation(self, websocket: WebSocket) -> None:
        """A translation session."""
        await self._connect(websocket, translation=True)

    async def _connect(self, websocket: WebSocket, *, translation: bool) -> None:
        assert self._realtime, "served before its lifespan began"
        if not self._origins.allows(websocket):
            message = "Pages of this origin may not connect to this server."
            await websocket.send_denial_response(http_error(403, message))
            return
        await self._realtime.connect(websocket, translation=translation)

    async def call(self, request: Request) -> Response:
        """A WebRTC call: an offer in, its answer out."""
        return await self._call(request, beta=False)

    async def beta_call(self, request: Request) -> Response:
        """The same in the beta protocol."""
        return await self._call(request, beta=True)

    async def _call(self, request: Request, *, beta: bool) -> Response:
        assert self._calls, "served before its lifespan began"
        if not self._origins.allows(request):
            return http_error(403, "Pages of this origin may not connect to this server.")
        return await self._calls.create(request, beta=beta)

    async def hang_up(self, request: Request) -> Response:
        """The end of a call."""
        assert self._calls, "served before its lifespan began"
        return await self._calls.hang_up(request)

    async def restart(self, request: Request) -> Response:
        """A restart of a call's ICE: an offer in, its answer out."""
        assert self._calls, "served before its lifespan began"
        if not self._origins.allows(request):
            return http_error(403, "Pages of this origin may not connect to this server.")
        return await self._calls.restart(request)

    async def transcription(self, request: Request) -> Response:
        """The words of a sound file."""
        assert self._audio_routes, "served before its lifespan began"
        return await self._audio_routes.transcribe(request)

    async def speech(self, request: Request) -> Response:
        """The sound of a text."""
        assert self._audio_routes, "served before its lifespan began"
        return await self._audio_routes.speak(request)

    async def client_secret(self, request: Request) -> Response:
        """A client secret for a conversation or a transcription."""
        assert self._secret_routes, "served before its lifespan began"
        return await self._secret_routes.create(request)

    async def translation_client_secret(self, request: Request) -> Response:
        """A client secret for a translation."""
        assert self._secret_routes, "served before its lifespan began"
        return await self._secret_routes.create_translation(request)

    async def beta_session(self, request: Request) -> Response:
        """A beta session and a secret for it."""
        assert self._beta_routes, "served before its lifespan began"
        return await self._beta_routes.create(request)

    async def beta_transcription_session(self, request: Request) -> Response:
        """A beta transcription session and a secret for it."""
        assert self._beta_routes, "served before its lifespan began"
        return await self._beta_routes.create_transcription(request)

    async def front_page(self, request: Request) -> Response:
        """The page to talk to this server."""
        assert self._playground, "served before its lifespan began"
        return self._playground.page(request)

    async def playground_file(self, request: Request) -> Response:
        """A file of that page."""
        assert self._playground, "served before its lifespan began"
        return self._playground.file(request)

    async def playground_secret(self, request: Request) -> Response:
        """A client secret for that page on this machine."""
        assert self._playground, "served before its lifespan began"
        return await self._playground.secret(request)

    async def health(self, request: Request) -> Response:
        """Whether sessions can be had; 503 while the server is stopping."""
        state = "stopping" if self._sessions.closing else "ready"
        body = {
            "state": state,
            "version": __version__,
            "engine": self._config.engine,
            "profile": self._config.profile if self._config.engine == "light" else None,
            "sessions": {"open": self._sessions.open, "max": self._sessions.limit},
            "listening_sessions": {
                "open": self._sessions.listening,
                "max": self._sessions.listening_limit,
            },
        }
        return JSONResponse(body, 200 if state == "ready" else 503)

    async def models(self, request: Request) -> Response:
        """The list of models."""
        if fault := self._without_standard_key(request):
            return fault
        await self._look()
        data = [self._describe(name) for name in LISTED_MODELS]
        return JSONResponse({"object": "list", "data": data})

    async def model(self, request: Request) -> Response:
        """One model."""
        if fault := self._without_standard_key(request):
            return fault
        name = request.path_params["model"]
        if name not in LISTED_MODELS:
            message = f"The model '{name[:100]}' does not exist on this server."
            return http_error(404, message, "model_not_found", "model")
        await self._look()
        return JSONResponse(self._describe(name))

    async def _look(self) -> None:
        assert self._start, "served before its lifespan began"
        try:
            await self._start.look()
        except EngineBusy:
            pass  # a session is told why it cannot be had; the list shows what was known

    def _without_standard_key(self, request: Request) -> Response | None:
        assert self._door, "served before its lifespan began"
        passage = self._door.judge(request)
        if not isinstance(passage, Passage):
            return unauthorised(passage)
        return needs_standard_key() if passage.bound else None

    def _describe(self, name: str) -> dict[str, object]:
        assert self._start, "served before its lifespan began"
        return {
            "id": name,
            "object": "model",
            "created": CREATED,
            "owned_by": "duologue",
            "duologue": msgspec.to_builtins(self._start.card),
        }


def _check_voice(voice: str | None, voices: tuple[str, ...]) -> None:
    known = (*voices, *WELL_KNOWN_VOICES)
    if voice is not None and voice not in known:
        raise ConfigFault(f"voice: {voice!r} is not allowed; allowed: {', '.join(known)}")


def _make_directory(setting: str, directory: str | None) -> None:
    if directory is None:
        return
    try:
        Path(directory).expanduser().mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise ConfigFault(f"{setting}: {directory!r} cannot be used: {fault.strerror}") from None


async def _nowhere(scope: Scope, receive: Receive, send: Send) -> None:
    """Any path that is not served, for both kinds of connection."""
    fault = http_error(404, f"There is nothing at {scope['path']}.")
    if scope["type"] == "websocket":
        await WebSocket(scope, receive, send).send_denial_response(fault)
    else:
        await fault(scope, receive, send)
