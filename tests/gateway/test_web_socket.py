"""The WebSocket protocol of the server: what it adds to uvicorn's must not get in its way."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from websockets.client import ClientProtocol
from websockets.frames import Frame
from websockets.protocol import State
from websockets.uri import parse_uri

from duologue.gateway.server import Server
from duologue.gateway.web_socket import SMALL_MESSAGE_BYTES, WebSocketProtocol

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

    class Noticing(WebSocketProtocol):
        def send_receive_event_to_app(self) -> None:
            super().send_receive_event_to_app()
            arrived.set()

    async with spoken_to(refuses, Noticing) as (write, reader):
        opcode, length = await reader.readexactly(2)
        assert opcode == 0x88
        await reader.readexactly(length)
        write(frame(size))
        await arrived.wait()
        write(GOOD_BYE)
        async with asyncio.timeout(5):  # it gives up a client without a good-bye after ten
            assert await reader.read() == b""


class Session:
    """An application that takes what it is offered while `takes`, and echoes the rest."""

    def __init__(self) -> None:
        self.takes = True
        self.taken: list[bytes] = []
        self.connection: WebSocketProtocol | None = None

    def take(self, data: bytes) -> bool:
        if self.takes:
            self.taken.append(data)
        return self.takes

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.connection = scope["state"]["connection"]
        assert self.connection is not None
        assert not self.connection.is_free
        await receive()
        await send({"type": "websocket.accept"})
        self.connection.listen(self.take)
        while (message := await receive())["type"] == "websocket.receive":
            text = message.get("text", "binary")
            await send({"type": "websocket.send", "text": "echo " + text[:5]})


@asynccontextmanager
async def spoken_to(
    app: Any, protocol: type[WebSocketProtocol] = WebSocketProtocol, **options: Any
) -> AsyncIterator[tuple[Callable[[bytes], None], asyncio.StreamReader]]:
    """A raw connection to `app`: what writes to it, and its reader; `options` are uvicorn's."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(app, ws=protocol, lifespan="off", log_config=None, **options)
        server = Server(config)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(server.serve(sockets=[listener]))
            await server.ready.wait()
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            writer.write(UPGRADE)
            await reader.readuntil(b"\r\n\r\n")
            try:
                yield writer.write, reader
            finally:
                writer.close()
                server.should_exit = True


def text(payload: bytes, first: int = 0x81) -> bytes:
    """A short frame of the client's, masked with zeros."""
    return bytes((first, 0x80 | len(payload))) + bytes(4) + payload


async def heard(reader: asyncio.StreamReader) -> bytes:
    """The text of the server's next short frame."""
    async with asyncio.timeout(10):
        _, length = await reader.readexactly(2)
        return await reader.readexactly(length)


async def test_what_the_session_takes_at_once_is_not_seen_by_the_application() -> None:
    session = Session()
    async with spoken_to(session) as (write, reader):
        write(text(b"first") + text(b"caf\xc3\xa9") + text(b"behind it"))
        assert [await heard(reader), await heard(reader)] == [b"echo caf\xc3\xa9", b"echo behin"]
        assert session.taken == [b"first"]  # what comes behind a message that waits, waits too
        write(text(b"in ", 0x01) + text(b"two", 0x80) + text(b"raw", 0x82))
        assert [await heard(reader), await heard(reader)] == [b"echo in tw", b"echo binar"]
        session.takes = False
        write(text(b"later"))
        assert await heard(reader) == b"echo later"
        session.takes = True
        write(text(b"again"))
        write(frame(SMALL_MESSAGE_BYTES + 1))
        assert await heard(reader) == b"echo aaaaa"
        assert session.taken == [b"first", b"again"]


async def test_several_messages_leave_in_one_write() -> None:
    session = Session()
    async with spoken_to(session) as (write, reader):
        session.takes = False
        write(text(b"hello"))
        assert await heard(reader) == b"echo hello"
        assert session.connection is not None and session.connection.is_free
        session.connection.send_together(("one", "é", "three"))
        assert [await heard(reader) for _ in range(3)] == [b"one", "é".encode(), b"three"]


async def test_messages_of_every_length_are_framed_as_the_library_reads_them() -> None:
    sizes = (0, 1, 125, 126, 65_535, 65_536, 100_000)
    client = ClientProtocol(parse_uri("ws://here/"), state=State.OPEN, max_size=None)
    session = Session()
    async with spoken_to(session) as (write, reader):
        session.takes = False
        write(text(b"hello"))
        assert await heard(reader) == b"echo hello"
        assert session.connection is not None
        session.connection.send_together(["a" * size for size in sizes])
        frames: list[Frame] = []
        async with asyncio.timeout(10):
            while len(frames) < len(sizes):
                client.receive_data(await reader.read(65_536))
                frames += [one for one in client.events_received() if isinstance(one, Frame)]
    assert [(one.opcode, one.fin, len(one.data)) for one in frames] == [(1, True, n) for n in sizes]


class Counting(WebSocketProtocol):
    """Counts the messages that the library's parser has read."""

    parsed = 0

    def send_receive_event_to_app(self) -> None:
        type(self).parsed += 1
        super().send_receive_event_to_app()


def masked(payload: bytes, mask: bytes = b"\x11\x22\x33\x44") -> bytes:
    """A client's text frame, in the shortest form that holds it."""
    size = len(payload)
    head = bytes((0x81, 0x80 | size)) if size < 126 else b"\x81\xfe" + size.to_bytes(2, "big")
    return head + mask + bytes(one ^ mask[n % 4] for n, one in enumerate(payload))


