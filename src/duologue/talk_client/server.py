"""A server of our own for one conversation, where none runs at the address."""

import asyncio
import os
import re
import secrets
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from duologue.talk_client.faults import ServerFault

READY = re.compile(r"\bready\b.*?\b(?P<origin>https?://[^\s/]+)", re.IGNORECASE)
"""The line that `duologue serve` prints when it takes calls, and the address in it."""
STOP_S = 10.0


@dataclass(frozen=True)
class Server:
    """Where a server is, as the SDK wants to know it."""

    url: str
    key: str


def is_local(url: str) -> bool:
    """Whether an address is on this machine."""
    return urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1")


async def answers(url: str) -> bool:
    """Whether anybody takes connections at an address. Raises `ServerFault` for a bad one."""
    parts = urlsplit(url)
    try:
        port = parts.port or (443 if parts.scheme in ("https", "wss") else 80)
    except ValueError as fault:
        raise ServerFault(f"{url} is not an address: {fault}") from fault
    if not parts.hostname:
        raise ServerFault(f"{url} is not an address; it should look like http://127.0.0.1:8800/v1")
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(parts.hostname, port), 5)
    except OSError:  # TimeoutError is one
        return False
    writer.close()
    return True


@asynccontextmanager
async def fresh(command: tuple[str, ...] = ()) -> AsyncIterator[Server]:
    """Start `duologue serve` on a free port, wait until it is ready, and stop it afterwards.

    Its settings come from `DUOLOGUE_…` variables and `duologue.toml`, as ever; what it says
    before it is ready goes to standard error. `command` stands in for it in tests.
    Raises `ServerFault` when it ends before it is ready.
    """
    key = os.environ.get("DUOLOGUE_API_KEY") or secrets.token_urlsafe(24)
    command = command or (sys.executable, "-m", "duologue", "serve", "--port", "0")
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "DUOLOGUE_API_KEY": key},
    )
    try:
        assert process.stdout is not None
        origin = await _ready(process.stdout)
        if origin is None:
            code = await process.wait()
            raise ServerFault(f"the server ended before it was ready (exit code {code})")
        yield Server(f"{origin}/v1", key)
    finally:
        await _stop(process)


async def _ready(stdout: asyncio.StreamReader) -> str | None:
    """Scheme, host and port out of the ready line; None when the output ends without one."""
    while line := (await stdout.readline()).decode(errors="replace"):
        if found := READY.search(line):
            return found["origin"]
        print(line, end="", file=sys.stderr, flush=True)
    return None


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOP_S)
    except TimeoutError:
        process.kill()
        await process.wait()
