"""Keys: which credential a request carries, and whether it is the right one.

Headers and sub-protocols come in, a verdict goes out (reference, section 1.2). Keys are
compared in constant time, and neither they nor what was offered is ever logged.
"""

import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from typing import Literal

from starlette.requests import HTTPConnection

KEY_PROTOCOL = "openai-insecure-api-key."
"""Prefix of the sub-protocol entry that carries a key; browsers cannot set headers."""

REALTIME_PROTOCOL = "realtime"

Verdict = Literal["good", "wrong", "none"]


def generate_key() -> str:
    """A key that nobody can guess; `sk-` because some clients look for it."""
    return "sk-duologue-" + secrets.token_urlsafe(24)


def credential(headers: Mapping[str, str], subprotocols: Sequence[str] = ()) -> str | None:
    """The key that a request offers, or None; `headers` are looked up in lower case."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    if key := headers.get("api-key", "").strip():
        return key
    for entry in subprotocols:
        if entry.startswith(KEY_PROTOCOL) and len(entry) > len(KEY_PROTOCOL):
            return entry.removeprefix(KEY_PROTOCOL)
    return None


def subprotocol(offered: Sequence[str]) -> str | None:
    """The sub-protocol to select: `realtime` where offered, never the entry with the key."""
    return REALTIME_PROTOCOL if REALTIME_PROTOCOL in offered else None


class Keys:
    """The keys that open this server."""

    def __init__(self, *keys: str) -> None:
        self._digests = [_digest(key) for key in keys]

    def judge(self, connection: HTTPConnection) -> Verdict:
        """What the credential of a request or a WebSocket upgrade is worth."""
        offered = credential(connection.headers, connection.scope.get("subprotocols", ()))
        if offered is None:
            return "none"
        # Every key is compared, so that the time does not tell which one is near.
        digest = _digest(offered)
        hits = [hmac.compare_digest(digest, known) for known in self._digests]
        return "good" if any(hits) else "wrong"


def _digest(key: str) -> bytes:
    # Digests have one length, whatever was offered; header values may hold any character.
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
