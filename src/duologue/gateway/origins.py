"""Browsers and where their pages come from: CORS for HTTP, the Origin of a WebSocket.

No cookie is ever involved, a page must hold a key or a client secret; so any origin is let
in unless the owner names those that may. Programs send no Origin and are not asked for one.
"""

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import HTTPConnection

from duologue.errors import ConfigFault

ANY = "*"

EXPOSED = ("Location",)
"""Headers that a page may read: the address of a call that it has made."""

PREFLIGHT_S = 600


class Origins:
    """The origins of one server. `setting` is `*` or origins with commas between them."""

    def __init__(self, setting: str) -> None:
        self._allowed = tuple(one.strip().rstrip("/") for one in setting.split(",") if one.strip())
        for one in self._allowed:
            if one != ANY and "://" not in one:
                raise ConfigFault(
                    f"allowed_origins: {one!r} is no origin; allowed: * or origins such as "
                    "https://app.example.com, with commas between them"
                )

    def allows(self, connection: HTTPConnection) -> bool:
        """Whether a WebSocket may come from where it says it does."""
        origin = connection.headers.get("origin")
        return origin is None or ANY in self._allowed or origin in self._allowed

    def middleware(self) -> Middleware:
        """CORS for the HTTP routes."""
        return Middleware(
            CORSMiddleware,
            allow_origins=self._allowed,
            allow_methods=("GET", "POST"),
            allow_headers=("*",),
            expose_headers=EXPOSED,
            max_age=PREFLIGHT_S,
        )
