"""Client secrets: short-lived `ek_` credentials with a session bound to them.

    mint(session, expires_after_s, safety_identifier, key=…) ─► ClientSecret
    find(value) ─► BoundSession: what a connection with that secret begins with

The store is in memory, holds hashes instead of secrets, and is bounded in number and size;
what has expired is swept whenever a secret is minted. Expiry gates the beginning of sessions
only (C-007), and a secret may begin many (C-008). `draft` is safe in a worker thread.
"""

import heapq
import secrets
from collections.abc import Callable

import msgspec

from duologue.core.starting import starting_session
from duologue.errors import DuologueError
from duologue.events.client_secrets import (
    DEFAULT_EXPIRY_S,
    ClientSecret,
)
from duologue.gateway.keys import Key, digest_of
from duologue.gateway.session_start import SessionStart, SessionStartParams

PREFIX = "ek_"

LIMIT = 10_000
"""Secrets that may be alive at a time."""

LIMIT_BYTES = 64 * 1024 * 1024
"""What the sessions bound to them may take, as JSON."""


class SecretsFull(DuologueError):
    """As many client secrets are alive as this server keeps; some will expire."""


class BoundSession(msgspec.Struct, frozen=True, kw_only=True):
    """What a secret stands for. `key` minted it: its limits hold, and its end is the secret's.

    `start` None binds the server's defaults. A secret of the beta endpoints opens beta sessions,
    of the `beta_temperature` they were asked for; None is a GA one.
    """

    start: SessionStartParams | None
    expires_at: int
    safety_identifier: str | None
    key: Key
    size_bytes: int
    beta_temperature: float | None = None


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A secret that is valid but not kept yet."""

    secret: ClientSecret
    bound: BoundSession


class ClientSecrets:
    """The secrets of one server; `clock` gives Unix seconds."""

    def __init__(
        self,
        start: SessionStart,
        clock: Callable[[], float],
        *,
        limit: int = LIMIT,
        limit_bytes: int = LIMIT_BYTES,
    ) -> None:
        self._start = start
        self._clock = clock
        self._limit = limit
        self._limit_bytes = limit_bytes
        self._held_bytes = 0
        self._by_digest: dict[str, BoundSession] = {}
        self._by_expiry: list[tuple[int, str]] = []

    def mint(
        self,
        session_config: SessionStartParams | None = None,
        expires_after_s: int = DEFAULT_EXPIRY_S,
        safety_identifier: str | None = None,
        *,
        key: Key,
    ) -> ClientSecret:
        """A new secret of `key` for sessions that begin with `session_config`.

        Raises `Refusal` for a session that cannot be (its path begins with `session`), and
        `SecretsFull`.
        """
        return self.keep(self.draft(session_config, expires_after_s, safety_identifier, key=key))

    def draft(
        self,
        session_config: SessionStartParams | None,
        expires_after_s: int,
        safety_identifier: str | None,
        *,
        key: Key,
        beta_temperature: float | None = None,
    ) -> Draft:
        """All of `mint` but the keeping; changes nothing."""
        expires_at = int(self._clock()) + expires_after_s
        shown = starting_session(self._start.bound(session_config))
        value = PREFIX + secrets.token_urlsafe(24)
        bound = BoundSession(
            start=session_config,
            expires_at=expires_at,
            safety_identifier=safety_identifier,
            key=key,
            size_bytes=len(msgspec.json.encode(session_config)),
            beta_temperature=beta_temperature,
        )
        secret = ClientSecret(value=value, expires_at=expires_at, session=shown)
        return Draft(secret=secret, bound=bound)

    def keep(self, draft: Draft) -> ClientSecret:
        """Make a draft valid; raises `SecretsFull`."""
        self._sweep()
        bound = draft.bound
        held_bytes = self._held_bytes + bound.size_bytes
        if len(self._by_digest) >= self._limit or held_bytes > self._limit_bytes:
            raise SecretsFull("Too many client secrets are alive; wait until some have expired.")
        digest = digest_of(draft.secret.value)
        self._by_digest[digest] = bound
        self._held_bytes = held_bytes
        heapq.heappush(self._by_expiry, (bound.expires_at, digest))
        return draft.secret

    def find(self, value: str) -> BoundSession | None:
        """What `value` stands for, or None once it has expired or its key was revoked."""
        bound = self._by_digest.get(digest_of(value))
        if bound is None or bound.key.revoked or self._clock() >= bound.expires_at:
            return None
        return bound

    def _sweep(self) -> None:
        now = self._clock()
        while self._by_expiry and self._by_expiry[0][0] <= now:
            _, digest = heapq.heappop(self._by_expiry)
            self._held_bytes -= self._by_digest.pop(digest).size_bytes
