"""Coming back to a session: which token leads to which one, for whom, and only once.

A session that may be resumed gets a token; a connection that brings it gets the session and a
new token. Tokens are kept as digests and compared in constant time, each belongs to the owner
(the key) of the connection it was given to, and none is ever logged.
"""

import hashlib
import hmac
import secrets
from collections.abc import Mapping

import msgspec

from duologue.events import ResumeOffer
from duologue.runtime.runner import Runner

OPT_IN = "1"
"""The value of the query key that asks for a session that can be resumed."""

QUERY_KEY = "duologue_resume"


class _Entry(msgspec.Struct):
    runner: Runner
    owner: bytes
    token: bytes


class Resumption:
    """The sessions of one server that may be resumed. `grace_s` 0: none may."""

    def __init__(self, grace_s: int) -> None:
        self._grace_s = grace_s
        self._entries: list[_Entry] = []

    def offer(self, query: Mapping[str, str]) -> ResumeOffer | None:
        """What a new session offers, if its client asked for it; `hold` makes it true."""
        if query.get(QUERY_KEY) != OPT_IN or not self._grace_s:
            return None
        return self._new_offer()

    def hold(self, runner: Runner, offer: ResumeOffer, owner: str) -> None:
        """Let the token of `offer` lead to `runner`, for `owner` alone."""
        self._entries.append(_Entry(runner, _digest(owner), _digest(offer.token)))

    def find(self, token: str, owner: str) -> Runner | None:
        """The session that a token leads to, if it came from its owner."""
        given = _digest(owner) + _digest(token)
        # All are compared, so that the time does not tell which one is near.
        hits = [hmac.compare_digest(given, entry.owner + entry.token) for entry in self._entries]
        return self._entries[hits.index(True)].runner if any(hits) else None

    def renew(self, runner: Runner) -> ResumeOffer:
        """A new token for a session that was found; the one it had leads nowhere from now on."""
        offer = self._new_offer()
        for entry in self._entries:
            if entry.runner is runner:
                entry.token = _digest(offer.token)
        return offer

    def forget(self, runner: Runner) -> None:
        """The session is over."""
        self._entries = [entry for entry in self._entries if entry.runner is not runner]

    def _new_offer(self) -> ResumeOffer:
        token = "resume_" + secrets.token_urlsafe(32)
        return ResumeOffer(token=token, grace_s=self._grace_s)


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()
