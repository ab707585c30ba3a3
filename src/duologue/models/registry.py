"""The package registry as a source of files: one pinned wheel, fetched by the package client.

`pull` asks for a `Package` and gets the path of a wheel whose hash is right. pip runs as a
subprocess and does what it is good at: the configured index or mirror, proxies, retries and
the hash check. Nothing is installed and no code of the package runs.
"""

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from duologue.errors import ModelFault
from duologue.models.catalogue import Package, Part
from duologue.models.store import sha256_of

POLL_S = 0.1
"""How often a running download is looked at."""

_UNREACHABLE = re.compile(
    r"connection|timed out|temporary failure|name or service|unreachable|proxy|ssl", re.I
)
_CREDENTIALS = re.compile(r"//[^/@\s]+@")


class Stopped(Exception):
    """The download was told to stop; what is whole stays on disk."""


def client() -> list[str]:
    """The command that runs pip: this Python's own if it has one, else the first on the path."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    for name in ("pip3", "pip"):
        if found := shutil.which(name):
            return [found]
    if found := shutil.which("uvx"):  # an environment made by uv has no pip, but uv can run one
        return [found, "pip"]
    raise ModelFault("pip is not installed: run `python -m ensurepip` or `uv pip install pip`")


def installed(part: Part) -> Path | None:
    """The part's file in this environment, when the very version of its package is installed."""
    try:
        distribution = importlib.metadata.distribution(part.package.name)
    except importlib.metadata.PackageNotFoundError:
        return None
    path = Path(str(distribution.locate_file(part.member)))
    same = distribution.version == part.package.version
    return path if same and path.is_file() and path.stat().st_size == part.bytes else None


def fetch(
    package: Package,
    folder: Path,
    *,
    pip_args: Sequence[str] = (),
    on_bytes: Callable[[int], None] = lambda _: None,
    stop: threading.Event,
) -> Path:
    """Download one wheel into `folder`, its own, and return its path; blocks.

    A whole wheel from an earlier run is used as it is. `on_bytes` gets the bytes here so far.
    Raises `ModelFault` (unreachable, gone, altered, no pip), `Stopped` once `stop` is set.
    """
    if wheel := _whole_wheel(package, folder):
        on_bytes(package.bytes)
        return wheel
    shutil.rmtree(folder, ignore_errors=True)
    scratch = folder / "tmp"
    scratch.mkdir(parents=True)
    pin = folder / "pin.txt"
    pin.write_text(f"{package.pin} --hash=sha256:{package.sha256}\n", encoding="utf-8")
    command = [
        *client(),
        "download",
        *("--no-deps", "--only-binary=:all:", "--require-hashes", "--no-cache-dir"),
        *("--disable-pip-version-check", "--no-input", "--progress-bar=off", "--retries=2"),
        f"--requirement={pin}",
        f"--dest={folder}",
        *pip_args,
    ]
    # pip downloads into the temporary directory first: here it is watched, and on one disk.
    environment = os.environ | {name: str(scratch) for name in ("TMPDIR", "TEMP", "TMP")}
    output = folder / "pip.log"
    with output.open("wb") as stream:
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
        try:
            while not _ended(process):
                if stop.is_set():
                    raise Stopped
                on_bytes(min(_bytes_under(folder), package.bytes))
        finally:
            if process.poll() is None:  # told to stop, or the report failed
                process.kill()
                process.wait()
                shutil.rmtree(folder, ignore_errors=True)  # pip cannot go on with half a wheel
    if process.returncode == 0 and (wheel := _whole_wheel(package, folder)):
        on_bytes(package.bytes)
        return wheel
    why = _why(package, output.read_text(encoding="utf-8", errors="replace"))
    shutil.rmtree(folder, ignore_errors=True)
    raise ModelFault(why)


def _ended(process: "subprocess.Popen[bytes]") -> bool:
    try:
        process.wait(POLL_S)
    except subprocess.TimeoutExpired:
        return False
    return True


def _whole_wheel(package: Package, folder: Path) -> Path | None:
    for wheel in folder.glob("*.whl"):
        if sha256_of(wheel) == package.sha256:
            return wheel
    return None


def _bytes_under(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(parent, name)).st_size
            except FileNotFoundError:  # pip moves and deletes while we look
                continue
    return total


def _why(package: Package, output: str) -> str:
    """One sentence on what pip's output means, with its own last error, free of credentials."""
    output = _CREDENTIALS.sub("//", output)
    if "DO NOT MATCH THE HASHES" in output:
        got = re.search(r"Got\s+(\S+)", output)
        return (
            f"the package {package.pin} is not the one in the catalogue: expected sha256 "
            f"{package.sha256}, found {got.group(1) if got else 'another'}"
        )
    errors = [line.strip() for line in output.splitlines() if line.startswith("ERROR")]
    said = errors[-1].removeprefix("ERROR:").strip() if errors else output.strip()[-200:]
    trouble = [line for line in output.splitlines() if line.startswith("WARNING: Retrying")]
    if any(_UNREACHABLE.search(line) for line in [*trouble, said]):
        return f"the package registry cannot be reached for {package.pin} (pip: {said})"
    return f"the package registry does not give {package.pin} (pip: {said})"
