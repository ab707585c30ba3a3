"""The WebSocket protocol of the server: what it adds to uvicorn's must not get in its way."""

import asyncio
import socket
from typing import Any

import pytest
import uvicorn

from duologue.gateway.server import SMALL_MESSAGE_BYTES, Protocol, Server

UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
GOOD_BYE = b"\x88\x82\0\0\0\0\x03\xf0"  # 1008, masked with zeros


def frame(size: int) -> bytes:
    """A text frame of the client's."""
    return b"\x81\xfe" + size.to_bytes(2, "big") + bytes(4) + b"a" * size


async def refuses(scope: Any, receive: Any, send: Any) -> None:
    """Lets a client in and closes."""
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.close", "code": 1008})


@pytest.mark.parametrize("size", [2000, SMALL_MESSAGE_BYTES * 2])
async def test_a_message_that_crosses_the_servers_close_does_not_hide_the_good_bye(
    size: int,
) -> None:
    arrived = asyncio.Event()

    class Noticing(Protocol):
        def send_receive_event_to_app(self) -> None:
            super().send_receive_event_to_app()
            arrived.set()

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = Server(uvicorn.Config(refuses, ws=Noticing, lifespan="off", log_config=None))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(server.serve(sockets=[listener]))
            await server.ready.wait()
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            writer.write(UPGRADE)
            await reader.readuntil(b"\r\n\r\n")
            opcode, length = await reader.readexactly(2)
            assert opcode == 0x88
            await reader.readexactly(length)
            writer.write(frame(size))
            await arrived.wait()
            writer.write(GOOD_BYE)
            async with asyncio.timeout(5):  # it gives up a client without a good-bye after ten
                assert await reader.read() == b""
            writer.close()
            server.should_exit = True
