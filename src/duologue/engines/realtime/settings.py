"""The settings of one talk as its upstream session is told them: asks in, `session.update`s out.

A session is told all at its beginning and whenever they change. What the owner adds
(`upstream_extra`, a voice sample) is told once, with the first; what shall be written down of the
user is an update of its own, see `hearing.py`.

A model that takes its own turns is never asked for a reply that could say refused settings again.
It is told them `less` some of them instead, so that at least the instructions hold.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from duologue.core.talk import Ask
from duologue.engines.realtime.asks import session_of
from duologue.engines.realtime.hearing import Hearing
from duologue.engines.realtime.link import Order
from duologue.engines.realtime.wire import Fault

KEPT = ("type", "instructions")
"""What every upstream knows, and no model should be without."""

WITH_TOOLS = ("tool_choice", "parallel_tool_calls")
"""What makes no sense without tools."""


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
        session, name, is_long = self._session(ask), "configure", False
        if self._tells_opening:
            name, session, is_long = "configure opening", {**self._opening, **session}, True
            self._is_open = True
        self.told = ask
        yield _update(name, session, is_long=is_long)
        if heard := self._hearing.update(ask):
            yield _update(f"hearing {self._hearing.number}", heard)

    def refused(self, name: str) -> None:
        """It refuses them; `name` ends in "opening" for those with `opening`."""
        self._is_open = self._is_open and not name.endswith("opening")
        self.told = None  # so that a reply says, and is refused, them all

    def less(self, ask: Ask, name: str, error: Fault) -> tuple[Order | None, list[str]]:
        """What it is told in place of those that it has `refused`, and what it will not have then.

        That is what it names, and whatever else is not `KEPT` where it names nothing or refuses
        again. What it would do anyway is not missed. None: there is nothing less to tell.
        """
        if name == "least":
            return None, []
        opening = self._opening if self._tells_opening else {}
        whole = {**opening, **self._session(ask)}
        least = {key: whole[key] for key in KEPT}
        named = _named(error, whole)
        if name.startswith("fewer") or not (named or opening):
            step, session = "least", least
        else:
            kept = {key: whole[key] for key in (*opening, *KEPT)}
            step, session = "fewer", _without(whole, named) if named else kept
        self._is_open = self._is_open or opening.keys() <= session.keys()
        if opening and self._is_open:
            step += " opening"
        self.told = ask
        usual, left = _flat(self._session(Ask())), _flat(session)
        missed = [k for k, v in _flat(whole).items() if k not in left and usual.get(k) != v]
        return _update(f"configure {step}", session, is_long=bool(opening)), missed

    @property
    def _tells_opening(self) -> bool:
        return bool(self._opening) and not self._is_open

    def _session(self, ask: Ask) -> dict[str, Any]:
        session = session_of(ask, self.told)
        if self._duplex:
            del session["audio"]["input"]["turn_detection"]
        return session


def _named(error: Fault, session: Mapping[str, Any]) -> set[str]:
    """The fields that an error is about: by its `param`, or else by its words."""
    names = _flat(session).keys() - set(KEPT)
    for text in (str(error.param), f"{error.code} {error.message}"):
        if named := {name for name in names if _holds(text, name)}:
            return named.union(WITH_TOOLS if "tools" in named else ())
    return set()


def _holds(text: str, name: str) -> bool:
    return re.search(rf"(?<![a-z]){re.escape(name)}(?![a-z])", text, re.IGNORECASE) is not None


def _flat(session: Mapping[str, Any]) -> dict[str, Any]:
    """The fields by name, those of `audio` among them."""
    fields = {key: value for key, value in session.items() if key != "audio"}
    for side in session.get("audio", {}).values():
        fields |= side
    return fields


def _without(session: Mapping[str, Any], names: set[str]) -> dict[str, Any]:
    left = {key: value for key, value in session.items() if key not in names}
    sides = session["audio"].items()
    left["audio"] = {
        side: {key: value for key, value in fields.items() if key not in names}
        for side, fields in sides
    }
    return left


def _update(name: str, session: dict[str, Any], *, is_long: bool = False) -> Order:
    event = {"type": "session.update", "event_id": name, "session": session}
    return Order(event, is_long=is_long)
