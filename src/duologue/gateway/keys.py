"""The keys of this server and what each may use.

A `Key` is one object for as long as it is known: sessions and client secrets point to it, so
that limits are shared and a revoked key is revoked everywhere at once. Keys are kept and
compared as digests; neither they nor what was offered is ever logged.
"""

import hashlib
from collections.abc import Iterable

import msgspec

from duologue.core.rate_limits import RateLimiter


class KeyTerms(msgspec.Struct, frozen=True, kw_only=True):
    """One key as it was configured; a limit that is None is none."""

    name: str
    digest: str
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    max_sessions: int | None = None


class Key:
    """One credential: its terms, what it has used, and how many sessions it has open."""

    def __init__(self, terms: KeyTerms) -> None:
        self.terms = terms
        self.limiter = RateLimiter(terms.requests_per_minute, terms.tokens_per_minute)
        self.open_sessions = 0
        self.revoked = False

    def change(self, terms: KeyTerms, now: float) -> None:
        """Take other terms for the same key; what was used stays used."""
        self.terms = terms
        self.limiter.configure(terms.requests_per_minute, terms.tokens_per_minute, now)


class Keys:
    """The keys that open this server, by digest."""

    def __init__(self, terms: Iterable[KeyTerms]) -> None:
        self._by_digest = {one.digest: Key(one) for one in terms}

    def find(self, offered: str) -> Key | None:
        """The key that was offered. Digests are looked up: their nearness tells nothing."""
        return self._by_digest.get(digest_of(offered))

    def replace(self, terms: Iterable[KeyTerms], now: float) -> list[Key]:
        """Know these keys from `now` (monotonic seconds) on; returns those that are revoked."""
        before, self._by_digest = self._by_digest, {}
        for one in terms:
            key = before.pop(one.digest, None)
            if key is None:
                key = Key(one)
            elif key.terms != one:
                key.change(one, now)
            self._by_digest[one.digest] = key
        for key in before.values():
            key.revoked = True
        return list(before.values())


def digest_of(secret: str) -> str:
    """SHA-256 in hex; header values may hold any character."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def own_key(secret: str) -> KeyTerms:
    """The key of the setting `api_key`: it has no limits."""
    return KeyTerms(name="api_key", digest=digest_of(secret))
