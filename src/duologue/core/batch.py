"""The outputs of one call of `Session.handle`, gathered in the order they arise."""

from collections.abc import Callable
from typing import Any

from duologue.core.outputs import Close, Output, Send
from duologue.errors import Refusal
from duologue.events import Error, ErrorDetail, ServerEvent
from duologue.events.translation import TranslationServerEvent


class Batch:
    """Collects outputs and numbers the server events; `event_id`s are unique in the session."""

    def __init__(self, session_id: str) -> None:
        self._prefix = "event_" + session_id.removeprefix("sess_")[:12]
        self._count = 0
        self._outputs: list[Output] = []

    def send(self, kind: type[ServerEvent | TranslationServerEvent], **fields: Any) -> None:
        """Add a server event of class `kind`."""
        self._count += 1
        event = kind(event_id=f"{self._prefix}{self._count:06x}", **fields)
        self._outputs.append(Send(event))

    def refusing(self, act: Callable[[], None], event_id: str | None) -> None:
        """Do something that may be refused; a refusal is told and has changed nothing."""
        try:
            act()
        except Refusal as refusal:
            self.refuse(refusal, event_id)

    def refuse(self, refusal: Refusal, event_id: str | None) -> None:
        """Answer a client's mistake: one `error` event that echoes the client's `event_id`."""
        detail = ErrorDetail(
            type=refusal.type,
            code=refusal.code,
            message=refusal.message,
            param=refusal.param,
            event_id=event_id,
        )
        self.send(Error, error=detail)

    def expire(self, max_s: float) -> None:
        """End a session whose time is over (reference 1.3)."""
        message = f"Your session hit the maximum duration of {max_s / 60:g} minutes."
        self.refuse(Refusal("session_expired", message), None)
        self.add(Close(1001, message))

    def dismiss(self, refusal: Refusal, close_code: int) -> None:
        """End a session from the server's side, and say why."""
        self.refuse(refusal, None)
        self.add(Close(close_code, f"{refusal.type}.{refusal.code}"))

    def add(self, output: Output) -> None:
        """Add any other output."""
        self._outputs.append(output)

    def drain(self) -> list[Output]:
        """What was gathered since the last drain."""
        outputs, self._outputs = self._outputs, []
        return outputs
