"""The `session.update`s that an upstream has not answered: which one it refuses.

Updates go in as they are sent, `session.updated` and errors as they come. An upstream answers its
updates in their order. One that gives back no `event_id` with a refusal is understood where `param`
names something of a session that it was told: nothing else that we send has a `session`.

Of any other error without `event_id` it cannot be known what it is about: it may be about sound, an
item or a response just as well, many of which have no answer. If it did refuse an update, the next
`session.updated` is taken for the answer to that, and the last one stays open. The order sets this
right with the next refusal of a later update that can be told. Until then an error without
`event_id` may be taken for a refusal of one that was answered, if its `param` names what that held.
"""

import re
from collections import deque
from collections.abc import Mapping
from typing import Any

from msgspec import Struct, structs

from duologue.engines.realtime.wire import Fault

UNANSWERED = 64
"""Of an upstream that never answers the oldest are forgotten."""


Names = dict[str, Any]
"""Of the fields of an object, each with those of what it holds: None where that is no object."""


class _Update(Struct, frozen=True):
    """What is kept of one: not its instructions and tools, which may be long."""

    event_id: str
    session: Names


class Updates:
    """Those of one upstream session."""

    def __init__(self) -> None:
        self._open: deque[_Update] = deque(maxlen=UNANSWERED)

    def sent(self, event: dict[str, Any]) -> None:
        """An event was sent; only updates matter."""
        if event["type"] == "session.update":
            self._open.append(_Update(event["event_id"], _names(event["session"])))

    def taken(self) -> None:
        """The oldest was answered by `session.updated`."""
        if self._open:
            self._open.popleft()

    def understood(self, error: Fault) -> Fault:
        """The error, with the `event_id` of the update that it refuses, if it refuses one."""
        if _is_ours(error.event_id):
            refused = next((u for u in self._open if u.event_id == error.event_id), None)
        else:
            refused = next((u for u in self._open if _is_about(error, u.session)), None)
        if refused is None:
            return error
        while self._open.popleft() is not refused:
            pass  # those before it were answered
        return structs.replace(error, event_id=refused.event_id)


def _is_ours(event_id: str | None) -> bool:
    return " " in (event_id or "")  # see `talk`; some upstreams give a name of their own


def _is_about(error: Fault, session: Names) -> bool:
    """Whether an error is about something in a session that was told."""
    if error.type not in (None, "invalid_request_error") or not isinstance(error.param, str):
        return False
    first, *path = re.split(r"\.|\[", error.param)
    return first == "session" and (_holds(session, path) or _holds(_flat(session), path))


def _names(session: Mapping[str, Any]) -> Names:
    return {
        name: _names(value) if isinstance(value, Mapping) else None
        for name, value in session.items()
    }


def _holds(told: Names | None, path: list[str]) -> bool:
    for name in path:
        if told is None:
            return True  # inside a value that we gave
        if name not in told:
            return False
        told = told[name]
    return True


def _flat(session: Names) -> Names:
    """What stands under `audio` by the names of the beta protocol, which has no sides."""
    sides = (session.get("audio") or {}).values()
    return {name: names for side in sides for name, names in (side or {}).items()}
