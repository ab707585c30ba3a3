"""Keys: which credential a request carries, and whether it is the right one.

Headers and sub-protocols come in, a passage or a verdict goes out (reference, section 1.2).
What was offered is never logged.
"""

import secrets
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec
from starlette.requests import HTTPConnection

from duologue.gateway.client_secrets import PREFIX, BoundSession, ClientSecrets
from duologue.gateway.keys import Key, Keys, digest_of

KEY_PROTOCOL = "openai-insecure-api-key."
"""Prefix of the sub-protocol entry that carries a key; browsers cannot set headers."""

REALTIME_PROTOCOL = "realtime"

SAFETY_IDENTIFIER = "openai-safety-identifier"

Refused = Literal["wrong", "expired", "none"]


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


class Passage(msgspec.Struct, frozen=True):
    """Who is let in: the key that answers for it, and what the session is bound to, if anything.

    `bound` is None for a standard key.
    """

    key: Key
    bound: BoundSession | None = None


class Doorkeeper:
    """Judges the credential of every request and upgrade."""

    def __init__(self, keys: Keys, client_secrets: ClientSecrets) -> None:
        self._keys = keys
        self._client_secrets = client_secrets

    def judge(self, connection: HTTPConnection) -> Passage | Refused:
        """What the credential of a request or a WebSocket upgrade is worth."""
        offered = credential(connection.headers, connection.scope.get("subprotocols", ()))
        if offered is None:
            return "none"
        if offered.startswith(PREFIX):
            bound = self._client_secrets.find(offered)
            return Passage(bound.key, bound) if bound else "expired"
        key = self._keys.find(offered)
        return Passage(key) if key else "wrong"


def safety_identifier(connection: HTTPConnection, passage: Passage) -> str | None:
    """Whom the session is for: as the connection says, else as the secret was bound (C-025).

    A digest, cut to what tells people apart in a log; the identifier itself is never kept.
    """
    given = connection.headers.get(SAFETY_IDENTIFIER)
    if given:
        return hashed_identifier(given)
    return passage.bound.safety_identifier if passage.bound else None


def hashed_identifier(given: str) -> str:
    """A safety identifier as it may be kept and logged."""
    return digest_of(given)[:16]
