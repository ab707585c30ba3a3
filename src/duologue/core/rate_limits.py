"""What one key may use in a minute: two buckets that fill steadily, requests and tokens.

Pure: time comes in as monotonic seconds. One `RateLimiter` is shared by all sessions of a
key. A response takes one request and a reserve of tokens when it begins; when it ends, the
reserve is settled by what was really used, which may be more: a bucket can be in debt, and
the next response then waits longer. So nobody has to guess beforehand how long a reply will
be, and over time exactly the limit is used.
"""

from typing import Literal

import msgspec

from duologue.events import RateLimit

MINUTE_S = 60.0

LimitName = Literal["requests", "tokens"]


class Allowance(msgspec.Struct, frozen=True):
    """From when on a response may begin, in monotonic seconds, and the limit that says so.

    It changes only when somebody takes or gives back, never by time alone.
    """

    open_at: float = 0.0
    name: LimitName = "requests"
    limit: int = 0


UNLIMITED = Allowance()


class _Bucket:
    """`level` units at time `at`; it fills by `limit` a minute, up to `limit`."""

    def __init__(self, name: LimitName, limit: int) -> None:
        self.name = name
        self.limit = limit
        self._level = float(limit)
        self._at: float | None = None

    def take(self, amount: int, now: float) -> None:
        """Take, or give back if negative."""
        self._level = min(self.limit, self.level(now) - amount)
        self._at = now

    def level(self, now: float) -> float:
        """Units left; below zero is a debt."""
        if self._at is None:
            return self._level
        return min(self.limit, self._level + (now - self._at) * self.limit / MINUTE_S)

    @property
    def open_at(self) -> float:
        """When one unit is left (again)."""
        if self._at is None or self._level >= 1:
            return 0.0
        return self._at + (1 - self._level) * MINUTE_S / self.limit

    def resize(self, limit: int, now: float) -> None:
        """Take another limit; what was used up of the old one stays used."""
        used = self.limit - self.level(now)
        self.limit = limit
        self._level, self._at = limit - used, now

    def shown(self, now: float) -> RateLimit:
        """As `rate_limits.updated` has it; `reset_seconds` until all of it is there again."""
        level = self.level(now)
        missing_s = (self.limit - level) * MINUTE_S / self.limit
        return RateLimit(
            name=self.name,
            limit=self.limit,
            remaining=max(0, int(level)),
            reset_seconds=round(missing_s, 3),
        )


class RateLimiter:
    """The limits of one key; None means that there is none of that name."""

    def __init__(
        self, requests_per_minute: int | None = None, tokens_per_minute: int | None = None
    ) -> None:
        self._buckets: dict[LimitName, _Bucket] = {}
        self.allowance = UNLIMITED
        """When the next response may begin."""
        self.configure(requests_per_minute, tokens_per_minute, 0.0)

    def configure(self, requests: int | None, tokens: int | None, now: float) -> None:
        """Take new limits, both per minute."""
        wanted: tuple[tuple[LimitName, int | None], ...] = (
            ("requests", requests),
            ("tokens", tokens),
        )
        for name, limit in wanted:
            bucket = self._buckets.get(name)
            if limit is None:
                self._buckets.pop(name, None)
            elif bucket is None:
                self._buckets[name] = _Bucket(name, limit)
            elif bucket.limit != limit:
                bucket.resize(limit, now)
        self._settle_allowance()

    def reserve(self, tokens: int, now: float) -> int:
        """A response begins: one request and `tokens` are taken; returns the tokens reserved."""
        if bucket := self._buckets.get("requests"):
            bucket.take(1, now)
        reserved = 0
        if bucket := self._buckets.get("tokens"):
            reserved = min(tokens, bucket.limit)
            bucket.take(reserved, now)
        self._settle_allowance()
        return reserved

    def settle(self, reserved: int, used: int, now: float) -> None:
        """A response ended that had reserved so much and used so much."""
        if bucket := self._buckets.get("tokens"):
            bucket.take(used - reserved, now)
            self._settle_allowance()

    def _settle_allowance(self) -> None:
        latest = UNLIMITED
        for bucket in self._buckets.values():
            if bucket.open_at > latest.open_at:
                latest = Allowance(bucket.open_at, bucket.name, bucket.limit)
        self.allowance = latest

    def shown(self, now: float) -> tuple[RateLimit, ...]:
        """What is left of each limit."""
        ordered = sorted(self._buckets.values(), key=lambda bucket: bucket.name)
        return tuple(bucket.shown(now) for bucket in ordered)
