"""Bodies of HTTP requests: taken in up to a limit, and only in the form that is asked for.

What is too long is not kept, and read on only a little: a client that is still sending when
the connection closes gets no answer. JSON is decoded in a worker thread when it is long,
since nothing above 100 µs may run on the event loop.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TypeVar

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from duologue.events.codec import decode_body

LIMIT_BYTES = 1024 * 1024
"""The longest JSON body: instructions and tools are far below that."""

READ_ON_BYTES, READ_ON_S = 4 * 1024 * 1024, 1.0
"""What is let fall of a body that is too long, before the connection is closed on it."""

INLINE_BYTES = 16 * 1024
"""Longer JSON is dealt with in a thread."""

Body = TypeVar("Body", bound=msgspec.Struct)


async def read_body(request: Request, media_type: str, limit_bytes: int = LIMIT_BYTES) -> bytes:
    """The body of a request; raises `HTTPException` 413 or 415. No body needs no media type."""
    chunks: list[bytes] = []
    length = 0
    stream = request.stream()
    try:
        async for chunk in stream:
            length += len(chunk)
            if length > limit_bytes:
                await _read_on(stream)
                raise HTTPException(413, f"The body is longer than {limit_bytes} bytes.")
            chunks.append(chunk)
    except ClientDisconnect:
        raise HTTPException(400, "The body did not arrive.") from None
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if length and given != media_type:
        message = f"Unsupported content type '{given[:100]}'; send '{media_type}'."
        raise HTTPException(415, message)
    return b"".join(chunks)


async def _read_on(stream: AsyncIterator[bytes]) -> None:
    length = 0
    with contextlib.suppress(TimeoutError, ClientDisconnect):
        async with asyncio.timeout(READ_ON_S):
            async for chunk in stream:
                length += len(chunk)
                if length > READ_ON_BYTES:
                    return


async def read_json(request: Request, kind: type[Body], *, strict: bool) -> Body:
    """The JSON body as a `kind`; raises `Refusal` and `HTTPException`."""
    data = await read_body(request, "application/json")
    if len(data) <= INLINE_BYTES:
        return decode_body(data, kind, strict=strict)
    return await asyncio.to_thread(decode_body, data, kind, strict=strict)
