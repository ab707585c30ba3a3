"""The keys of this server and what each may use.

A `Key` is one object for as long as it is known: sessions and client secrets point to it, so
that limits are shared and a revoked key is revoked everywhere at once. Keys are kept and
compared as digests; neither they nor what was offered is ever logged.
"""

import hashlib
from collections.abc import Iterable


class Key:
    """One credential: its name in the log, its limits, and how many sessions it has open."""

    def __init__(self, name: str, digest: str, *, max_sessions: int | None = None) -> None:
        self.name = name
        self.digest = digest
        self.max_sessions = max_sessions
        self.open_sessions = 0
        self.revoked = False


class Keys:
    """The keys that open this server, by digest."""

    def __init__(self, keys: Iterable[Key]) -> None:
        self._by_digest = {key.digest: key for key in keys}

    def find(self, offered: str) -> Key | None:
        """The key that was offered. Digests are looked up: their nearness tells nothing."""
        return self._by_digest.get(digest_of(offered))


def digest_of(secret: str) -> str:
    """SHA-256 in hex; header values may hold any character."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def own_key(secret: str) -> Key:
    """The key of the setting `api_key`: it has no limits."""
    return Key("api_key", digest_of(secret))
