"""The `session.update`s that an upstream has not answered: which one it refuses.

Updates go in as they are sent, `session.updated` and errors as they come. An upstream answers its
updates in their order. One that gives back no `event_id` with a refusal is understood where `param`
names something of a session that it was told: nothing else that we send has a `session`. Of any
other error without `event_id` it cannot be known what it is about.
"""

import re
from collections import deque
from collections.abc import Mapping
from typing import Any

from msgspec import structs

from duologue.engines.realtime.wire import Fault

UNANSWERED = 64
"""Of an upstream that never answers the oldest are forgotten."""


class Updates:
    """Those of one upstream session."""

    def __init__(self) -> None:
        self._open: deque[dict[str, Any]] = deque(maxlen=UNANSWERED)

    def sent(self, event: dict[str, Any]) -> None:
        """An event was sent; only updates matter."""
        if event["type"] == "session.update":
            self._open.append(event)

    def taken(self) -> None:
        """The oldest was answered by `session.updated`."""
        if self._open:
            self._open.popleft()

    def understood(self, error: Fault) -> Fault:
        """The error, with the `event_id` of the update that it refuses, if it refuses one."""
        if _is_ours(error.event_id):
            refused = next((e for e in self._open if e["event_id"] == error.event_id), None)
        else:
            refused = next((e for e in self._open if _is_about(error, e["session"])), None)
        if refused is None:
            return error
        self._open.remove(refused)
        return structs.replace(error, event_id=refused["event_id"])


def _is_ours(event_id: str | None) -> bool:
    return " " in (event_id or "")  # see `talk`; some upstreams give a name of their own


def _is_about(error: Fault, session: Mapping[str, Any]) -> bool:
    """Whether an error is about something in a session that was told."""
    if error.type not in (None, "invalid_request_error") or not isinstance(error.param, str):
        return False
    first, *path = re.split(r"\.|\[", error.param)
    return first == "session" and (_holds(session, path) or _holds(_flat(session), path))


def _holds(told: Any, path: list[str]) -> bool:
    for name in path:
        if not isinstance(told, Mapping):
            return True  # inside a value that we gave
        if name not in told:
            return False
        told = told[name]
    return True


def _flat(session: Mapping[str, Any]) -> dict[str, Any]:
    """What stands under `audio` by the names of the beta protocol, which has no sides."""
    sides = session.get("audio", {}).values()
    return {name: value for side in sides for name, value in side.items()}
