"""The server of a mind, and what is known of it: the body of a request in, thoughts out.

Closing the thoughts closes the connection, which is how such a server is told to stop.
"""

import asyncio
import json
from collections.abc import AsyncGenerator
from functools import partial

import httpx2
import msgspec
import openai
from openai import AsyncStream

from duologue.engines.composed.parts import Thought
from duologue.engines.counted import Counted
from duologue.engines.patience import Patience
from duologue.engines.remote.chat_stream import ChatStream
from duologue.remote.server import RemoteServer, media_type

JSON = {"Content-Type": "application/json"}
LIMITS = ("max_tokens", "max_completion_tokens")
"""What the limit of a reply is called. All servers know the first but those of the hosted
API's reasoning models, which know the other only."""


MOST_BYTES = 1024 * 1024
"""Of an answer that is not streamed: a reply is some kilobytes."""

BROKEN = ("abort", "aborted", "cancelled", "canceled", "error", "failed")
"""What vLLM, SGLang and gateways say for a reply that has no proper end."""


class ChatServer:
    """One server for all talks of a mind."""

    def __init__(self, server: RemoteServer) -> None:
        self.remote = server
        self.counted = Counted(server.what)
        self.sees_to_calls = True
        """It has not yet answered with words where a call was required."""
        self.limit = LIMITS[0]

    async def thoughts(self, body: bytes, stream: ChatStream) -> AsyncGenerator[Thought, None]:
        """One request, read through `stream` to its end."""
        with self.remote.faults():
            # httpx has a bound for each read, so a head that drips in would be waited for for ever.
            async with asyncio.timeout(self.remote.answer_s):
                opened = await self._open(body)
            async with opened as chunks:
                if media_type(chunks.response) == "application/json":
                    for thought in stream.take(await self._whole(chunks.response)):
                        yield thought
                else:
                    self.remote.check_type(chunks.response, "text/event-stream")
                    patience = Patience(self.remote.answer_s)
                    while (data := await _next(chunks, patience)) is not None:
                        for thought in stream.take(data):
                            yield thought
                        if stream.got_on:
                            patience.renew()
            if stream.finish_reason is None:
                raise self.remote.fault("broke off in the middle of a reply")
            if stream.finish_reason == "content_filter":
                raise self.remote.fault("withheld the rest of a reply (content_filter)")
            if stream.finish_reason.lower() in BROKEN:
                raise self.remote.fault(f"broke off in mid-reply ({stream.finish_reason})")
            # A call that was cut off by the limit is no call.
            if stream.finish_reason != "length":
                for thought in stream.flush():
                    yield thought

    async def _whole(self, response: httpx2.Response) -> object:
        """An answer that is not streamed, though it was asked for so."""
        body = bytearray()
        async with asyncio.timeout(self.remote.answer_s):
            async for piece in response.aiter_bytes():
                body += piece
                if len(body) > MOST_BYTES:
                    raise ValueError("an answer without an end")
        answer = json.loads(body)
        if isinstance(answer, dict) and (error := answer.get("error")):
            said = error.get("message") if isinstance(error, dict) else error
            raise self.remote.fault(f"reported: {said}")
        return answer

    async def _open(self, body: bytes) -> AsyncStream[object]:
        """The answer's stream.

        Tried twice where a connection that was kept had gone stale, or where the name of the
        limit is refused, which is then another from now on.
        """
        try:
            return await self.remote.asked(partial(self._post, body))
        except (openai.BadRequestError, openai.UnprocessableEntityError) as refusal:
            if LIMITS[0] not in refusal.message:
                raise
            renamed = await asyncio.to_thread(_renamed, body)
            if renamed is None:
                raise
            stream = await self._post(renamed)
            self.limit = LIMITS[1]
            return stream

    async def _post(self, body: bytes) -> AsyncStream[object]:
        # The body was encoded in a worker thread; chunks come as plain data (`cast_to`).
        return await self.remote.client.post(
            "/chat/completions",
            cast_to=object,
            content=body,
            options={"headers": JSON},
            stream=True,
            stream_cls=AsyncStream[object],
        )


async def _next(chunks: AsyncStream[object], patience: Patience) -> object | None:
    """The next chunk. A server that sends nothing but signs of life is given up, too."""
    clock = asyncio.get_running_loop().time
    began_s = clock()
    async with asyncio.timeout(patience.left_s):
        data = await anext(chunks, None)
    patience.spend(clock() - began_s)
    return data


def _renamed(body: bytes) -> bytes | None:
    """The request with the other name of its limit; None where it has that name. Takes time."""
    request = msgspec.json.decode(body)
    if LIMITS[0] not in request:
        return None
    limit = request.pop(LIMITS[0])
    return msgspec.json.encode({**request, LIMITS[1]: limit})
