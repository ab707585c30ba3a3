"""Compile requirements/*.txt from pyproject.toml, or check that they still belong to it.

    python scripts/lock.py            compile, keeping the versions already locked
    python scripts/lock.py --upgrade  compile, taking the newest versions allowed
    python scripts/lock.py --check    compare the stamp in each file with pyproject.toml; offline

The stamp is a hash of everything in pyproject.toml that a lock depends on. Comparing a fresh
compilation instead would fail whenever somebody uploads one more wheel of a locked version.
"""

import hashlib
import json
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GROUPS = {"run": ["build"], "dev": ["build", "dev"], "clients": ["clients"]}
ALONE = {"clients"}
"""Locks of an environment of their own: without this project, not bound by what it runs on."""
STAMP = "# Locked by scripts/lock.py from pyproject.toml, inputs sha256:"


def stamp(name: str, groups: list[str]) -> str:
    """The first line of the lock of this name, made from the dependencies and these groups."""
    with open(ROOT / "pyproject.toml", "rb") as file:
        pyproject = tomllib.load(file)
    project = pyproject["project"]
    inputs = [
        project["requires-python"],
        [] if name in ALONE else sorted(project["dependencies"]),
        {group: sorted(pyproject["dependency-groups"][group]) for group in groups},
    ]
    return STAMP + hashlib.sha256(json.dumps(inputs).encode()).hexdigest()


def compile_lock(name: str, groups: list[str], upgrade: bool) -> None:
    """Write requirements/<name>.txt: every version and hash, for every platform."""
    target = ROOT / "requirements" / f"{name}.txt"
    uv = Path(sys.executable).with_name("uv")
    command = [str(uv), "pip", "compile", "-o", str(target.relative_to(ROOT))]
    command += [] if name in ALONE else ["pyproject.toml"]
    command += ["--universal", "--python-version", "3.11", "--generate-hashes", "--quiet"]
    command += ["--no-header", "--no-emit-index-url", "--no-emit-find-links", "--no-annotate"]
    command += [word for group in groups for word in ("--group", group)]
    if name not in {"run", *ALONE}:  # what runs in tests is what runs
        command += ["--constraint", "requirements/run.txt"]
    if upgrade:
        command.append("--upgrade")
    subprocess.run(command, cwd=ROOT, check=True)
    target.write_text(f"{stamp(name, groups)}\n{target.read_text()}")
    print(f"{target.relative_to(ROOT)}: {target.read_text().count('==')} packages")


def stale(name: str, groups: list[str]) -> bool:
    """Whether requirements/<name>.txt was made from other dependencies than pyproject.toml's."""
    with open(ROOT / "requirements" / f"{name}.txt") as file:
        return file.readline().rstrip("\n") != stamp(name, groups)


def main() -> int:
    """Compile or check; the exit code."""
    if "--check" not in sys.argv:
        for name, groups in GROUPS.items():
            compile_lock(name, groups, "--upgrade" in sys.argv)
        return 0
    old = [name for name, groups in GROUPS.items() if stale(name, groups)]
    for name in old:
        print(f"requirements/{name}.txt is older than pyproject.toml: run scripts/lock.py")
    return 1 if old else 0


if __name__ == "__main__":
    sys.exit(main())
