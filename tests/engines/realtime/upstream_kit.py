"""A stand-in for an upstream, of no product: a WebSocket server that sends what a test writes.

It speaks the GA protocol of 2026 by hand; the real thing is another duologue, see
tests/e2e/test_chain.py.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
from msgspec import structs
from websockets.asyncio.server import ServerConnection, serve

from duologue.audio import pcm as audio
from duologue.core.talk import Ask, Began, Done, Item, Part, ReplyEvent, Tool
from duologue.engines.realtime.engine import RealtimeEngine
from duologue.engines.realtime.upstream import OPEN_TRAITS, Upstream
from duologue.errors import EngineFault

KEY = "sk-very-secret"
SPEAK = Ask(instructions="Be brief.", voice="tone")
LOOK = structs.replace(SPEAK, tools=(Tool("look", "Look.", {"type": "object"}),))

HZ = 440
"""Of `tone`."""


class Peer:
    """One session as the stand-in sees it."""

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket
        self.seen: list[dict[str, Any]] = []

    async def next(self, kind: str) -> dict[str, Any]:
        """The next event of a type."""
        while True:
            event: dict[str, Any] = json.loads(await self.socket.recv())
            self.seen.append(event)
            if event["type"] == kind:
                return event

    async def send(self, kind: str, **fields: Any) -> None:
        await self.socket.send(json.dumps({"type": kind, **fields}))


Behave = Callable[[Peer], Awaitable[None]]


@asynccontextmanager
async def standing_in(behave: Behave, *, greets: bool = True, **options: Any) -> AsyncIterator[str]:
    """The address of a stand-in that does as told with each session, and then closes it."""

    async def handler(socket: ServerConnection) -> None:
        peer = Peer(socket)
        if greets:
            await peer.send("session.created", session={})
        await behave(peer)

    async with serve(handler, "127.0.0.1", 0, **options) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield f"ws://127.0.0.1:{port}/v1/realtime"


@asynccontextmanager
async def engine(address: str, **options: Any) -> AsyncIterator[RealtimeEngine]:
    traits = structs.replace(OPEN_TRAITS, voices=("tone",))
    made = RealtimeEngine([Upstream(address, KEY)], traits, **options)
    try:
        yield made
    finally:
        await made.aclose()


def said(text: str, item_id: str = "user_1") -> Item:
    return Item(item_id, "user", (Part(text=text),))


async def looked_after(upstream: Upstream) -> None:
    """Wait until an upstream that failed has been found well."""
    looks = [task for task in asyncio.all_tasks() if task.get_name() == upstream.name]
    assert looks
    async with asyncio.timeout(5):
        await asyncio.wait(looks)


async def whole(replies: Any) -> list[ReplyEvent]:
    events = [event async for event in replies]
    assert isinstance(events[-1], Done)
    return events


async def fault_of(replies: Any) -> EngineFault:
    """How a reply failed."""
    try:
        await whole(replies)
    except EngineFault as fault:
        return fault
    raise AssertionError("the reply did not fail")


async def said_next(reply: Any) -> ReplyEvent:
    """The next event of a reply that is not about what it reads."""
    while isinstance(event := await anext(reply), Began):
        pass
    return event


def tone(rate_hz: int, ms: int = 400) -> bytes:
    """A sine as s16le."""
    times = np.arange(rate_hz * ms // 1000) / rate_hz
    return (9000 * np.sin(2 * np.pi * HZ * times)).astype(np.int16).tobytes()


def pitch(pcm: bytes, rate_hz: int = audio.RATE_HZ) -> float:
    """Of a sound, in Hz."""
    power = np.abs(np.fft.rfft(np.frombuffer(pcm, np.int16)))
    return float(np.argmax(power[1:]) + 1) * rate_hz / audio.samples(pcm)
