"""Runs a stock client as a program of its own against a server, and hands back what it saw.

A program in this directory gets the server's base URL and key in its environment, a scenario
and files of PCM as arguments, and prints one JSON object as its last line: its report. Judging
the report is the test's part. Clients come from `scripts/install_clients.py`; where they are
missing a test is skipped and says so, in CI it fails.
"""

import asyncio
import hashlib
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from live_server import KEY

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PYTHON = ROOT / ".venv-clients"
NODE = HERE / "node" / "node_modules"
LOCKS = {
    PYTHON: ROOT / "requirements" / "clients.txt",
    NODE: HERE / "node" / "package-lock.json",
}
PATIENCE_S = 90


async def run_python(
    program: str, *arguments: str | Path, base_url: str, **environ: str
) -> dict[str, Any]:
    """The report of a Python program, run by the interpreter of `.venv-clients`."""
    _installed(PYTHON)
    command = [str(PYTHON / "bin" / "python"), str(HERE / program)]
    return await _run([*command, *map(str, arguments)], base_url, **environ)


async def run_node(
    program: str, *arguments: str | Path, base_url: str, **environ: str
) -> dict[str, Any]:
    """The report of a Node program in `node/`."""
    _installed(NODE)
    node = shutil.which("node") or _missing("node is not on this machine")
    command = [node, str(HERE / "node" / program)]
    return await _run([*command, *map(str, arguments)], base_url, **environ)


def node_package(name: str) -> Path:
    """Where an installed Node package is, for a page that loads it."""
    _installed(NODE)
    return NODE / name


def _installed(place: Path) -> None:
    stamp = place / ".installed-from"
    wanted = hashlib.sha256(LOCKS[place].read_bytes()).hexdigest()
    if not stamp.is_file() or stamp.read_text() != wanted:
        _missing(f"{LOCKS[place].relative_to(ROOT)} is not installed")


def _missing(what: str) -> Any:
    message = f"{what}: run scripts/install_clients.py"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


async def _run(command: list[str], base_url: str, **environ: str) -> dict[str, Any]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")}
    process = await asyncio.create_subprocess_exec(
        *command,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**kept, "BASE_URL": base_url, "API_KEY": KEY, **environ},
    )
    try:
        out, errors = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    sys.stderr.write(errors.decode())  # pytest shows it with a failure
    assert process.returncode == 0, errors.decode()[-4000:]
    report: dict[str, Any] = json.loads(out.decode().splitlines()[-1])
    return report
