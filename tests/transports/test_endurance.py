"""Clients at their worst over real sockets: a neighbour does not notice, and nothing stays behind.

Every test runs against one server on which somebody else converses all the while; at its end
tasks, open sessions and sessions in memory must be what they were before.
"""

import asyncio
import base64
import gc
import json
import os
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets import ConnectionClosed

from duologue.config import MIB
from duologue.runtime.runner import Runner
from live_server import (
    KEY,
    Caller,
    Serve,
    call,
    open_sessions,
    scripted,
    serving,
    until_free,
    ws_url,
)

SCRIPT = """
replies = [
    {when = "Go on", text = "one two three four five six seven eight", word_delay_ms = 20},
    {text = "You said: {heard}", first_delay_ms = 20},
]
"""


async def answer(client: Caller, text: str) -> str:
    await client.ask(text)
    response = (await client.next("response.done"))["response"]
    assert response["status"] == "completed"
    said: str = response["output"][0]["content"][0]["transcript"]
    return said


REPLY_S = 2.0
"""Work that may be done before a reply to the neighbour is there; alone it takes some 20 ms.

Counted as the processor time of server and clients together, so that a busy machine does not
matter. One that works on nothing, but does not answer, fails by the time limit on an event.
"""


class Neighbour:
    """Somebody who converses, turn after turn, and minds how long each reply takes."""

    def __init__(self, client: Caller) -> None:
        self.replies_s: list[float] = []
        self._client = client

    async def converse(self, stopped: asyncio.Event) -> None:
        """Until `stopped`, and one turn more, so that something done at the end is noticed too."""
        last = False
        while not last:
            last = stopped.is_set()
            began, number = time.process_time(), len(self.replies_s) + 1
            assert await answer(self._client, f"Turn {number}.") == f"You said: Turn {number}."
            self.replies_s.append(time.process_time() - began)


@asynccontextmanager
async def trial(serve: Serve, reply_s: float = REPLY_S, **settings: Any) -> AsyncIterator[str]:
    """A server on which a neighbour converses, and which must be as before at the end.

    The neighbour's turns follow each other without a pause, and for none of its replies more than
    `reply_s` of work is done: nothing held up the loop for longer.
    """
    async with serve(scripted(script=SCRIPT, max_sessions=60, **settings)) as base_url:
        async with call(base_url) as first:
            assert await answer(first, "Hello.") == "You said: Hello."
        await until_free(base_url)
        tasks, runners = len(asyncio.all_tasks()), count_runners()
        async with call(base_url) as client, asyncio.TaskGroup() as group:
            stopped = asyncio.Event()
            neighbour = Neighbour(client)
            group.create_task(neighbour.converse(stopped))
            yield base_url
            stopped.set()
        assert max(neighbour.replies_s) < reply_s, "the neighbour noticed"
        await until_free(base_url)
        async with asyncio.timeout(20):
            while len(asyncio.all_tasks()) > tasks or count_runners() > runners:
                await open_sessions(base_url)


def count_runners() -> int:
    gc.collect()
    return sum(type(one) is Runner for one in gc.get_objects())


async def test_a_neighbour_who_waits_too_long_is_noticed() -> None:
    with pytest.raises(AssertionError, match="the neighbour noticed"):
        async with trial(serving, reply_s=0.0):
            pass


