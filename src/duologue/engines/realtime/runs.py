"""The replies of one talk that were asked for, and which response of the upstream is which.

`add` comes with each ask, `of` with each event of a response; a run waits until its response is
created, and is known by the upstream's id from then on, until that has said its last word.
"""

from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import Any

from duologue.engines.realtime.run import Run
from duologue.engines.realtime.wire import UpstreamEvent
from duologue.errors import EngineFault

UNSETTLED = 64
"""Responses whose end the upstream may owe us; of an older one it is not awaited any more."""


def asked_in(event: UpstreamEvent) -> Any:
    """The name of the run that a response was created for, where the upstream gives it back."""
    metadata = (event.response.metadata if event.response else None) or {}
    return metadata.get("duologue_ask")


class Runs:
    """See the module. `send` has an event sent to the upstream, see `conversation.Send`."""

    def __init__(self, send: Callable[..., None]) -> None:
        self._send = send
        self._waiting: deque[Run] = deque()
        """Runs whose `response.created` has not come."""
        self._by_id: dict[str, Run] = {}
        """Runs that are not settled, by the upstream's id."""

    def add(self, run: Run) -> None:
        """The upstream is asked for a response."""
        self._waiting.append(run)

    def awaits(self, name: Any) -> bool:
        """Whether a run of that name waits for its response."""
        return any(run.name == name for run in self._waiting)

    def of(self, event: UpstreamEvent) -> Run | None:
        """The run of an event; None for a response that nobody here asked for."""
        response_id = event.response.id if event.response else event.response_id
        run = self._by_id.get(response_id)
        if run is not None or event.type != "response.created" or not self._waiting:
            return run
        asked = asked_in(event)
        run = next((run for run in self._waiting if run.name == asked), self._waiting[0])
        self._waiting.remove(run)
        self._by_id[response_id] = run
        if len(self._by_id) > UNSETTLED:
            self._by_id.pop(next(iter(self._by_id)))
        run.response_id = response_id
        if run.closed:
            self.cancel(run)
        return run

    @property
    def are_settled(self) -> bool:
        """Whether the upstream owes nothing of any."""
        return not self._waiting and all(run.settled.is_set() for run in self._by_id.values())

    def settle(self, run: Run) -> None:
        """The upstream has said its last word on it."""
        self._by_id.pop(run.response_id, None)

    def cancel(self, run: Run) -> None:
        """Have the upstream stop, unless it has."""
        if run.cancelled or run.settled.is_set():
            return
        if not run.response_id and not run.ask.keep:
            return  # it has no name yet: stopped when it gets one
        run.cancelled = True
        named = {"response_id": run.response_id} if run.response_id else {}
        self._send("cancel", run.name, "response.cancel", **named)

    def refuse(self, name: str, fault: EngineFault) -> None:
        """The upstream gives no response to the run of that name."""
        for run in [run for run in self._waiting if run.name == name]:
            self._waiting.remove(run)
            run.fail(fault)

    def refuse_next(self, fault: EngineFault) -> bool:
        """It gives none, and says not to which: to the one that has waited longest, if any."""
        if self._waiting:
            self._waiting.popleft().fail(fault)
            return True
        return False

    def unsaid(self) -> Sequence[Run]:
        """Those of which nothing was passed on yet, in the order of their asks."""
        runs = (*self._by_id.values(), *self._waiting)
        return [run for run in runs if not (run.has_said or run.closed or run.settled.is_set())]

    def fail(self, fault: EngineFault, but: Collection[Run] = ()) -> None:
        """The upstream session is over; those in `but` are asked for in another."""
        for run in (*self._waiting, *self._by_id.values()):
            if run not in but:
                run.fail(fault)
        self._waiting.clear()
        self._by_id.clear()
