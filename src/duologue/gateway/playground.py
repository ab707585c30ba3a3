"""The page at `/` and, for a browser on this machine, a secret in place of a key.

    GET  /                     the page
    GET  /playground/{name}    its files
    POST /playground/secret    a client secret, for the page on the server's own machine only

Without the last, a first look would begin with copying a key. It must not be a hole for the
pages of others that run in the same browser, nor for a server behind a proxy: so the request
must come over the loopback, to a loopback name and from a page of that very name, which a
foreign page cannot claim, and no proxy may stand between.
"""

import asyncio
from html import escape
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response

from duologue import __version__, playground
from duologue.config import ServerConfig
from duologue.gateway.client_secrets import ClientSecrets, SecretsFull
from duologue.gateway.faults import http_error
from duologue.gateway.keys import Keys

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "media-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}

FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")
"""Headers that only a proxy adds."""

SECRET_S = 60
"""How long a local page's secret opens calls; it is used at once."""


class Playground:
    """The three routes. `keys` answer for the local page's sessions by the setting `api_key`."""

    def __init__(self, config: ServerConfig, keys: Keys, client_secrets: ClientSecrets) -> None:
        self._files = playground.load()
        self._api_key = config.api_key if config.playground == "open" else None
        self._served = config.playground != "off"
        self._keys = keys
        self._client_secrets = client_secrets

    def page(self, request: Request) -> Response:
        """The page itself."""
        if not self._served:
            return http_error(404, "There is nothing at /.")
        body, kind = self._files[playground.INDEX]
        base_url = escape(str(request.base_url).rstrip("/") + "/v1")
        text = body.decode().replace("{base_url}", base_url).replace("{version}", __version__)
        return Response(text, media_type=kind, headers=HEADERS)

    def file(self, request: Request) -> Response:
        """One of its files."""
        name = request.path_params["name"]
        if not self._served or name == playground.INDEX or name not in self._files:
            return http_error(404, f"There is nothing at {request.url.path}.")
        body, kind = self._files[name]
        return Response(body, media_type=kind, headers=HEADERS)

    async def secret(self, request: Request) -> Response:
        """A client secret for the local page; 403 for everybody else."""
        key = self._keys.find(self._api_key) if self._api_key else None
        if key is None or not is_local_page(request):
            message = "Only the page on the server's own machine gets in without a key."
            return http_error(403, message, "key_needed")
        draft = await asyncio.to_thread(self._client_secrets.draft, None, SECRET_S, None, key=key)
        try:
            secret = self._client_secrets.keep(draft)
        except SecretsFull as full:
            return http_error(429, str(full))
        answer = {"value": secret.value, "expires_at": secret.expires_at}
        return JSONResponse(answer, headers={"Cache-Control": "no-store"})


def is_local_page(request: HTTPConnection) -> bool:
    """Whether a request was made by our own page in a browser on this machine."""
    headers = request.headers
    if request.client is None or not _is_loopback(request.client.host):
        return False
    if any(name in headers for name in FORWARDED):
        return False
    host, origin = headers.get("host", ""), headers.get("origin", "")
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return (
        _is_loopback(name)
        and origin.lower() == f"{request.url.scheme}://{host}".lower()
        and headers.get("sec-fetch-site", "same-origin") == "same-origin"
    )


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
