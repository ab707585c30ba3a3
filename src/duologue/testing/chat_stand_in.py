"""A stand-in for chat-completions servers that speak, as vLLM-Omni 0.30; it thinks nothing.

It speaks HTTP over a socket in the dialects of vLLM-Omni 0.30 ("omni": WAV as base64 in
`delta.content` of chunks marked `"modality": "audio"`, a usage beside each), of the hosted
gpt-audio in 2026 ("openai": `delta.audio.data` with `delta.audio.transcript`, pcm16) and of a
server that does not stream ("whole"), written from their published shapes. Answers go in,
requests and aborts come out for a test to look at.
"""

import asyncio
import base64
import io
import json
import math
import socket
import ssl
import wave
from array import array
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any, Literal

import msgspec
import uvicorn

from duologue.gateway.server import Server

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What one request gets.

    The sound lasts `sound_ms` and comes in chunks of `chunk_ms`, `chunk_delay_ms` apart;
    `text_ahead` sends all the text first, as a fast thinker does, or else a share with each
    chunk. With `heartbeat_ms` `heartbeat`s come while `first_delay_ms` passes. One that is
    `cut_early` sends the empty line behind an event with the next one. `drop_after` breaks
    the connection after so many chunks; with `lingers` it stays open after the end mark.
    `status` other than 200, `raw` (the body as it is) and `headers` are for servers that are
    ill. `usage` None is none. One that `minds` keeps to the request's limit, a word a token, and
    calls a function where it must.
    """

    text: str = "It is sunny."
    sound_ms: int = 600
    chunk_ms: int = 200
    rate_hz: int = 24_000
    calls: tuple[tuple[str, str], ...] = ()
    dialect: Literal["omni", "openai", "whole"] = "omni"
    text_ahead: bool = True
    finish: str = "stop"
    usage: dict[str, Any] | None = None
    first_delay_ms: int = 0
    heartbeat_ms: int = 0
    heartbeat: bytes = b": still here\n\n"
    cut_early: bool = False
    chunk_delay_ms: int = 0
    drop_after: int | None = None
    lingers: bool = False
    minds: bool = False
    status: int = 200
    raw: bytes | None = None
    headers: tuple[tuple[str, str], ...] = ()


@lru_cache
def sine(ms: int, rate_hz: int) -> bytes:
    """`ms` milliseconds of 220 Hz as s16le."""
    step = 2 * math.pi * 220 / rate_hz
    wave_form = (round(8000 * math.sin(step * n)) for n in range(rate_hz * ms // 1000))
    return array("h", wave_form).tobytes()


def wav(pcm: bytes, rate_hz: int) -> bytes:
    """`pcm` as a WAV file of that rate."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate_hz)
        sound.writeframes(pcm)
    return file.getvalue()


