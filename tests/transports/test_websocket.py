"""One session over real sockets: bad frames in line, slow clients, lost clients."""

import asyncio
import base64
import json
import socket
import threading
from typing import Any

import pytest
from starlette.websockets import WebSocket

from duologue.config import ServerConfig
from duologue.events import ServerEvent
from duologue.events.dialect import Ga
from duologue.transports.websocket import (
    CLOSE_REASON_BYTES,
    INLINE_CHARACTERS,
    attend,
    close_reason,
)
from live_server import KEY, Serve, call, scripted, until_free, ws_url
from runner_kit import call as runner_call
from session_kit import add, update, user
from waiting import logged

LONG_SPEECH = "replies = [{text = '" + "word " * 800 + "'}]"
"""800 words of a quarter of a second: 12 MB of audio deltas, more than sockets can hold."""


@pytest.fixture
def config() -> ServerConfig:
    return scripted()


@pytest.mark.conformance("C-015")
async def test_events_sent_before_the_first_one_was_read_are_answered_in_order(
    config: ServerConfig, serve: Serve
) -> None:
    async with serve(config) as base_url, call(base_url) as client:
        await client.send("session.update", session={"type": "realtime", "instructions": "a"})
        await client.send("session.update", session={"type": "realtime", "instructions": "b"})
        kinds = [await client.receive() for _ in range(3)]
        assert [event["type"] for event in kinds] == [
            "session.created",
            "session.updated",
            "session.updated",
        ]
        assert kinds[2]["session"]["instructions"] == "b"


@pytest.mark.conformance("C-013", "C-014")
async def test_frames_that_are_no_events_are_refused_in_their_place_and_nothing_ends(
    config: ServerConfig, serve: Serve
) -> None:
    frames: list[tuple[str | bytes, str, str | None]] = [
        (b"\x00\x01", "invalid_event", None),
        ("{", "invalid_json", None),
        ("[]", "invalid_event", None),
        ("{}", "invalid_event", None),
        ('{"type": "session.upgrade", "event_id": "e7"}', "invalid_value", "e7"),
        ("x" * (INLINE_CHARACTERS + 1), "invalid_json", None),
    ]
    async with serve(config) as base_url, call(base_url) as client:
        await client.next("session.created")
        for frame, _, _ in frames:
            await client.socket.send(frame)
        await client.send("session.update", session={"type": "realtime"})
        for _, code, event_id in frames:
            error = (await client.receive())["error"]
            assert (error["code"], error["event_id"]) == (code, event_id)
        assert (await client.receive())["type"] == "session.updated"


async def test_an_append_of_fifteen_mebibytes_is_taken(config: ServerConfig, serve: Serve) -> None:
    audio = base64.b64encode(bytes(15 * 1024 * 1024)).decode()
    async with serve(config) as base_url, call(base_url) as client:
        off = {"type": "realtime", "audio": {"input": {"turn_detection": None}}}
        await client.send("session.update", session=off)
        await client.next("session.updated")
        await client.send("input_audio_buffer.append", audio=audio)
        await client.send("input_audio_buffer.commit")
        await client.next("input_audio_buffer.committed")


async def test_a_message_beyond_the_limit_ends_that_connection_alone(serve: Serve) -> None:
    async with serve(scripted(max_message_bytes=100_000)) as base_url:
        async with call(base_url) as other, call(base_url) as client:
            await other.next("session.created")
            await client.next("session.created")
            await client.socket.send("x" * 100_001)
            assert (await client.closed())[0] == 1009
            await other.send("session.update", session={"type": "realtime"})
            await other.next("session.updated")


async def test_text_that_is_not_utf8_ends_that_connection_with_1007(
    config: ServerConfig, serve: Serve
) -> None:
    async with serve(config) as base_url, call(base_url) as client:
        await client.next("session.created")
        await client.socket.send(b'{"type": "\xff"}', text=True)
        assert (await client.closed())[0] == 1007
        await until_free(base_url)


async def test_a_client_that_closes_frees_its_place(config: ServerConfig, serve: Serve) -> None:
    async with serve(config) as base_url:
        async with call(base_url) as client:
            await client.next("session.created")
        assert client.socket.close_code == 1000
        await until_free(base_url)


@pytest.mark.conformance("C-199")
async def test_a_client_that_vanishes_mid_response_leaves_nothing_behind(serve: Serve) -> None:
    script = "replies = [{text = 'one two three four five six', word_delay_ms = 100}]"
    async with serve(scripted(script=script)) as base_url:
        async with call(base_url) as client:
            await client.ask("Go on.")
            await client.next("response.output_audio.delta")
            client.socket.transport.abort()
        await until_free(base_url)
        async with call(base_url) as client:
            await client.next("session.created")


