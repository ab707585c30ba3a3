"""The server process: socket, uvicorn, and how it starts and stops.

`serving(config)` is a whole server as a context: what `run` keeps up until a signal comes,
and what tests use. The port is bound first, so that a taken one is known before any weights
are loaded; nothing is answered before they are.
"""

import asyncio
import contextlib
import gc
import logging
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator

import uvicorn
from msgspec import structs
from starlette.applications import Starlette

from duologue.config import ServerConfig
from duologue.errors import ConfigFault
from duologue.gateway.app import Clock, MakeParts, create_app, wall_clock
from duologue.gateway.auth import generate_key
from duologue.gateway.calls import SETUP_S
from duologue.gateway.compose import compose
from duologue.gateway.tls import tls_context
from duologue.gateway.web_socket import WebSocketProtocol

logger = logging.getLogger(__name__)

Announce = Callable[[str], None]

SHUTDOWN_S = 5

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Server(uvicorn.Server):
    """uvicorn's server that says when it is ready and leaves signals alone."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen."""
        await super().startup(sockets)
        self.ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Not here: `run` does, and a server in a test must not."""
        yield


@contextlib.asynccontextmanager
async def serving(
    config: ServerConfig,
    clock: Clock = wall_clock,
    make_parts: MakeParts = compose,
    setup_s: float = SETUP_S,
) -> AsyncIterator[str]:
    """A server that takes calls inside the block; gives its base URL, `http://host:port/v1`.

    With a certificate it is `https`. `clock` gives Unix seconds: what the wire says of expiry.
    `make_parts` and `setup_s` are those of `create_app`.
    Raises `ConfigFault` (the port, a setting) or `ModelFault`. At the end of the block every
    session is closed with 1001 and the weights are freed.
    """
    context = tls_context(config)
    scheme = "https" if context else "http"
    with _bound(config.host, config.port) as listener:
        app = create_app(config, clock, make_parts, setup_s)
        settings = _uvicorn_config(app, config, context)
        async with app.router.lifespan_context(app), _listening(app, settings, listener):
            yield f"{scheme}://{_address(listener)}/v1"


@contextlib.asynccontextmanager
async def _listening(
    app: Starlette, settings: uvicorn.Config, listener: socket.socket
) -> AsyncIterator[None]:
    server = Server(settings)
    serve = server.serve(sockets=[listener])
    task = asyncio.create_task(serve)  # noqa: TID251 - owned here: awaited below, come what may
    task.add_done_callback(lambda _: server.ready.set())
    await server.ready.wait()
    if task.done():
        raise ConfigFault(f"port: cannot listen on {_address(listener)}: {task.exception()}")
    try:
        yield
    finally:
        await app.state.gateway.close()
        server.should_exit = True
        await task


def _uvicorn_config(
    app: Starlette, config: ServerConfig, context: ssl.SSLContext | None
) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        lifespan="off",  # `serving` enters it itself: a fault at start is then an exception
        http="httptools",
        ws=WebSocketProtocol,
        ws_per_message_deflate=False,  # 31-39 µs a frame for half the bytes
        ws_max_size=config.max_message_bytes,
        ws_ping_interval=config.ping_interval_s,
        ws_ping_timeout=config.ping_interval_s,
        timeout_graceful_shutdown=SHUTDOWN_S,
        ssl_context_factory=(lambda *_: context) if context else None,
        access_log=False,
        server_header=False,
        log_config=None,
        log_level="warning",  # at debug it logs request headers, and in them the keys
    )


async def run(config: ServerConfig, announce: Announce) -> None:
    """Serve until SIGTERM or SIGINT. `announce` is told each line meant for the person.

    Raises what `serving` raises.
    """
    if config.api_key is None and config.keys_file is None:
        config = structs.replace(config, api_key=generate_key())
        announce(f"API key for this run: {config.api_key}")
    with _until_signal() as stopped:
        async with serving(config) as base_url:
            what = f"engine {config.engine}"
            if config.engine == "light":
                what += f", profile {config.profile}"
            _settle_garbage_collector()
            announce(f"duologue is ready: {base_url} ({what})")
            if config.playground != "off":
                announce(f"Talk to it in a browser: {base_url.removesuffix('v1')}")
            await stopped.wait()


def _settle_garbage_collector() -> None:
    """Leave what was loaded out of it, and let it run seldom.

    A full collection looks at every object of every session while nobody is served: 150 paced
    sessions had it at 100 ms. Few objects of a session are in cycles.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


@contextlib.contextmanager
def _until_signal() -> Iterator[asyncio.Event]:
    """The first signal sets the event; while weights are still loading it ends the block."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    task = asyncio.current_task()
    assert task

    def stop() -> None:
        if not stopped.is_set():
            stopped.set()
            task.cancel()

    for number in SIGNALS:
        loop.add_signal_handler(number, stop)
    try:
        yield stopped
    except asyncio.CancelledError:
        if not stopped.is_set():
            raise
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)


@contextlib.contextmanager
def _bound(host: str, port: int) -> Iterator[socket.socket]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as fault:
        raise ConfigFault(f"host: {host!r} is no address: {fault.strerror}") from None
    family, kind, protocol, _, address = found[0]
    with socket.socket(family, kind, protocol) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
        except OSError as fault:
            reason = (fault.strerror or str(fault)).lower()
            raise ConfigFault(f"port: cannot listen on {host} port {port}: {reason}") from None
        yield listener


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def new_event_loop() -> asyncio.AbstractEventLoop:
    """uvloop's where there is one, else the standard loop."""
    try:
        import uvloop
    except ImportError:  # there is none for Windows
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
