"""The outputs of one call of `Session.handle`, gathered in the order they arise."""

from typing import Any

from duologue.core.outputs import Output, Send
from duologue.events import ServerEvent


class Batch:
    """Collects outputs and numbers the server events; `event_id`s are unique in the session."""

    def __init__(self, session_id: str) -> None:
        self._prefix = "event_" + session_id.removeprefix("sess_")[:12]
        self._count = 0
        self._outputs: list[Output] = []

    def send(self, kind: type[ServerEvent], **fields: Any) -> None:
        """Add a server event of class `kind`."""
        self._count += 1
        event = kind(event_id=f"{self._prefix}{self._count:06x}", **fields)
        self._outputs.append(Send(event))

    def add(self, output: Output) -> None:
        """Add any other output."""
        self._outputs.append(output)

    def drain(self) -> list[Output]:
        """What was gathered since the last drain."""
        outputs, self._outputs = self._outputs, []
        return outputs
