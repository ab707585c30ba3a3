"""Tapes: every input of a session with its time, one JSON line each, to be replayed as a test.

The first line is a `TapeHeader`, the others are `[now, input]`. Outputs are not stored: the
same inputs give the same outputs. A tape holds the user's voice, so recording is off unless
the owner sets a directory.
"""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from duologue.core.inputs import Input
from duologue.core.settings import SessionConfig
from duologue.runtime.tape_file import TapeFile


class TapeHeader(msgspec.Struct, frozen=True):
    """What a session was made with; the seed is text because JSON numbers are too short."""

    config: SessionConfig
    seed: str
    now: float


class Recorder:
    """Writes one tape; the disk never holds up the session."""

    def __init__(self, path: Path, header: TapeHeader) -> None:
        encoder = msgspec.json.Encoder()

        def line(what: TapeHeader | tuple[float, Input]) -> bytes:
            return encoder.encode(what) + b"\n"

        # The header holds all stored prompts: megabytes, maybe.
        self._file: TapeFile[tuple[float, Input]] = TapeFile(path, lambda: line(header), line)

    def record(self, now: float, entry: Input) -> None:
        """Add an input; never waits."""
        self._file.put((now, entry))

    def close(self) -> None:
        """Write what is left and end the tape."""
        self._file.close()


def read_tape(path: Path) -> tuple[TapeHeader, Iterator[tuple[float, Input]]]:
    """The header of a tape and its inputs in order. Raises `msgspec.DecodeError`."""
    lines = path.read_bytes().splitlines()
    decoder = msgspec.json.Decoder(tuple[float, Input])
    header = msgspec.json.decode(lines[0], type=TapeHeader)
    return header, (decoder.decode(line) for line in lines[1:])
