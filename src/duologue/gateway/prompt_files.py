"""The prompt files: what `prompts_dir` holds, as the core's stored prompts.

    prompts_dir/greeting.md        prompt `greeting`: its instructions, and nothing else
    prompts_dir/desk/1.toml        version 1 of prompt `desk`
    prompts_dir/desk/2.toml        version 2, which is used where a client names none

A `.toml` or `.json` file has the fields of a session (`instructions`, `tools`, `audio.output.voice`
and so on) and `variables`; a `.md` or `.txt` file is the instructions. Whatever else lies there is
left alone. Sessions that have begun keep the prompts that there were.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from duologue.core.prompts import Prompts, PromptVersion, StoredPrompt
from duologue.errors import ConfigFault, Refusal
from duologue.events.codec import converted
from duologue.gateway.followed import Followed

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
"""An id, or a version."""

KINDS = (".toml", ".json", ".md", ".txt")

MOST_BYTES = 1024 * 1024
"""Of one file: many times what any model has room for."""


def followed_prompts(directory: Path) -> Followed[Prompts]:
    """The prompts of a directory that is followed."""
    return Followed(
        "prompts_dir",
        lambda: _state(directory),
        lambda: read_prompts(directory),
        lambda prompts: f"{len(prompts)} prompts are",
    )


def read_prompts(directory: Path) -> Prompts:
    """The prompts of a directory; raises `ConfigFault`, which names the file and the field."""
    if not directory.is_dir():
        raise ConfigFault(f"prompts_dir: {directory} is no directory")
    try:
        paths = list(_files(directory))
    except OSError as fault:
        raise ConfigFault(f"prompts_dir: {directory}: cannot be read: {fault.strerror}") from None
    found: dict[str, dict[str, PromptVersion]] = {}
    for path in paths:
        is_alone = path.parent == directory
        name, version = (path.stem, "1") if is_alone else (path.parent.name, path.stem)
        for part in (name, version):
            if not NAME.fullmatch(part):
                raise _fault(path, f"'{part}' is no name of a prompt or a version")
        versions = found.setdefault(name, {})
        if version in versions:
            raise _fault(path, f"version '{version}' of prompt '{name}' is there twice")
        versions[version] = _read(path)
    return {
        name: StoredPrompt(current=max(versions, key=_rank), versions=versions)
        for name, versions in found.items()
    }


def _files(directory: Path) -> Iterator[Path]:
    """Hidden ones are left alone: editors, Macs and Kubernetes put their own there."""
    for path in _shown(directory):
        inside = _shown(path) if path.is_dir() else [path]
        yield from (p for p in inside if p.suffix in KINDS and p.is_file())


def _shown(directory: Path) -> list[Path]:
    return sorted(path for path in directory.iterdir() if not path.name.startswith("."))


def _state(directory: Path) -> Any:
    try:
        stats = [(path, path.stat()) for path in _files(directory)]
    except OSError:
        return None
    return tuple((path, s.st_mtime_ns, s.st_size, s.st_ino) for path, s in stats)


def _rank(version: str) -> tuple[int, str]:
    """Numbers by their size, above all names."""
    return (int(version), "") if version.isascii() and version.isdigit() else (-1, version)


def _read(path: Path) -> PromptVersion:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise _fault(path, f"is larger than {MOST_BYTES} bytes")
        data = path.read_bytes()
        if path.suffix in (".md", ".txt"):
            return PromptVersion(instructions=data.decode())
        decode = msgspec.toml.decode if path.suffix == ".toml" else msgspec.json.decode
        raw = decode(data)
    except OSError as fault:
        raise _fault(path, f"cannot be read: {fault.strerror}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as fault:
        raise _fault(path, str(fault)) from None
    if not isinstance(raw, dict):
        raise _fault(path, "must hold an object with the fields of a session")
    try:
        return converted(raw, PromptVersion, strict=True)
    except Refusal as refusal:
        raise _fault(path, f"{refusal.param}: {refusal.message}") from None


def _fault(path: Path, what: str) -> ConfigFault:
    return ConfigFault(f"prompts_dir: {path}: {what}")
