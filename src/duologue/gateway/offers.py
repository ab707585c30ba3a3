"""The body of a call: an SDP offer, alone or in a form with the session's settings.

    application/sdp                the offer; settings come from the client secret or the query
    multipart/form-data            parts `sdp` and, perhaps, `session` (JSON)

The SDKs label the parts of a form with their media types, browsers send bare text: both are
taken (reference 1.5). What is wrong is refused with HTTP 400, 413 or 415.
"""

import asyncio
from collections.abc import AsyncGenerator

import msgspec
from msgspec import UNSET, Struct
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from duologue.errors import Refusal
from duologue.events.client_secrets import ClientSecretCreate
from duologue.events.codec import decode_body
from duologue.gateway.bodies import LIMIT_BYTES, read_body
from duologue.gateway.session_start import SessionStartParams

SDP = "application/sdp"
FORM = "multipart/form-data"

OFFER_BYTES = 64 * 1024
"""The longest offer: a browser's is 2 to 6 KiB."""


class Offer(Struct, frozen=True):
    """What a client asks for; `start` None where it sent no settings."""

    sdp: str
    start: SessionStartParams | None = None


async def read_offer(request: Request, *, strict: bool) -> Offer:
    """The offer in a request's body; raises `Refusal` and `HTTPException`."""
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given == FORM:
        data = await read_body(request, FORM, LIMIT_BYTES)
        return await _from_form(request, data, strict=strict)
    return Offer(await read_sdp(request))


async def read_sdp(request: Request) -> str:
    """The body of a request that is an offer alone; raises `Refusal` and `HTTPException`."""
    return _text(await read_body(request, SDP, OFFER_BYTES), "sdp")


async def _from_form(request: Request, data: bytes, *, strict: bool) -> Offer:
    async def stream() -> AsyncGenerator[bytes, None]:
        yield data

    parser = MultiPartParser(
        request.headers, stream(), max_files=4, max_fields=16, max_part_size=LIMIT_BYTES
    )
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError, UnicodeDecodeError):
        raise Refusal("invalid_value", "The body is not a form that can be read.") from None
    try:
        sdp = await _part(form.get("sdp"), "sdp")
        session = await _part(form.get("session"), "session")
    finally:
        await form.close()
    if sdp is None:
        raise Refusal("missing_required_parameter", "Missing required parameter: 'sdp'.", "sdp")
    if len(sdp) > OFFER_BYTES:
        raise HTTPException(413, f"The offer is longer than {OFFER_BYTES} bytes.")
    if session is None:
        return Offer(sdp)
    return Offer(sdp, await asyncio.to_thread(_settings, session, strict))


async def _part(part: UploadFile | str | None, name: str) -> str | None:
    if isinstance(part, UploadFile):
        return _text(await part.read(), name)
    return part


def _text(data: bytes, name: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Refusal("invalid_value", "The text is not UTF-8.", name) from None


def _settings(text: str, strict: bool) -> SessionStartParams | None:
    try:
        raw = msgspec.json.encode(msgspec.json.decode(text))
    except (msgspec.DecodeError, RecursionError):
        raise Refusal("invalid_json", "The session is not valid JSON.", "session") from None
    body = decode_body(b'{"session":' + raw + b"}", ClientSecretCreate, strict=strict)
    return None if body.session is UNSET else body.session
