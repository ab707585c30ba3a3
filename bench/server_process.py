"""A server as a process of its own, for what measures one from outside.

Arguments of `duologue serve` in, the base URL (with /v1) and the process out.
It ends with the block.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psutil


@contextmanager
def server_process(*arguments: str, key: str) -> Iterator[tuple[str, psutil.Process]]:
    """Once it is ready. Raises `SystemExit` where it ends before."""
    command = [sys.executable, "-m", "duologue", "serve", "--port", "0", *arguments]
    environ = {**os.environ, "DUOLOGUE_API_KEY": key}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ) as server:
        try:
            assert server.stdout is not None
            ready = next((n for n in server.stdout if n.startswith("duologue is ready")), None)
            if ready is None:
                raise SystemExit("the server ended before it was ready")
            yield ready.split()[3], psutil.Process(server.pid)
        finally:
            server.terminate()
