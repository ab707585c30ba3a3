"""The settings of one talk as its upstream session is told them: asks in, `session.update`s out.

A session is told all at its beginning and whenever they change. What the owner adds
(`upstream_extra`, a voice sample) is told once, with the first; what shall be written down of the
user is an update of its own, see `hearing.py`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from duologue.core.talk import Ask
from duologue.engines.realtime.asks import session_of
from duologue.engines.realtime.hearing import Hearing
from duologue.engines.realtime.link import Order


class Settings:
    """See the module. `opening` is what the owner adds; a `duplex` model takes its own turns."""

    def __init__(self, hearing: Hearing, opening: Mapping[str, Any], *, duplex: bool) -> None:
        self._hearing = hearing
        self._opening = opening
        self._duplex = duplex
        self.told: Ask | None = None
        """What the upstream session was told of, unless it has refused that."""
        self._is_open = False
        """Whether it was told `opening`, and has not refused that."""

    def begin(self) -> None:
        """The upstream session is new."""
        self.told, self._is_open = None, False
        self._hearing.begin()

    def orders(self, ask: Ask) -> Iterator[Order]:
        """What it is to be told for `ask`."""
        session = session_of(ask, self.told)
        if self._duplex:
            del session["audio"]["input"]["turn_detection"]
        name, is_long = "configure", False
        if self._opening and not self._is_open:
            name, session, is_long = "configure opening", {**self._opening, **session}, True
            self._is_open = True
        self.told = ask
        yield _update(name, session, is_long=is_long)
        if heard := self._hearing.update(ask):
            yield _update(f"hearing {self._hearing.number}", heard)

    def refused(self, name: str) -> None:
        """It refuses them; `name` is "opening" for those with `opening`."""
        self._is_open = self._is_open and name != "opening"
        self.told = None  # so that a reply says, and is refused, them all


def _update(name: str, session: dict[str, Any], *, is_long: bool = False) -> Order:
    event = {"type": "session.update", "event_id": name, "session": session}
    return Order(event, is_long=is_long)
