"""A stand-in for llama.cpp's chat completions, build 11549, and the hosted audio routes of 2026.

Written from their published shapes: chunks of text and of tool calls, usage with cached tokens in
a last chunk without choices, transcripts and sound of `/v1/audio/*`. Over a real socket it answers
each request with the next of its scripted answers. llama.cpp's own server of that build (xllamacpp
2026.10.11549) runs in tests/e2e/test_remote_parts.py, real audio routes, which are ours, in
tests/gateway/test_audio_routes.py.
"""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

KEY = "sk-upstream-secret"


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **more: Any) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    data = {"id": "c", "object": "chat.completion.chunk", "choices": choices, **more}
    return b"data: " + json.dumps(data).encode() + b"\n\n"


def words(text: str) -> list[bytes]:
    return [chunk({"content": word + " "}) for word in text.split()]


def usage(prompt: int, completion: int, cached: int | None = None) -> bytes:
    details = {} if cached is None else {"prompt_tokens_details": {"cached_tokens": cached}}
    told = {"prompt_tokens": prompt, "completion_tokens": completion, **details}
    return chunk(None, usage=told)


def tool(index: int, name: str | None, arguments: str, id: str | None = None) -> bytes:
    function = {"arguments": arguments} | ({"name": name} if name else {})
    call = {"index": index, "function": function} | ({"id": id, "type": "function"} if id else {})
    return chunk({"tool_calls": [call]})


DONE = b"data: [DONE]\n\n"


class Answer:
    """One answer: `pieces` are sent in order; `gate` shuts before piece number `held`.

    While it is shut, comments that say nothing are sent every `heartbeat_s`, or else `beat`. One
    that is `gone` is none: the connection is closed as if it had been so before the request.
    """

    def __init__(
        self,
        *pieces: bytes,
        status: str = "200 OK",
        kind: str = "text/event-stream",
        headers: str = "",
        held: int | None = None,
        cut: bool = False,
        heartbeat_s: float | None = None,
        beat: bytes = b": alive\n\n",
        gone: bool = False,
    ) -> None:
        self.pieces, self.status, self.kind, self.headers = pieces, status, kind, headers
        self.held, self.cut, self.heartbeat_s = held, cut, heartbeat_s
        self.beat, self.gone = beat, gone
        self.gate = asyncio.Event()
        self.reached = asyncio.Event()
        self.dropped = asyncio.Event()
        """The client has closed the connection before the end."""


def saying(text: str) -> Answer:
    return Answer(*words(text), chunk({}, "stop"), usage(50, 9, 20), DONE)


class StandIn:
    def __init__(self, answers: list[Answer]) -> None:
        self.answers = answers
        self.requests: list[dict[str, Any]] = []
        self.headers: list[str] = []
        self.asked = asyncio.Event()
        """A request has come."""
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                self.headers.append(head)
                length = next(
                    int(line.split(":")[1])
                    for line in head.splitlines()
                    if line.lower().startswith("content-length")
                )
                body = await reader.readexactly(length)
                is_json = "content-type: application/json" in head.lower()
                self.requests.append(json.loads(body) if is_json else {"form": body})
                self.asked.set()
                await self._answer(self.answers.pop(0), reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(
        self, answer: Answer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if answer.gone:
            raise ConnectionError
        writer.write(
            f"HTTP/1.1 {answer.status}\r\nContent-Type: {answer.kind}\r\n{answer.headers}"
            "Transfer-Encoding: chunked\r\n\r\n".encode()
        )
        for number, piece in enumerate(answer.pieces):
            if number == answer.held:
                await writer.drain()
                answer.reached.set()
                beat = asyncio.ensure_future(_beat(answer, writer))
                try:
                    await self._wait(answer, reader)
                finally:
                    beat.cancel()
            if piece:  # an empty one would end the body
                writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        if answer.cut:
            await writer.drain()
            writer.transport.abort()
            return
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    async def _wait(self, answer: Answer, reader: asyncio.StreamReader) -> None:
        """Until the gate opens, or the client goes."""
        gate = asyncio.ensure_future(answer.gate.wait())
        gone = asyncio.ensure_future(reader.read(1))
        done, waiting = await asyncio.wait({gate, gone}, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        if gone in done:
            answer.dropped.set()
            raise ConnectionError


async def _beat(answer: Answer, writer: asyncio.StreamWriter) -> None:
    while answer.heartbeat_s is not None:
        await asyncio.sleep(answer.heartbeat_s)
        writer.write(f"{len(answer.beat):x}\r\n".encode() + answer.beat + b"\r\n")


@asynccontextmanager
async def stand_in(
    *answers: Answer, certificate: ssl.SSLContext | None = None
) -> AsyncIterator[StandIn]:
    """The server, its `url` ready for the setting `llm`."""
    upstream = StandIn(list(answers))
    connections: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(upstream.serve(reader, writer))
        connections.add(task)
        task.add_done_callback(connections.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=certificate)
    scheme = "https" if certificate else "http"
    upstream.url = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1#some-model"
    try:
        yield upstream
    finally:
        server.close()
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