@pytest.mark.parametrize("size", [0, 1, 125, 126, 1300, SMALL_MESSAGE_BYTES])
async def test_a_short_text_that_comes_whole_needs_no_parser(size: int) -> None:
    session, payload = Session(), bytes(65 + n % 26 for n in range(size))
    Counting.parsed = 0
    async with spoken_to(session, Counting) as (write, reader):
        write(text("é".encode()))  # so that the session listens from here on
        assert await heard(reader) == "echo é".encode()
        assert session.connection is not None
        session.connection.data_received(masked(payload))
        assert session.taken == [payload]
        assert Counting.parsed == 1
        write(masked(b"\xc3\xa9"))
        assert await heard(reader) == "echo é".encode()
    assert session.taken == [payload]


@pytest.mark.parametrize("cut", [1, 2, 3, 5, 6, 7, 8, 9, 100])
async def test_however_frames_are_cut_by_the_network_every_message_is_taken_once(cut: int) -> None:
    session = Session()
    messages = [masked(b"a" * 40), masked(b"b" * 200), masked(b"c")]
    Counting.parsed = 0
    async with spoken_to(session, Counting) as (write, reader):
        write(text("é".encode()))
        assert await heard(reader) == "echo é".encode()
        for first in range(len(messages)):
            sent = b"".join(messages[first:] + messages[:first])
            taken = len(session.taken)
            assert session.connection is not None
            for start in range(0, len(sent), cut):
                session.connection.data_received(sent[start : start + cut])
            assert len(session.taken) == taken + 3
    assert session.taken[:3] == [b"a" * 40, b"b" * 200, b"c"]
    assert sorted(session.taken) == sorted(session.taken[:3] * 3)
    assert Counting.parsed == 1  # what is cut costs no more than what comes whole


async def test_many_frames_in_one_read_need_no_parser_either() -> None:
    session, sounds = Session(), [b"%d" % n * 50 for n in range(100)]
    Counting.parsed = 0
    async with spoken_to(session, Counting) as (write, reader):
        write(text("é".encode()))
        assert await heard(reader) == "echo é".encode()
        assert session.connection is not None
        session.connection.data_received(b"".join(map(masked, sounds)))
        assert (session.taken, Counting.parsed) == (sounds, 1)


async def test_a_frame_in_two_parts_reaches_an_application_that_takes_no_more() -> None:
    session, whole = Session(), masked(b"in two parts")
    async with spoken_to(session) as (write, reader):
        write(text("é".encode()))
        assert await heard(reader) == "echo é".encode()
        assert session.connection is not None
        session.connection.data_received(whole[:9])
        session.connection.listen(None)
        session.connection.data_received(whole[9:] + text(b"after"))
        assert [await heard(reader), await heard(reader)] == [b"echo in tw", b"echo after"]
        session.connection.listen(session.take)
        session.takes = False
        session.connection.data_received(whole[:3])
        session.connection.data_received(whole[3:])
        assert await heard(reader) == b"echo in tw"
    assert session.taken == []


async def test_a_text_in_the_midst_of_another_is_the_protocol_error_that_it_is() -> None:
    session = Session()
    async with spoken_to(session) as (write, reader):
        write(text("é".encode()))
        assert await heard(reader) == "echo é".encode()
        assert session.connection is not None
        session.connection.data_received(text(b"one ", 0x01))
        session.connection.data_received(text(b"other"))
        assert (await reader.readexactly(4))[2:] == (1002).to_bytes(2, "big")
    assert session.taken == []


@pytest.mark.parametrize(
    "data",
    [
        b"\x81\x05hello",
        b"\x81\x02",
        b"\xc1\x85\0\0\0\0hello",
        b"\x81\xff" + (1 << 40).to_bytes(8, "big"),
    ],
    ids=["not_masked", "not_masked_nor_whole", "compressed", "a_terabyte"],
)
async def test_a_frame_that_may_not_be_ends_the_connection(data: bytes) -> None:
    session = Session()
    async with spoken_to(session) as (write, reader):
        write(text("é".encode()))
        assert await heard(reader) == "echo é".encode()
        write(data)
        assert (await reader.readexactly(1)) == b"\x88"
    assert session.taken == []


async def test_a_whole_frame_does_not_overtake_a_message_that_waits() -> None:
    session = Session()
    async with spoken_to(session) as (write, reader):
        write(text("é".encode()))
        assert await heard(reader) == "echo é".encode()
        assert session.connection is not None
        session.connection.data_received(text("ü".encode()))
        session.connection.data_received(text(b"next"))
        assert session.taken == []
        assert [await heard(reader), await heard(reader)] == ["echo ü".encode(), b"echo next"]


async def test_nothing_is_taken_after_the_good_bye() -> None:
    session = Session()
    async with spoken_to(session) as (write, reader):
        write(text("é".encode()))
        assert await heard(reader) == "echo é".encode()
        assert session.connection is not None
        session.connection.data_received(GOOD_BYE)
        session.connection.data_received(text(b"one thing more"))
        assert session.taken == []


async def test_a_whole_frame_may_be_as_long_as_any_and_no_longer() -> None:
    session = Session()
    async with spoken_to(session, ws_max_size=200) as (write, reader):
        write(text("é".encode()))
        assert await heard(reader) == "echo é".encode()
        assert session.connection is not None
        session.connection.data_received(masked(b"a" * 200))
        assert session.taken == [b"a" * 200]
        session.connection.data_received(masked(b"a" * 201))
        assert (await reader.readexactly(4))[2:] == (1009).to_bytes(2, "big")
    assert session.taken == [b"a" * 200]