HUGE = 20 * MIB


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("x" * HUGE, "invalid_json"),
        ("[" * HUGE, "invalid_json"),
        ('{"a":' * (HUGE // 5), "invalid_json"),
        ("[" * (HUGE // 2) + "]" * (HUGE // 2), "invalid_json"),
        ("[" + "0," * (HUGE // 2 - 1) + "0]", "invalid_event"),
        ('{"type": "' + "x" * HUGE + '"}', "invalid_value"),
        (
            '{"type": "response.create", "event_id": "' + "x" * HUGE + '"}',
            "string_above_max_length",
        ),
        (
            '{"type": "input_audio_buffer.append", "audio": "' + "*" * HUGE + '"}',
            "invalid_value",
        ),
        (
            '{"type": "session.update", "session": {"type": "realtime", "tools": ['
            + ",".join(['{"type": "function"}'] * 500_000)
            + "]}}",
            "missing_required_parameter",
        ),
        (
            '{"type": "response.create", "response": {"metadata": {'
            + ",".join(f'"{n}": ""' for n in range(1_000_000))
            + "}}}",
            "invalid_value",
        ),
    ],
    ids=["text", "arrays", "objects", "closed", "numbers", "type", "id", "sound", "tools", "map"],
)
async def test_enormous_and_deep_events_are_refused(frame: str, code: str) -> None:
    async with trial(serving) as base_url, call(base_url) as client:
        await client.next("session.created")
        await client.socket.send(frame)
        assert (await client.receive())["error"]["code"] == code
        assert await answer(client, "Hello.") == "You said: Hello."


async def test_a_text_of_twenty_mebibytes_is_an_item_like_any_other(serve: Serve) -> None:
    async with trial(serve) as base_url, call(base_url) as client:
        text = "word " * (HUGE // 5)
        item = {
            "type": "message",
            "id": "long",
            "role": "user",
            "content": [{"type": "input_text", "text": text}],
        }
        await client.send("conversation.item.create", item=item)
        assert (await client.next("conversation.item.done"))["item"]["content"][0]["text"] == text
        await client.send("conversation.item.delete", item_id="long")
        await client.next("conversation.item.deleted")
        assert await answer(client, "Hello.") == "You said: Hello."


async def test_ten_thousand_items_make_a_conversation(serve: Serve) -> None:
    async with trial(serve) as base_url, call(base_url) as client:
        await client.next("session.created")

        async def fill() -> None:
            for number in range(10_000):
                content = [{"type": "input_text", "text": f"Item {number}."}]
                item = {"type": "message", "id": f"i{number}", "role": "user", "content": content}
                await client.send("conversation.item.create", item=item)

        async with asyncio.TaskGroup() as group:
            group.create_task(fill())
            for number in range(10_000):
                added = await client.next("conversation.item.added")
                assert added["item"]["id"] == f"i{number}"
                assert added["previous_item_id"] == (f"i{number - 1}" if number else None)
        assert await answer(client, "Hello.") == "You said: Hello."


@pytest.mark.conformance("C-139", "C-140")
async def test_fifty_responses_asked_for_at_once_are_one(serve: Serve) -> None:
    async with trial(serve) as base_url, call(base_url) as client:
        await client.next("session.created")
        await client.ask("Go on.")
        for number in range(49):
            await client.send("response.create", event_id=f"e{number}")
        created = await client.next("response.created")
        for number in range(49):
            while (event := await client.receive())["type"] != "error":
                pass
            assert event["error"]["code"] == "conversation_already_has_active_response"
            assert event["error"]["event_id"] == f"e{number}"
            assert created["response"]["id"] in event["error"]["message"]
        done = await client.next("response.done")
        assert done["response"]["id"] == created["response"]["id"]
        assert done["response"]["status"] == "completed"
        assert await answer(client, "Hello.") == "You said: Hello."


FORGIVEN = {
    "response_cancel_not_active",
    "invalid_value",
    "item_truncate_invalid_item_id",
    "item_delete_invalid_item_id",
    "conversation_already_has_active_response",
}


@pytest.mark.conformance("C-138", "C-159")
@pytest.mark.parametrize("deltas", range(0, 9, 2))
async def test_cancelling_truncating_and_deleting_at_once_ends_every_response_once(
    deltas: int, serve: Serve
) -> None:
    async with trial(serve) as base_url, call(base_url) as client:
        await client.next("session.created")
        responses: dict[str, int] = {}
        for _ in range(10):
            await client.ask("Go on.")
            item_id = "none"
            for _ in range(deltas):
                item_id = (await client.next("response.output_audio.delta"))["item_id"]
            cut = {"item_id": item_id, "content_index": 0, "audio_end_ms": 100 * deltas}
            await client.send("conversation.item.truncate", **cut)
            await client.send("response.cancel")
            await client.send("response.cancel")
            await client.send("conversation.item.truncate", **cut)
            await client.send("conversation.item.delete", item_id=item_id)
            await client.send("conversation.item.truncate", **cut)
            await client.ask("And again.")
            await client.send("response.cancel")
            await client.send("session.update", session={"type": "realtime"})
            while (event := await client.receive())["type"] != "session.updated":
                if event["type"] == "response.created":
                    responses[event["response"]["id"]] = 0
                elif event["type"] == "response.done":
                    responses.setdefault(event["response"]["id"], 0)
                    responses[event["response"]["id"]] += 1
                elif event["type"] == "error":
                    assert event["error"]["code"] in FORGIVEN
        assert len(responses) == 20 and set(responses.values()) == {1}
        assert await answer(client, "Hello.") == "You said: Hello."


@pytest.mark.conformance("C-193", "C-194", "C-198")
async def test_a_hundred_bad_events_in_a_row_leave_the_session_working(serve: Serve) -> None:
    bad: list[tuple[str | bytes, str | None]] = [
        ("{", None),
        (b"\x00", None),
        ('{"type": "no.such.event", "event_id": "e1"}', "e1"),
        ('{"type": "conversation.item.delete", "item_id": "x", "event_id": "e2"}', "e2"),
        ('{"type": "session.update", "session": {"type": "realtime", "tools": 1}}', None),
        ('{"type": "input_audio_buffer.commit", "event_id": "e3"}', "e3"),
        ('{"type": "input_audio_buffer.append", "audio": "%", "event_id": "e4"}', "e4"),
        ('{"type": "response.create", "response": {"input": [{"type": "x"}]}}', None),
        ('{"type": "response.cancel", "event_id": "e5"}', "e5"),
        ("null", None),
    ]
    async with trial(serve) as base_url, call(base_url) as client:
        await client.next("session.created")
        for frame, _ in bad * 10:
            await client.socket.send(frame)
        for _, event_id in bad * 10:
            event = await client.receive()
            assert event["type"] == "error"
            assert set(event["error"]) == {"type", "code", "message", "param", "event_id"}
            assert event["error"]["event_id"] == event_id
            assert isinstance(event["error"]["code"], str)
        assert await answer(client, "Hello.") == "You said: Hello."


@pytest.mark.conformance("C-199")
async def test_fifty_clients_that_vanish_in_mid_response_are_forgotten(serve: Serve) -> None:
    async def vanish(base_url: str, after: int) -> None:
        async with call(base_url) as client:
            await client.ask("Go on.")
            for _ in range(after):
                await client.receive()
            client.socket.transport.abort()

    async with trial(serve) as base_url, asyncio.TaskGroup() as group:
        for after in range(50):
            group.create_task(vanish(base_url, after % 20))


async def test_two_hundred_connections_one_after_the_other_leave_nothing_behind(
    serve: Serve,
) -> None:
    async with trial(serve) as base_url:
        for number in range(200):
            async with call(base_url) as client:
                await client.next("session.created")
                if number % 3 == 0:
                    await client.ask("Go on.")
                if number % 3 == 1:
                    client.socket.transport.abort()


async def test_two_hundred_connections_that_could_be_resumed_are_forgotten_in_time(
    serve: Serve,
) -> None:
    async with trial(serve, resume_grace_s=1) as base_url:
        for _ in range(4):
            async with asyncio.TaskGroup() as group:
                for _ in range(50):
                    group.create_task(leave_uncleanly(base_url))
            await until_free(base_url, 60, but=1)  # the neighbour's


async def leave_uncleanly(base_url: str) -> None:
    async with call(base_url, "model=gpt-realtime&duologue_resume=1") as client:
        await client.next("session.created")
        await client.ask("Go on.")
        client.socket.transport.abort()


async def test_a_client_that_reads_late_gets_everything_in_order(serve: Serve) -> None:
    async with trial(serve) as base_url, call(base_url, max_queue=1) as client:
        await client.next("session.created")
        for number in range(300):
            item = {
                "type": "message",
                "role": "user",
                "content": [{"type": "input_text", "text": f"{number} " + "x" * 20_000}],
            }
            await client.send("conversation.item.create", item=item)
        assert await open_sessions(base_url) == 2
        for number in range(300):
            done = await client.next("conversation.item.done")
            assert done["item"]["content"][0]["text"].startswith(f"{number} ")


async def test_a_client_that_reads_nothing_cannot_fill_the_memory_with_what_it_changes(
    caplog: pytest.LogCaptureFixture, serve: Serve
) -> None:
    """40 updates of 1 MiB, of which each is told back whole: more than sockets and outbox hold."""
    async with (
        trial(serve, outbox_bytes=4 * MIB, send_timeout_s=0.5) as base_url,
        call(base_url, max_queue=1) as client,
    ):
        with pytest.raises(ConnectionClosed):
            for number in range(40):
                session = {"type": "realtime", "instructions": f"{number:02}" * (MIB // 2)}
                await client.send("session.update", session=session)
            while True:
                await client.receive()
        assert "the client does not read, closing" in caplog.text


# Clients that write slowly: bytes by hand


async def dribble(client: socket.socket, data: bytes) -> None:
    """One byte at a time, each in a packet of its own where the kernel lets it."""
    loop = asyncio.get_running_loop()
    for index in range(len(data)):
        await loop.sock_sendall(client, data[index : index + 1])
        await asyncio.sleep(0)  # the server reads in between


def frame(text: str) -> bytes:
    payload, mask = text.encode(), os.urandom(4)
    masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
    assert 125 < len(payload) < 65536
    return bytes([0x81, 0x80 | 126]) + len(payload).to_bytes(2, "big") + mask + masked


async def dribbled_call(base_url: str) -> socket.socket:
    host, _, port = base_url.removeprefix("http://").removesuffix("/v1").partition(":")
    client = socket.socket()
    client.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(client, (host, int(port)))
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    path = ws_url("http:///v1").removeprefix("ws://")
    request = (
        f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: {base64.b64encode(bytes(16)).decode()}\r\n"
        f"Authorization: Bearer {KEY}\r\n\r\n"
    )
    await dribble(client, request.encode())
    await received(client, b"\r\n\r\n")
    return client


async def received(client: socket.socket, end: bytes) -> bytes:
    """What comes up to and with `end`."""
    data = bytearray()
    async with asyncio.timeout(20):
        while end not in data:
            chunk = await asyncio.get_running_loop().sock_recv(client, 65536)
            assert chunk, "the server hung up"
            data += chunk
    return bytes(data)


def update(instructions: str) -> str:
    session = {"type": "realtime", "instructions": instructions.ljust(100)}
    return json.dumps({"type": "session.update", "session": session})


async def test_frames_that_come_byte_by_byte_are_events() -> None:
    async with trial(serving) as base_url:
        client = await dribbled_call(base_url)
        for number in range(3):
            await dribble(client, frame(update(f"Dribbled {number}.")))
            await received(client, f"Dribbled {number}.".encode())
        client.close()


async def test_a_frame_that_is_never_finished_holds_up_nobody() -> None:
    async with trial(serving) as base_url:
        clients = [await dribbled_call(base_url) for _ in range(10)]
        for number, client in enumerate(clients):
            await dribble(client, frame(update("Half."))[: 2 + 10 * number])
        async with call(base_url) as other:
            assert await answer(other, "Hello.") == "You said: Hello."
        for client in clients:
            client.close()
