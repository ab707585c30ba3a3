"""One session over one peer connection: events on the channel, sound beside them.

    channel ─► Dialect.decode ─► line.receive     line.next_event ─► Dialect.encode ─► channel
    Inbound ─► line.hear                                  └─► sidebands

The session begins when the channel is open and ends with it, or when the peer is gone.
"""

import asyncio
import logging

from duologue.core.inputs import BadEvent
from duologue.errors import Refusal
from duologue.events import Error, ErrorDetail
from duologue.events.codec import event_id_of
from duologue.events.dialect import Dialect
from duologue.events.translation import AnyClientEvent, AnyServerEvent
from duologue.events.weight import weight_of
from duologue.runtime.line import Line
from duologue.runtime.runner import Runner
from duologue.runtime.sidebands import Sidebands
from duologue.transports.webrtc.inbound import Inbound
from duologue.transports.webrtc.pacer import Pacer, Voice
from duologue.transports.webrtc.peer import Peer
from duologue.transports.webrtc.playout import Playout

logger = logging.getLogger(__name__)

INLINE_BYTES = 64 * 1024
"""An event up to this is encoded on the event loop: about 50 µs."""

BINARY = BadEvent(
    "invalid_event", "Binary messages are not allowed: send every event as a text of JSON."
)


class Media:
    """The two ways of a call's sound, made before its connection."""

    def __init__(self) -> None:
        self.inbound = Inbound()
        self.playout = Playout()
        self.voice = Voice(self.playout.tick)

    def tick(self) -> None:
        """20 ms have passed."""
        self.voice.tick()
        self.inbound.tick()


async def connected(peer: Peer, patience_s: float) -> bool:
    """Wait until the channel is open; False if the peer fails, or takes too long."""
    try:
        async with asyncio.timeout(patience_s), asyncio.TaskGroup() as tasks:
            gone = tasks.create_task(peer.gone.wait())
            opened = tasks.create_task(peer.opened.wait())
            await asyncio.wait((gone, opened), return_when=asyncio.FIRST_COMPLETED)
            gone.cancel()
            opened.cancel()
    except TimeoutError:
        return False
    return peer.opened.is_set() and not peer.gone.is_set()


async def carry(
    peer: Peer,
    media: Media,
    pacer: Pacer,
    runner: Runner,
    dialect: Dialect,
    sidebands: Sidebands,
    *,
    send_timeout_s: float,
) -> None:
    """Carry a session over an open channel and see it to its end."""
    line = runner.attach()
    peer.watch(runner.hold)
    pacer.add(media.tick, peer.give_up)
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(runner.run())
            beside = [
                tasks.create_task(_read(peer, runner, line, dialect)),
                tasks.create_task(_listen(media.inbound, line)),
                tasks.create_task(media.playout.encode()),
            ]
            await _write(peer, runner, line, dialect, sidebands, send_timeout_s)
            for task in beside:
                task.cancel()
        await peer.flush()
    finally:
        pacer.remove(media.tick)


async def _read(peer: Peer, runner: Runner, line: Line, dialect: Dialect) -> None:
    try:
        while (message := await peer.messages.get()) is not None:
            await line.receive(_decode(message, dialect))
    except Exception:
        logger.exception("a client event could not be taken in; the call is ended")
        runner.end(1011, "server_error.internal_error")
    if peer.flooded:
        logger.warning("a call's client sent faster than it was taken in; the call is ended")
    line.lost(clean=True)


def _decode(message: str | bytes, dialect: Dialect) -> AnyClientEvent | BadEvent:
    # A message of a channel is at most 64 KiB long, which is decoded on the event loop.
    if isinstance(message, bytes):
        return BINARY
    try:
        return dialect.decode(message)
    except Refusal as refusal:
        return BadEvent(refusal.code, refusal.message, refusal.param, event_id_of(message))


async def _listen(inbound: Inbound, line: Line) -> None:
    while pcm := await inbound.take():
        await line.hear(pcm)


async def _write(
    peer: Peer,
    runner: Runner,
    line: Line,
    dialect: Dialect,
    sidebands: Sidebands,
    send_timeout_s: float,
) -> None:
    while (event := await line.next_event()) is not None:
        sidebands.put(event)
        try:
            async with asyncio.timeout(send_timeout_s):
                await _send(peer, dialect, event)
        except TimeoutError:
            logger.warning("a call took nothing for %g s and is ended", send_timeout_s)
            break
    line.lost(clean=True)
    sidebands.end()


async def _send(peer: Peer, dialect: Dialect, event: AnyServerEvent) -> None:
    if weight_of(event) > INLINE_BYTES:
        texts = await asyncio.to_thread(dialect.encode, event)
    else:
        texts = dialect.encode(event)
    for text in texts:
        if not await peer.send(text):
            detail = ErrorDetail(
                type="server_error",
                code="event_too_long",
                message=f"An event of {len(text)} characters is longer than the data channel "
                "takes; a WebSocket with `call_id` can have it.",
                param=None,
                event_id=None,
            )
            for short in dialect.encode(Error(event_id=event.event_id, error=detail)):
                await peer.send(short)
