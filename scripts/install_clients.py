"""Install the stock clients that tests/e2e runs against the server, unless they are there.

    python scripts/install_clients.py

The Python clients go to .venv-clients (requirements/clients.txt), since what they need cannot
live beside what the server needs; the Node clients to tests/e2e/node/node_modules
(package-lock.json). Each is installed exactly as locked, and again only when its lock changes.
Exit code 1 when Node is missing: the Python clients are installed all the same.
"""

import hashlib
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements" / "clients.txt"
VENV = ROOT / ".venv-clients"
UV = ROOT / ".venv" / "bin" / "uv"
NODE = ROOT / "tests" / "e2e" / "node"
STAMP = ".installed-from"


def python_clients() -> None:
    """A new .venv-clients with what the lock names, checked against its hashes.

    By uv, which takes seconds where pip takes a minute; by pip where there is no uv, or where
    only pip is told how to reach the index.
    """
    venv.create(VENV, with_pip=True, clear=True)
    python = str(VENV / "bin" / "python")
    wanted = ["--quiet", "--require-hashes", "-r", str(LOCK)]
    by_uv = [str(UV), "pip", "install", "--python", python, *wanted]
    if UV.is_file() and subprocess.run(by_uv).returncode == 0:
        return
    by_pip = [python, "-m", "pip", "--disable-pip-version-check", "install", *wanted]
    subprocess.run(by_pip, check=True)


def node_clients() -> None:
    """node_modules with what the lock names."""
    subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--silent"], cwd=NODE, check=True)


def install(lock: Path, place: Path, how: Callable[[], None]) -> None:
    """Install into `place` unless that was done from this very lock."""
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    stamp = place / STAMP
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    print(f"installing {lock.relative_to(ROOT)} into {place.relative_to(ROOT)}", flush=True)
    how()
    stamp.write_text(wanted)


def main() -> int:
    """Install both; the exit code."""
    install(LOCK, VENV, python_clients)
    if shutil.which("npm") is None:
        print("npm is not on this machine: the Node clients are not installed", file=sys.stderr)
        return 1
    install(NODE / "package-lock.json", NODE / "node_modules", node_clients)
    return 0


if __name__ == "__main__":
    sys.exit(main())
