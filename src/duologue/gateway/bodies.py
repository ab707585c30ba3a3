"""Bodies of HTTP requests: taken in up to a limit, and only in the form that is asked for.

What is too long is not read to its end. JSON is decoded in a worker thread when it is long,
since nothing above 100 µs may run on the event loop.
"""

import asyncio
from typing import TypeVar

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from duologue.events.codec import decode_body

LIMIT_BYTES = 1024 * 1024
"""The longest JSON body: instructions and tools are far below that."""

INLINE_BYTES = 16 * 1024
"""Longer JSON is dealt with in a thread."""

Body = TypeVar("Body", bound=msgspec.Struct)


async def read_body(request: Request, media_type: str, limit_bytes: int = LIMIT_BYTES) -> bytes:
    """The body of a request; raises `HTTPException` 413 or 415. No body needs no media type."""
    chunks: list[bytes] = []
    length = 0
    if int(request.headers.get("content-length", "0")) > limit_bytes:
        raise _too_long(limit_bytes)
    try:
        async for chunk in request.stream():
            length += len(chunk)
            if length > limit_bytes:
                raise _too_long(limit_bytes)
            chunks.append(chunk)
    except ClientDisconnect:
        raise HTTPException(400, "The body did not arrive.") from None
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if length and given != media_type:
        message = f"Unsupported content type '{given[:100]}'; send '{media_type}'."
        raise HTTPException(415, message)
    return b"".join(chunks)


async def read_json(request: Request, kind: type[Body], *, strict: bool) -> Body:
    """The JSON body as a `kind`; raises `Refusal` and `HTTPException`."""
    data = await read_body(request, "application/json")
    if len(data) <= INLINE_BYTES:
        return decode_body(data, kind, strict=strict)
    return await asyncio.to_thread(decode_body, data, kind, strict=strict)


def _too_long(limit_bytes: int) -> HTTPException:
    return HTTPException(413, f"The body is longer than {limit_bytes} bytes.")
