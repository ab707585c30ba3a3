"""Debian's coturn on loopback: the STUN and TURN server of a test.

    async with coturn() as port: ...

Where it is not installed the test is skipped loudly, and fails in CI.
"""

import asyncio
import os
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from aioice import stun

HOST, RELAY = "127.0.0.1", "127.0.0.3"
USER, PASSWORD = "ana", "pw-turn"
READY_S = 10


@asynccontextmanager
async def coturn(folder: Path) -> AsyncIterator[int]:
    """Its port at `HOST`; what it relays comes from `RELAY`. Files of its own go to `folder`."""
    program = shutil.which("turnserver")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("CI has no coturn: run scripts/install_turn.py")
        pytest.skip("COTURN IS NOT ON THIS MACHINE: python scripts/install_turn.py")
    port = _free_port()
    options = {
        "-c": "/dev/null",
        "--listening-ip": HOST,
        "--listening-port": str(port),
        "--relay-ip": RELAY,
        "--user": f"{USER}:{PASSWORD}",
        "--realm": "test",
        "--pidfile": str(folder / "turn.pid"),
        "--userdb": str(folder / "turn.db"),
        "--log-file": "stdout",
    }
    flags = ["-n", "--lt-cred-mech", "--allow-loopback-peers", "--no-cli", "--no-tls", "--no-dtls"]
    arguments = [word for pair in options.items() for word in pair]
    process = await asyncio.create_subprocess_exec(
        program, *flags, *arguments, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(READY_S):
            await asyncio.to_thread(_await_answer, port)
        yield port
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _await_answer(port: int) -> None:
    request = bytes(stun.Message(stun.Method.BINDING, stun.Class.REQUEST))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.settimeout(0.1)
        probe.connect((HOST, port))
        for _ in range(READY_S * 10):
            with suppress(OSError):
                probe.send(request)
                probe.recv(2048)
                return


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
