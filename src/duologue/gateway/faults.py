"""Refusals at the door, in the two envelopes clients know.

Over HTTP `{"error": {message, type, param, code}}` (reference, section 1.8); over a WebSocket
an `error` event and then a close whose reason is `type.code` (sections 1.3 and 7).
"""

import secrets
from typing import Literal

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from duologue.errors import Refusal
from duologue.events import Error, ErrorDetail
from duologue.events.codec import encode_server_event
from duologue.transports.websocket import close_reason

ErrorType = Literal["invalid_request_error", "rate_limit_error", "server_error"]

CODES = {
    401: "invalid_api_key",
    403: "insufficient_permissions",
    404: "not_found",
    405: "method_not_allowed",
    413: "request_too_large",
    415: "unsupported_media_type",
    429: "rate_limit_exceeded",
}

REFUSED = 4000
"""Close code of a request that cannot be served."""

CHALLENGE = {"WWW-Authenticate": "Bearer"}


class Fatal(msgspec.Struct, frozen=True):
    """A fault that ends a WebSocket before a session exists."""

    close_code: int
    code: str
    message: str
    type: ErrorType = "invalid_request_error"
    param: str | None = None


WRONG_KEY = Fatal(3000, "invalid_api_key", "Incorrect API key provided.")

EXPIRED_SECRET = Fatal(
    3000, "invalid_api_key", "This client secret has expired, or is not one of this server."
)

BETA_REFUSED = Fatal(
    REFUSED,
    "beta_api_shape_disabled",
    "The beta shape of the Realtime API is not served here. Leave out the OpenAI-Beta header and "
    "the sub-protocol of that name, and speak GA.",
)

NO_KEY = (
    "You didn't provide an API key. Send it as `Authorization: Bearer <key>`, as `api-key`, or "
    "as the WebSocket sub-protocol `openai-insecure-api-key.<key>`."
)


NOT_WITH_A_SECRET = "A client secret only opens sessions; use a standard API key for this."


async def refuse(websocket: WebSocket, fatal: Fatal, subprotocol: str | None) -> None:
    """Tell a WebSocket why it is closed, accepting it for that if it is not yet."""
    error = ErrorDetail(
        type=fatal.type, code=fatal.code, message=fatal.message, param=fatal.param, event_id=None
    )
    event = Error(event_id=f"event_{secrets.token_hex(10)}", error=error)
    try:
        if websocket.application_state is WebSocketState.CONNECTING:
            await websocket.accept(subprotocol)
        await websocket.send_text(encode_server_event(event))
        await websocket.close(fatal.close_code, close_reason(f"{fatal.type}.{fatal.code}"))
    except (WebSocketDisconnect, OSError):
        pass  # gone before it heard why


def http_error(
    status: int, message: str, code: str | None = None, param: str | None = None
) -> Response:
    """The envelope of HTTP errors; `code` defaults to the one usual for the status."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    if status == 429:
        kind = "rate_limit_error"
    detail = {
        "message": message,
        "type": kind,
        "param": param,
        "code": code or CODES.get(status),
    }
    return Response(
        msgspec.json.encode({"error": detail}),
        status,
        media_type="application/json",
        headers=CHALLENGE if status == 401 else None,
    )


def unauthorised(verdict: str) -> Response:
    """HTTP 401 for no key, a wrong one, or a client secret that is over."""
    return http_error(401, NO_KEY if verdict == "none" else fatal_of(verdict).message)


def fatal_of(verdict: str) -> Fatal:
    """How a WebSocket is told that its credential is no good."""
    return EXPIRED_SECRET if verdict == "expired" else WRONG_KEY


def needs_standard_key() -> Response:
    """HTTP 403: a client secret opens sessions and does nothing else (GAP-30)."""
    return http_error(403, NOT_WITH_A_SECRET)


def beta_refused() -> Response:
    """HTTP 400 where the beta endpoints are not served."""
    return http_error(400, BETA_REFUSED.message, BETA_REFUSED.code)


async def on_refusal(request: Request, exception: Exception) -> Response:
    """A body that is refused, with the path of the bad field: HTTP 400 (GAP-52)."""
    assert isinstance(exception, Refusal)
    return http_error(400, exception.message, exception.code, exception.param)


async def on_http_exception(request: Request, exception: Exception) -> Response:
    """Starlette's own refusals (404, 405) in the envelope."""
    assert isinstance(exception, HTTPException)
    message = exception.detail
    if exception.status_code == 404:
        message = f"There is nothing at {request.url.path}."
    elif exception.status_code == 405:
        message = f"{request.method} is not allowed at {request.url.path}."
    response = http_error(exception.status_code, message)
    response.headers.update(exception.headers or {})
    return response


async def on_exception(request: Request, exception: Exception) -> Response:
    """Anything unforeseen: logged by the server, told without its inside."""
    return http_error(500, "The server had an error.", "internal_error")
