"""The keys file: which keys there are besides `api_key`, read again whenever it changes.

    [[keys]]
    name = "kiosk"
    sha256 = "9f86d0…"          # or  key = "sk-…"
    requests_per_minute = 60
    tokens_per_minute = 40000
    max_sessions = 2

The file is looked at once a second, in a thread, and read when it has been left alone for a
second, so that no half-written one counts. A file that cannot be used changes nothing and is
said aloud, once for each state of it.
"""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from duologue.errors import ConfigFault
from duologue.gateway.keys import KeyTerms, digest_of

logger = logging.getLogger(__name__)

CHECK_S = 1.0

Limit = Annotated[int, Meta(ge=1)]
Digest = Annotated[str, Meta(pattern="^[0-9a-fA-F]{64}$")]
State = tuple[int, int, int] | None
"""What tells one content of the file from another; None while there is no file."""


class _Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Annotated[str, Meta(min_length=1)]
    key: Annotated[str, Meta(min_length=1)] | None = None
    sha256: Digest | None = None
    requests_per_minute: Limit | None = None
    tokens_per_minute: Limit | None = None
    max_sessions: Limit | None = None


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    keys: list[_Entry] = []


def read_keys(path: Path) -> list[KeyTerms]:
    """The keys of a file; raises `ConfigFault`, which never holds a key."""
    try:
        file = msgspec.toml.decode(path.read_bytes(), type=_File)
    except OSError as fault:
        raise ConfigFault(f"keys_file: {path}: cannot be read: {fault.strerror}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as fault:
        raise ConfigFault(f"keys_file: {path}: {fault}") from None
    terms: dict[str, KeyTerms] = {}
    names: set[str] = set()
    for entry in file.keys:
        if (entry.key is None) == (entry.sha256 is None):
            raise ConfigFault(f"keys_file: {path}: {entry.name}: give either key or sha256")
        digest = digest_of(entry.key) if entry.key else str(entry.sha256).lower()
        if entry.name in names or digest in terms:
            raise ConfigFault(f"keys_file: {path}: {entry.name} is there twice")
        names.add(entry.name)
        terms[digest] = KeyTerms(
            name=entry.name,
            digest=digest,
            requests_per_minute=entry.requests_per_minute,
            tokens_per_minute=entry.tokens_per_minute,
            max_sessions=entry.max_sessions,
        )
    return list(terms.values())


class KeysFile:
    """One file and what of it is in force."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._loaded: State = None
        self._seen: State = None

    def load(self) -> list[KeyTerms]:
        """The keys it holds now, read at once; raises `ConfigFault`."""
        self._loaded = self._seen = self._state()
        return read_keys(self._path)

    async def watch(self, take: Callable[[list[KeyTerms]], None]) -> None:
        """Give `take` the keys each time they have changed; until cancelled."""
        while True:
            await asyncio.sleep(CHECK_S)
            try:
                terms = await asyncio.to_thread(self._reload)
                if terms is not None:
                    take(terms)
                    logger.info("keys_file: %d keys are in force", len(terms))
            except ConfigFault as fault:
                logger.error("%s; the keys stay as they were", fault)
            except Exception:
                logger.exception("keys_file: could not be followed; it is tried again")

    def _reload(self) -> list[KeyTerms] | None:
        """The keys, if the file is another than the one in force and has come to rest."""
        state = self._state()
        rests = state == self._seen
        self._seen = state
        if not rests or state == self._loaded:
            return None
        self._loaded = state
        return read_keys(self._path)

    def _state(self) -> State:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return (found.st_mtime_ns, found.st_size, found.st_ino)