class ChatStandIn:
    """The server. `answers` are given in turn, the last one again and again."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers) or [Answer()]
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str] = []
        """What each request gave as its authorisation."""
        self.clients: list[tuple[str, int]] = []
        """The address that each request came from: alike where a connection was kept."""
        self.abort_times: list[float] = []
        """When clients hung up in the middle, by the loop's clock."""
        self.is_well = True
        """Whether `GET /v1/models` is answered with 200."""
        self.looks = 0
        self._news = asyncio.Condition()

    async def until(self, is_so: Callable[["ChatStandIn"], bool]) -> None:
        """Wait until something is so: looked at whenever a request, a look or an abort comes."""
        async with self._news:
            await self._news.wait_for(lambda: is_so(self))

    def answer_to(self, request: dict[str, Any]) -> Answer:
        """What the newest request gets."""
        return self.answers[min(len(self.requests), len(self.answers)) - 1]

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """The ASGI app."""
        if scope["method"] == "GET":
            self.looks += 1
            await self._tell()
            await _send_whole(send, 200 if self.is_well else 503, b'{"object":"list","data":[]}')
            return
        body = b""
        is_more = True
        while is_more:
            message = await receive()
            body += message.get("body", b"")
            is_more = message.get("more_body", False)
        headers = dict(scope["headers"])
        self.keys.append(headers.get(b"authorization", b"").decode())
        self.clients.append(tuple(scope["client"]))
        request = json.loads(body)
        self.requests.append(request)
        answer = self.answer_to(request)
        await self._tell()
        if answer.minds:
            answer = minding(answer, request)
        over = asyncio.Event()

        async def tell(message: MutableMapping[str, Any]) -> None:
            # After the last byte the server reports a disconnection, too, which is none.
            if message["type"] == "http.response.body" and not message.get("more_body"):
                over.set()
            await send(message)

        async with asyncio.TaskGroup() as tasks:
            speaking = tasks.create_task(self._answer(answer, tell))
            watching = tasks.create_task(self._watch(receive, speaking, over))
            speaking.add_done_callback(lambda _: watching.cancel())

    async def _watch(
        self, receive: Receive, speaking: "asyncio.Task[None]", over: asyncio.Event
    ) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        if over.is_set():
            return
        self.abort_times.append(asyncio.get_running_loop().time())
        speaking.cancel()
        await self._tell()

    async def _answer(self, answer: Answer, send: Send) -> None:
        if not answer.heartbeat_ms:
            await asyncio.sleep(answer.first_delay_ms / 1000)
        if answer.status != 200 or answer.raw is not None:
            await _send_whole(send, answer.status, answer.raw or b"", answer.headers)
            return
        if answer.dialect == "whole":
            await _send_whole(send, 200, json.dumps(whole(answer)).encode())
            return
        headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for _ in range(answer.first_delay_ms // answer.heartbeat_ms if answer.heartbeat_ms else 0):
            beat = {"type": "http.response.body", "body": answer.heartbeat, "more_body": True}
            await send(beat)
            await asyncio.sleep(answer.heartbeat_ms / 1000)
        loop = asyncio.get_running_loop()
        due = loop.time()
        for count, chunk in enumerate(chunks(answer)):
            if count == answer.drop_after:
                raise ConnectionError("the stand-in drops the connection")
            if count:
                due += answer.chunk_delay_ms / 1000  # on a clock that does not drift
                await asyncio.sleep(due - loop.time())
            data = b"data: " + json.dumps(chunk).encode()
            if answer.cut_early:
                data = b"\n\n" + data if count else data
            else:
                data += b"\n\n"
            await send({"type": "http.response.body", "body": data, "more_body": True})
        end = b"\n\ndata: [DONE]\n\n" if answer.cut_early else b"data: [DONE]\n\n"
        last = {"type": "http.response.body", "body": end}
        await send({**last, "more_body": answer.lingers})
        if answer.lingers:
            await asyncio.Event().wait()


async def _send_whole(
    send: Send, status: int, body: bytes, headers: tuple[tuple[str, str], ...] = ()
) -> None:
    given = {"content-type": "application/json", **dict(headers)}
    encoded = [(name.encode(), value.encode()) for name, value in given.items()]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})


def minding(answer: Answer, request: dict[str, Any]) -> Answer:
    """The answer as it becomes where the request says more than what to answer to."""
    choice, tools = request.get("tool_choice"), request.get("tools", [])
    if tools and choice not in ("auto", "none"):
        offered = [tool["function"] for tool in tools]
        names = [choice["function"]["name"]] if isinstance(choice, dict) else offered[0]["name"]
        chosen = next(one for one in offered if one["name"] in names)
        arguments = dict.fromkeys(chosen["parameters"].get("required", []), "something")
        calls = ((chosen["name"], json.dumps(arguments)),)
        return msgspec.structs.replace(answer, text="", sound_ms=0, calls=calls)
    words = answer.text.split(" ")
    limit = request.get("max_completion_tokens", request.get("max_tokens", len(words)))
    if limit >= len(words):
        return answer
    sound_ms = answer.sound_ms * limit // len(words)
    text = " ".join(words[:limit])
    return msgspec.structs.replace(answer, text=text, sound_ms=sound_ms, finish="length")


