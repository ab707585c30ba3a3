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

from duologue.events import Error, ErrorDetail
from duologue.events.codec import encode_server_event
from duologue.transports.websocket import close_reason

ErrorType = Literal["invalid_request_error", "server_error"]

CODES = {401: "invalid_api_key", 404: "not_found", 405: "method_not_allowed"}

CHALLENGE = {"WWW-Authenticate": "Bearer"}


class Fatal(msgspec.Struct, frozen=True):
    """A fault that ends a WebSocket before a session exists."""

    close_code: int
    code: str
    message: str
    type: ErrorType = "invalid_request_error"
    param: str | None = None


WRONG_KEY = Fatal(3000, "invalid_api_key", "Incorrect API key provided.")

NO_KEY = (
    "You didn't provide an API key. Send it as `Authorization: Bearer <key>`, as `api-key`, or "
    "as the WebSocket sub-protocol `openai-insecure-api-key.<key>`."
)


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
    """HTTP 401 for no key or a wrong one."""
    return http_error(401, NO_KEY if verdict == "none" else WRONG_KEY.message)


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
