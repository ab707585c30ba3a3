"""The voice-activity process: Silero for all sessions of one server, beside its event loop.

    stdin ─ asks ─► one window of every stream that waits ─► one run of the model ─► stdout

`python -m duologue.hearing.silero_process MODEL`, started by `SileroActivity`. One thread:
read what has come, score, answer, again. It holds the state of every stream.

It ends when stdin does, which is also how it learns that the server is gone, however that
went; so signals meant for the server and its whole group are not for it.
"""

import os
import select
import signal
import sys
from collections import deque
from itertools import islice
from pathlib import Path

from duologue.errors import ModelFault
from duologue.hearing.resampling import Samples
from duologue.hearing.silero_model import SileroModel, fresh_memory
from duologue.hearing.silero_records import ANSWER, CLOSE, READY, WINDOW_BYTES, Asks

BATCH_LIMIT = 64
"""Streams scored in one run of the model: more would cost no less each, and outgrow the cache."""

READ_BYTES = 1 << 20


class Scorer:
    """The streams of one server, their memories and the windows of theirs that wait.

    The server has one ask of a stream on its way at a time, so that what waits is bounded.
    """

    def __init__(self, model: SileroModel) -> None:
        self._model = model
        self._asks = Asks()
        self._memories: dict[int, Samples] = {}
        self._waiting: dict[int, deque[bytes]] = {}

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits."""
        return not self._waiting

    def take(self, data: bytes) -> None:
        """Put what has come in line."""
        for stream, kind, windows in self._asks.read(data):
            if kind == CLOSE:
                self._memories.pop(stream, None)
                self._waiting.pop(stream, None)
            else:
                self._waiting.setdefault(stream, deque()).extend(windows)

    def run(self) -> list[tuple[int, float]]:
        """Score one window of every stream that waits: stream, probability."""
        batch = list(islice(self._waiting, BATCH_LIMIT))
        waiting = [self._waiting.pop(stream) for stream in batch]
        memories = [self._memories.get(stream) for stream in batch]
        new_memories, scores = self._model.score(
            [fresh_memory() if memory is None else memory for memory in memories],
            [windows.popleft() for windows in waiting],
        )
        for stream, windows, memory in zip(batch, waiting, new_memories, strict=True):
            self._memories[stream] = memory
            if windows:
                self._waiting[stream] = windows  # behind those that have waited longer
        return list(zip(batch, scores.tolist(), strict=True))


def serve(scorer: Scorer, source: int, sink: int) -> None:
    """Answer what comes from the file descriptor `source`, until it ends or `sink` does."""
    while True:
        # All that is there, so that a long ask of one does not hold up the others.
        while scorer.is_idle or select.select([source], [], [], 0)[0]:
            data = os.read(source, READ_BYTES)
            if not data:
                return
            scorer.take(data)
        answers = scorer.run()
        try:
            _write(sink, b"".join(ANSWER.pack(*answer) for answer in answers))
        except BrokenPipeError:
            return


def _write(sink: int, data: bytes) -> None:
    while data:
        data = data[os.write(sink, data) :]


def main() -> int:
    """Load the model named in the arguments, say so, serve."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    # Whatever a library prints shall not stand among the answers.
    sink = os.dup(1)
    os.dup2(2, 1)
    try:
        model = SileroModel(Path(sys.argv[1]))
    except ModelFault as fault:
        _write(sink, " ".join(str(fault).split()).encode() + b"\n")
        return 1
    model.score([fresh_memory()], [bytes(WINDOW_BYTES)])  # the first run is a slow one
    _write(sink, READY)
    serve(Scorer(model), 0, sink)
    return 0


if __name__ == "__main__":
    sys.exit(main())
