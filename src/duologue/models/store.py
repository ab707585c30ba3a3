"""The store: where model files live, and whether they are what the catalogue says.

Layout: `<directory>/<model>/<file>`. Callers ask for a path and get one only after the files'
sha256 were found right. Hashing a gigabyte takes seconds, so a verdict is remembered with the
file's size and modification time in `<directory>/.verified.json` and holds while both do.
Files copied there by hand are as good as files that `pull` brought.
"""

import contextlib
import difflib
import hashlib
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from duologue.errors import ModelFault
from duologue.models.catalogue import CATALOGUE, ModelEntry, ModelFile

log = logging.getLogger(__name__)

DEFAULT_DIRECTORY = Path("~/.cache/duologue/models")
"""Where models live when the configuration names no other place."""

CHUNK_BYTES = 1 << 20

State = Literal["present", "missing", "altered", "partial"]
"""`partial`: some files are there, or a pull was interrupted. `altered`: a file differs."""


class Seen(msgspec.Struct, frozen=True, array_like=True):
    """A remembered hash, valid for a file of this size and modification time."""

    bytes: int
    mtime_ns: int
    sha256: str


class Store:
    """A directory of models and the catalogue they are judged by."""

    def __init__(
        self, directory: Path | None = None, catalogue: Sequence[ModelEntry] = CATALOGUE
    ) -> None:
        self.directory = (directory or DEFAULT_DIRECTORY).expanduser().absolute()
        self.catalogue = tuple(catalogue)

    def entry(self, name: str) -> ModelEntry:
        """The catalogue entry called `name`; `ModelFault` with the nearest names if none is."""
        for entry in self.catalogue:
            if entry.name == name:
                return entry
        names = [entry.name for entry in self.catalogue]
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}."
        raise ModelFault(
            f"no model is called {name!r}: {hint} A path (./model.gguf) or a hub id "
            "(hf:owner/repo) will do, too."
        )

    def path(self, entry: ModelEntry) -> Path:
        """What an engine loads: the file of a one-file model, else the directory. Unchecked."""
        folder = self.directory / entry.name
        return folder / entry.files[0].path if len(entry.files) == 1 else folder

    def file(self, entry: ModelEntry, file: ModelFile) -> Path:
        """Where this file of the model belongs. Unchecked."""
        return self.directory / entry.name / file.path

    def partial(self, entry: ModelEntry) -> Path:
        """Where an unfinished pull of the model is kept, on the same file system."""
        return self.directory / ".partial" / entry.name

    def verify(
        self,
        entry: ModelEntry,
        *,
        fresh: bool = False,
        on_bytes: Callable[[int], None] = lambda _: None,
    ) -> Path:
        """The model's path, once every file has the size and sha256 of the catalogue.

        `fresh` distrusts remembered hashes; `on_bytes` is told of each chunk hashed.
        Raises `ModelFault`, which names the file, both hashes and the command that mends it.
        """
        for file in entry.files:
            path = self.file(entry, file)
            fault = self.fault(entry, file, fresh=fresh, on_bytes=on_bytes)
            if fault:
                raise ModelFault(
                    f"{entry.name}: {fault} ({path}). "
                    f"To mend it, run `duologue models pull {entry.name}`."
                )
        return self.path(entry)

    def fault(
        self,
        entry: ModelEntry,
        file: ModelFile,
        *,
        fresh: bool = False,
        on_bytes: Callable[[int], None] = lambda _: None,
    ) -> str | None:
        """What is wrong with one file, in words, or None."""
        path = self.file(entry, file)
        try:
            size = path.stat().st_size
            found = self._sha256(path, fresh, on_bytes)
        except (FileNotFoundError, NotADirectoryError):
            return f"{file.path} is missing; expected {file.bytes} bytes, sha256 {file.sha256}"
        except OSError as error:
            return f"{file.path} cannot be read: {error.strerror}"
        if found == file.sha256:
            return None
        kind = "truncated" if size < file.bytes else "altered"
        return (
            f"{file.path} is {kind}: expected {file.bytes} bytes, sha256 {file.sha256}, "
            f"found {size} bytes, sha256 {found}"
        )

    def state(self, entry: ModelEntry) -> State:
        """The model's state, hashing what has not been hashed yet."""
        paths = [self.file(entry, file) for file in entry.files]
        there = [path.is_file() for path in paths]
        if all(there):
            sound = all(self.fault(entry, file) is None for file in entry.files)
            return "present" if sound else "altered"
        begun = any(path.is_file() for path in self.partial(entry).rglob("*"))
        return "partial" if begun or any(there) else "missing"

    def remember(self, path: Path, sha256: str) -> None:
        """Note that `path`, as it is now, hashes to `sha256`."""
        stat = path.stat()
        seen = self._seen()
        seen[self._key(path)] = Seen(stat.st_size, stat.st_mtime_ns, sha256)
        # Two processes may overwrite each other's notes; the loser hashes once more, no harm.
        note = self.directory / f".verified.{os.getpid()}.json"
        try:
            note.write_bytes(msgspec.json.encode(seen))
            os.replace(note, self._notes)
        except OSError as error:
            # A read-only store (weights baked into an image) is fine, only slower to start.
            log.debug("cannot remember hashes in %s: %s", self.directory, error)
            with contextlib.suppress(OSError):
                note.unlink()

    @property
    def _notes(self) -> Path:
        return self.directory / ".verified.json"

    def _key(self, path: Path) -> str:
        return path.relative_to(self.directory).as_posix()

    def _seen(self) -> dict[str, Seen]:
        try:
            return msgspec.json.decode(self._notes.read_bytes(), type=dict[str, Seen])
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return {}

    def _sha256(self, path: Path, fresh: bool, on_bytes: Callable[[int], None]) -> str:
        stat = path.stat()
        seen = None if fresh else self._seen().get(self._key(path))
        if seen and (seen.bytes, seen.mtime_ns) == (stat.st_size, stat.st_mtime_ns):
            return seen.sha256
        found = sha256_of(path, on_bytes)
        self.remember(path, found)
        return found


def sha256_of(path: Path, on_bytes: Callable[[int], None] = lambda _: None) -> str:
    """The sha256 of a file in hex; `on_bytes` is told the size of each chunk. Raises OSError."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            digest.update(chunk)
            on_bytes(len(chunk))
    return digest.hexdigest()
