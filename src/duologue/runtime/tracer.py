"""Traces: what happened in a session, for people and tools to read, where the client asks for it.

    server events ─► those that tell something, without deltas ─► one JSON line each

`session.tracing` switches it, as in the hosted API (GAP-40); the owner says in which directory
traces are kept. The first line names the session and when it began (Unix seconds); a line
`tracing` has the label the client gave; the others are events with their time since then.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from duologue.events import (
    ConversationItemAdded,
    ConversationItemDeleted,
    ConversationItemDone,
    ConversationItemInputAudioTranscriptionCompleted,
    ConversationItemInputAudioTranscriptionFailed,
    ConversationItemTruncated,
    Error,
    InputAudioBufferCommitted,
    InputAudioBufferSpeechStarted,
    InputAudioBufferSpeechStopped,
    InputAudioBufferTimeoutTriggered,
    ResponseCreated,
    ResponseDone,
    SessionCreated,
    SessionUpdated,
)
from duologue.events.translation import AnyServerEvent
from duologue.runtime.tape_file import TapeFile

TELLING = (
    SessionCreated,
    SessionUpdated,
    InputAudioBufferSpeechStarted,
    InputAudioBufferSpeechStopped,
    InputAudioBufferCommitted,
    InputAudioBufferTimeoutTriggered,
    ConversationItemAdded,
    ConversationItemDone,
    ConversationItemDeleted,
    ConversationItemTruncated,
    ConversationItemInputAudioTranscriptionCompleted,
    ConversationItemInputAudioTranscriptionFailed,
    ResponseCreated,
    ResponseDone,
    Error,
)
"""Events that say what happened; the others are its pieces, or about something else."""


class Tracer:
    """The trace of one session; there is no file before the client asks for one."""

    def __init__(
        self, path: Path, session_id: str, began_at: float, time: Callable[[], float]
    ) -> None:
        self._path = path
        self._head = msgspec.json.encode({"session": session_id, "began_at": began_at}) + b"\n"
        self._time = time
        self._began = time()
        self._label: Any = None
        self._file: TapeFile[dict[str, Any]] | None = None

    def take(self, event: AnyServerEvent) -> None:
        """Note an event on its way to the client; never waits."""
        if not isinstance(event, TELLING):
            return
        if isinstance(event, SessionCreated | SessionUpdated):
            self._relabel(getattr(event.session, "tracing", None))
        if self._label is not None:
            self._put("event", event)

    def close(self) -> None:
        """Write what is left; to be called in a thread."""
        if self._file is not None:
            self._file.close()

    def _relabel(self, label: Any) -> None:
        changed, self._label = label != self._label, label
        if changed and label is not None:
            self._put("tracing", label)

    def _put(self, name: str, what: Any) -> None:
        if self._file is None:
            self._file = TapeFile(self._path, lambda: self._head, _line)
        self._file.put({"at_s": round(self._time() - self._began, 3), name: what})


def _line(entry: dict[str, Any]) -> bytes:
    return msgspec.json.encode(entry) + b"\n"
