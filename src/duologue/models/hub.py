"""The model hub as a source: `hf:owner/repo[/file][@revision]`.

The hub's own client does the work and keeps files in its usual cache, shared with other
programs. Looking a model up never touches the network; only `pull` does. The hub's hashes are
checked by its client; duologue has no hash of its own for such a file.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from duologue.errors import ModelFault
from duologue.models.progress import Progress

PREFIX = "hf:"

_SPEC = re.compile(r"hf:(?P<repo>[\w.-]+/[\w.-]+)(?:/(?P<file>[^@]+))?(?:@(?P<revision>\S+))?")


class HubSpec(msgspec.Struct, frozen=True):
    """A repository, or one file of it, at a revision (None: the default branch)."""

    repo: str
    file: str | None
    revision: str | None


def parse(spec: str) -> HubSpec:
    """Read `hf:owner/repo[/file][@revision]`; `ModelFault` when it is not one."""
    match = _SPEC.fullmatch(spec)
    if match is None:
        raise ModelFault(f"{spec!r} is not a hub id: write hf:owner/repo, hf:owner/repo/file.gguf")
    return HubSpec(match["repo"], match["file"], match["revision"])


def find(spec: str, *, cache: Path | None = None) -> Path:
    """The file or repository directory in the local cache; `ModelFault` if it is not there."""
    try:
        return _get(parse(spec), cache, local_files_only=True)
    except Exception as error:
        if isinstance(error, ModelFault):
            raise
        raise ModelFault(
            f"{spec} is not on this machine. Run `duologue models pull {spec}` where the hub "
            "can be reached, or give the path of a copy instead."
        ) from error


def pull(
    spec: str,
    on_progress: Callable[[Progress], None],
    *,
    cache: Path | None = None,
    endpoint: str | None = None,
) -> Path:
    """Download a file or repository into the cache; it resumes where it stopped; blocks.

    `endpoint` is another hub's address (a mirror). Raises `ModelFault`.
    """
    parsed = parse(spec)
    try:
        planned = _call(parsed, cache, endpoint=endpoint, dry_run=True)
        infos = planned if isinstance(planned, list) else [planned]
        total = sum(info.file_size for info in infos)
        here = sum(info.file_size for info in infos if not info.will_download)
        on_progress(Progress(spec, here, total, "fetching"))
        path = _get(parsed, cache, endpoint=endpoint)
    except Exception as error:  # its own kinds, its HTTP library's kinds, OSError
        raise ModelFault(
            f"{spec} cannot be fetched from the hub ({type(error).__name__}: "
            f"{_first_line(error)}). Check the connection, the name and, for a gated model, "
            "HF_TOKEN, and pull again; or copy the files to this machine and give their path; or "
            "use a model of the catalogue, which needs no hub (`duologue models list`)."
        ) from error
    on_progress(Progress(spec, total, total, "done"))
    return path


def _get(spec: HubSpec, cache: Path | None, **options: Any) -> Path:
    return Path(_call(spec, cache, **options))


def _call(spec: HubSpec, cache: Path | None, **options: Any) -> Any:
    # Imported here: the client takes half a second to import, and few calls come this way.
    from huggingface_hub import hf_hub_download, snapshot_download

    if spec.file is None:
        return snapshot_download(spec.repo, revision=spec.revision, cache_dir=cache, **options)
    return hf_hub_download(spec.repo, spec.file, revision=spec.revision, cache_dir=cache, **options)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or "no reason given").splitlines()[0]
