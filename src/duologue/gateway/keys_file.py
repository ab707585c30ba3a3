"""The keys file: which keys there are besides `api_key`, read again whenever it changes.

[[keys]]
name = "kiosk"
sha256 = "9f86d0…"          # or  key = "sk-…"
requests_per_minute = 60
tokens_per_minute = 40000
max_sessions = 2
"""

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from duologue.errors import ConfigFault
from duologue.gateway.followed import Followed
from duologue.gateway.keys import KeyTerms, digest_of

Limit = Annotated[int, Meta(ge=1)]
Digest = Annotated[str, Meta(pattern="^[0-9a-fA-F]{64}$")]


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


def followed_keys(path: Path) -> Followed[list[KeyTerms]]:
    """The keys of a file that is followed."""
    return Followed(
        "keys_file",
        lambda: _state(path),
        lambda: read_keys(path),
        lambda terms: f"{len(terms)} keys are",
    )


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size, found.st_ino)