def chunks(answer: Answer) -> Iterator[dict[str, Any]]:
    """The chunks of a streamed answer."""
    pcm = sine(answer.sound_ms, answer.rate_hz)
    size = answer.rate_hz * answer.chunk_ms // 1000 * 2
    pieces = [pcm[start : start + size] for start in range(0, len(pcm), size)]
    words = answer.text.split(" ")
    tokens = [word if not n else f" {word}" for n, word in enumerate(words)] if answer.text else []
    yield _chunk({"role": "assistant", "content": ""})
    if answer.text_ahead:
        for token in tokens:
            yield _text(token, answer)
        tokens = []
    for number, piece in enumerate(pieces):
        share = -(-len(tokens) // (len(pieces) - number))
        for token in tokens[:share]:
            yield _text(token, answer)
        tokens = tokens[share:]
        yield _sound(piece, answer)
    for token in tokens:
        yield _text(token, answer)
    for index, (name, arguments) in enumerate(answer.calls):
        half = len(arguments) // 2
        for first, part in ((True, arguments[:half]), (False, arguments[half:])):
            call: dict[str, Any] = {"index": index, "function": {"arguments": part}}
            if first:
                call |= {"id": f"call_{index}", "type": "function"}
                call["function"]["name"] = name
            yield _chunk({"tool_calls": [call]})
    finish = "tool_calls" if answer.calls and answer.finish == "stop" else answer.finish
    yield {**_chunk({}), "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}
    if answer.usage is not None:
        yield {"object": "chat.completion.chunk", "choices": [], "usage": answer.usage}


def _chunk(delta: dict[str, Any]) -> dict[str, Any]:
    choices = [{"index": 0, "delta": delta, "finish_reason": None}]
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": choices}


def _text(text: str, answer: Answer) -> dict[str, Any]:
    if answer.dialect == "openai":
        return _chunk({"audio": {"id": "audio_1", "transcript": text}})
    return {**_chunk({"content": text}), "modality": "text"}


def _sound(pcm: bytes, answer: Answer) -> dict[str, Any]:
    if answer.dialect == "openai":
        return _chunk({"audio": {"id": "audio_1", "data": base64.b64encode(pcm).decode()}})
    usage = {"prompt_tokens": 7, "completion_tokens": 0, "total_tokens": 7}
    file = base64.b64encode(wav(pcm, answer.rate_hz)).decode()
    return {**_chunk({"content": file}), "modality": "audio", "usage": usage}


def whole(answer: Answer) -> dict[str, Any]:
    """The answer in one piece."""
    file = wav(sine(answer.sound_ms, answer.rate_hz), answer.rate_hz)
    audio = {"data": base64.b64encode(file).decode(), "transcript": answer.text}
    message = {"role": "assistant", "content": None, "audio": audio}
    choices = [{"index": 0, "message": message, "finish_reason": answer.finish}]
    return {"object": "chat.completion", "choices": choices, "usage": answer.usage}


@asynccontextmanager
async def standing_in(
    stand_in: Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]],
    *,
    certificate: ssl.SSLContext | None = None,
) -> AsyncIterator[str]:
    """The stand-in (or another ASGI app) on a free port; gives its base URL, with `/v1`."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        settings = uvicorn.Config(stand_in, lifespan="off", log_config=None, http="httptools")
        settings.load()
        settings.ssl = certificate
        server = Server(settings)
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(server.serve(sockets=[listener]))
            await server.ready.wait()
            try:
                scheme = "https" if certificate else "http"
                yield f"{scheme}://127.0.0.1:{listener.getsockname()[1]}/v1"
            finally:
                server.should_exit = True
                await serving
