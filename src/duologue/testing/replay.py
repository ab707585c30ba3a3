"""Replay of a tape: the recorded inputs through a fresh session give the recorded events.

A bug report becomes a tape, a tape becomes a test: `events = list(replay(path))`.
"""

from collections.abc import Iterator
from pathlib import Path

from duologue.core.kinds import make_session
from duologue.core.outputs import Output, Send
from duologue.events.translation import AnyServerEvent
from duologue.runtime.ids import IdSource
from duologue.runtime.recorder import read_tape


def replay_outputs(path: Path) -> Iterator[Output]:
    """Every output of the session on the tape, in order."""
    header, entries = read_tape(path)
    session = make_session(header.config, new_id=IdSource(int(header.seed)), now=header.now)
    yield from session.open(header.now)
    for now, entry in entries:
        yield from session.handle(entry, now)


def replay(path: Path) -> Iterator[AnyServerEvent]:
    """Every event that the session on the tape sends, in order."""
    return (output.event for output in replay_outputs(path) if isinstance(output, Send))
