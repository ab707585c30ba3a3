"""A whole server in the test's own process, on a free port, and plain clients to it.

async with serving(scripted()) as base_url, call(base_url) as client:
    created = await client.next("session.created")
"""

import asyncio
import base64
import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from duologue.config import ServerConfig
from duologue.gateway.app import Clock, wall_clock
from duologue.gateway.server import serving
from judging import Judge

__all__ = [
    "ALONE_AND_SLOWLY_CHAINED",
    "KEY",
    "UPSTREAM_KEY",
    "Caller",
    "Serve",
    "call",
    "chained",
    "front",
    "http_get",
    "http_post",
    "open_sessions",
    "scripted",
    "serving",
    "until_free",
    "ws_url",
]

KEY = "sk-test-key"
UPSTREAM_KEY = "sk-upstream-key"

Serve = Callable[..., AbstractAsyncContextManager[str]]
"""`serving`, or `chained`: what clients see must be the same."""


def scripted(**settings: Any) -> ServerConfig:
    """Settings of a server with the scripted engine on a free port."""
    return ServerConfig(**{"engine": "scripted", "port": 0, "api_key": KEY, **settings})


def front(upstream: str, **settings: Any) -> ServerConfig:
    """Settings of a server whose engine is the one at `upstream`; it loads no models."""
    plain = {"vad": "loudness", "turn_end": "loudness", "stt": "upstream"}
    address = {"upstream": upstream, "upstream_key": UPSTREAM_KEY}
    given = {"engine": "realtime", "port": 0, "api_key": KEY, **plain, **address, **settings}
    return ServerConfig(**given)


@asynccontextmanager
async def chained(config: ServerConfig, clock: Clock = wall_clock) -> AsyncIterator[str]:
    """A server with these settings whose engine is that of another server behind it.

    It has ears of its own where the engine is a real one. A place behind is given back a moment
    after the one in front, so there is one more. At the end of the one in front nothing is left
    of it behind.
    """
    behind = ServerConfig(
        **{key: getattr(config, key) for key in ENGINE_SETTINGS},
        max_sessions=config.max_sessions + 1,
        port=0,
        api_key=UPSTREAM_KEY,
    )
    own = {key: getattr(config, key) for key in config.__struct_fields__}
    for key in (*ENGINE_SETTINGS, "upstream", "upstream_key", "vad", "turn_end", "stt"):
        own.pop(key, None)
    if config.engine == "light":
        own |= {"profile": config.profile, "vad": None, "turn_end": None, "stt": None}
    async with serving(behind) as upstream:
        async with serving(front(ws_url(upstream, ""), **own), clock) as base_url:
            yield base_url
        await until_free(upstream)


ALONE_AND_SLOWLY_CHAINED = [
    pytest.param(serving, id="alone"),
    pytest.param(chained, id="chained", marks=pytest.mark.slow),
]

ENGINE_SETTINGS = ("engine", "profile", "script", "context_tokens")


def ws_url(base_url: str, query: str = "model=gpt-realtime") -> str:
    """Where the Realtime SDKs connect to."""
    return "ws" + base_url.removeprefix("http") + "/realtime" + ("?" + query if query else "")


class Caller:
    """A client that sends and awaits events as dicts, over one WebSocket."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self._judge = Judge()

    async def send(self, kind: str, **fields: Any) -> None:
        await self.socket.send(json.dumps({"type": kind, **fields}))

    async def append(self, pcm: bytes, kind: str = "input_audio_buffer.append") -> None:
        """Send sound, all at once, in pieces of 200 ms."""
        for start in range(0, len(pcm), 9_600):
            await self.send(kind, audio=base64.b64encode(pcm[start : start + 9_600]).decode())

    async def say(self, text: str) -> None:
        """Send what the user says, in writing."""
        content = [{"type": "input_text", "text": text}]
        item = {"type": "message", "role": "user", "content": content}
        await self.send("conversation.item.create", item=item)

    async def ask(self, text: str) -> None:
        """Say something and ask for the answer."""
        await self.say(text)
        await self.send("response.create")

    async def receive(self) -> dict[str, Any]:
        """The next event; every one must be valid for the official clients."""
        event: dict[str, Any] = json.loads(await self.socket.recv())
        self._judge(event)
        return event

    async def next(self, kind: str) -> dict[str, Any]:
        """The next event of a type; those before it are passed over, except errors."""
        while (event := await self.receive())["type"] != kind:
            assert event["type"] != "error", event
        return event

    async def closed(self) -> tuple[int | None, str | None]:
        """Code and reason of the close, once it has come."""
        await self.socket.wait_closed()
        return self.socket.close_code, self.socket.close_reason


@asynccontextmanager
async def call(
    base_url: str,
    query: str = "model=gpt-realtime",
    *,
    key: str | None = KEY,
    headers: dict[str, str] | None = None,
    **options: Any,
) -> AsyncIterator[Caller]:
    """A connection with a bearer key; options are those of `websockets.connect`."""
    given = {"Authorization": f"Bearer {key}"} if key else {}
    options = {"compression": None, "max_size": None, **options}
    async with connect(
        ws_url(base_url, query), additional_headers={**given, **(headers or {})}, **options
    ) as socket:
        yield Caller(socket)


async def http_get(
    url: str,
    key: str | None = KEY,
    *,
    method: str = "GET",
    headers: dict[str, str] | None = None,
) -> tuple[int, dict[str, str], Any]:
    """Status, headers (lower case) and body (JSON if it is) of a request."""
    given = {"Authorization": f"Bearer {key}"} if key else {}
    request = urllib.request.Request(url, headers={**given, **(headers or {})}, method=method)
    return await asyncio.to_thread(_fetch, request)


async def http_post(
    url: str,
    body: Any = None,
    key: str | None = KEY,
    *,
    headers: dict[str, str] | None = None,
) -> tuple[int, dict[str, str], Any]:
    """Like `http_get`; `body` is JSON to be, or the bytes to send."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    given = {"Authorization": f"Bearer {key}"} if key else {}
    given |= {"Content-Type": "application/json", **(headers or {})}
    request = urllib.request.Request(url, data=data, headers=given, method="POST")
    return await asyncio.to_thread(_fetch, request)


async def open_sessions(base_url: str) -> int:
    """How many conversations the server has."""
    _, _, health = await http_get(base_url.removesuffix("/v1") + "/healthz")
    count: int = health["sessions"]["open"]
    return count


async def until_free(base_url: str, patience_s: float = 20, *, but: int = 0) -> None:
    """Until the server has no conversation, `but` so many; it tells nobody, so it is asked."""
    async with asyncio.timeout(patience_s):
        while await open_sessions(base_url) > but:
            pass


def _fetch(request: urllib.request.Request) -> tuple[int, dict[str, str], Any]:
    try:
        with urllib.request.urlopen(request) as answer:
            status, headers, body = answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as answer:
        with answer:
            status, headers, body = answer.code, answer.headers, answer.read()
    lowered = {name.lower(): value for name, value in headers.items()}
    is_json = lowered.get("content-type", "").startswith("application/json")
    return status, lowered, json.loads(body) if is_json else body.decode()