async def raw_call(base_url: str) -> socket.socket:
    """A connection with a small receive buffer whose reader is ours: upgraded, no frame read."""
    host, _, port = base_url.removeprefix("http://").removesuffix("/v1").partition(":")
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(client, (host, int(port)))
    request = (
        f"GET {ws_url('http:///v1').removeprefix('ws://')} HTTP/1.1\r\nHost: {host}:{port}\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: {base64.b64encode(bytes(16)).decode()}\r\n"
        f"Authorization: Bearer {KEY}\r\n\r\n"
    )
    await loop.sock_sendall(client, request.encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += await loop.sock_recv(client, 1)
    assert head.startswith(b"HTTP/1.1 101 ")
    return client


async def send_frame(client: socket.socket, event: dict[str, Any]) -> None:
    payload = json.dumps(event).encode()
    assert 125 < len(payload) < 65536
    header = bytes([0x81, 0x80 | 126]) + len(payload).to_bytes(2, "big") + bytes(4)  # mask of zeros
    await asyncio.get_running_loop().sock_sendall(client, header + payload)


async def ask_for_speech(client: socket.socket) -> None:
    content = [{"type": "input_text", "text": "Tell me everything." + " " * 100}]
    item = {"type": "message", "role": "user", "content": content}
    await send_frame(client, {"type": "conversation.item.create", "item": item})
    response = {"metadata": {"why": "a" * 100}}
    await send_frame(client, {"type": "response.create", "response": response})


async def test_a_client_that_never_reads_is_given_up_and_others_do_not_notice(serve: Serve) -> None:
    config = scripted(script=LONG_SPEECH, send_timeout_s=0.5)
    async with serve(config) as base_url, call(base_url) as other:
        await other.next("session.created")
        deaf = await raw_call(base_url)
        await ask_for_speech(deaf)
        await other.ask("Go on.")
        await other.next("response.done")
        await until_free(base_url, but=1)
        deaf.close()


async def test_a_client_that_reads_too_slowly_is_closed_with_a_reason_it_can_read(
    serve: Serve,
) -> None:
    config = scripted(script=LONG_SPEECH, outbox_bytes=500_000)
    async with serve(config) as base_url:
        deaf = await raw_call(base_url)
        with logged("does not read") as noticed:
            await ask_for_speech(deaf)
            await noticed.wait()  # from here on it reads, and gets what had left for it
        received = bytearray()
        while not received.endswith(b"\x03\xf0rate_limit_error.client_too_slow"):  # 1008
            chunk = await asyncio.get_running_loop().sock_recv(deaf, 65536)
            assert chunk
            received += chunk
        deaf.close()


class Threads(Ga):
    """GA that notes in which thread which events are encoded."""

    def __init__(self) -> None:
        super().__init__()
        self.inline: dict[str, set[bool]] = {}

    def encode(self, event: ServerEvent) -> tuple[str, ...]:
        inline = threading.current_thread() is threading.main_thread()
        self.inline.setdefault(f"{type(event).__name__}", set()).add(inline)
        return super().encode(event)


async def test_whatever_is_large_is_encoded_off_the_event_loop() -> None:
    def frame(event: dict[str, object]) -> dict[str, object]:
        return {"type": "websocket.receive", "text": json.dumps(event)}

    text = "x" * 2 * INLINE_CHARACTERS
    frames = asyncio.Queue[dict[str, object]]()
    frames.put_nowait({"type": "websocket.connect"})
    frames.put_nowait(frame(update(instructions=text)))
    frames.put_nowait(frame(add(user(text))))
    frames.put_nowait(frame({"type": "input_audio_buffer.clear"}))
    sent: list[str] = []

    async def send(message: Any) -> None:
        if "text" in message:
            sent.append(json.loads(message["text"])["type"])
        if sent[-1:] == ["input_audio_buffer.cleared"]:
            frames.put_nowait({"type": "websocket.disconnect", "code": 1000})

    dialect = Threads()
    async with runner_call() as c:
        socket = WebSocket({"type": "websocket"}, frames.get, send)
        await socket.accept()
        await attend(socket, c.runner, c.runner.attach(), dialect, send_timeout_s=20)
    assert sent[-1] == "input_audio_buffer.cleared"
    assert dialect.inline == {
        "SessionCreated": {True},
        "SessionUpdated": {False},
        "ConversationItemAdded": {False},
        "ConversationItemDone": {False},
        "InputAudioBufferCleared": {True},
    }


def test_close_reasons_fit_their_frame_and_are_cut_between_characters() -> None:
    assert close_reason("short") == "short"
    assert close_reason("é" * 100) == "é" * (CLOSE_REASON_BYTES // 2)
