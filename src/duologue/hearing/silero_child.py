"""The voice-activity process as the server sees it: started, written to, heard, ended.

    start ─► Child ─ write ─► stdin      stdout ─► first line, then `answered` for every answer

What comes is handed on within the turn of the event loop in which it was read.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from duologue.errors import ModelFault
from duologue.hearing.silero_records import READY, Answers

LOAD_S = 60.0
"""How long it may take to load the model."""

END_S = 5.0
"""How long a process that was told to end may take."""

PROCESS_ENVIRON = {
    "OPENBLAS_NUM_THREADS": "1",
    # The C library returns no array to the kernel between two runs: asking for it again, page
    # by page, is a third of the cost.
    "MALLOC_MMAP_THRESHOLD_": str(1 << 25),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 26),
}


class Child(asyncio.Protocol):
    """One process; made by `start`. Satisfies `asyncio.Protocol` for what it says."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.first_line: asyncio.Future[bytes] = loop.create_future()
        self.ended: asyncio.Future[None] = loop.create_future()
        """Done when it says nothing more."""
        self.answered: Callable[[int, float], None] = _unheard
        """Called with the stream and the probability of each answer."""
        self.answer_count = 0
        self._answers = Answers()
        self._head = b""
        self._process: asyncio.subprocess.Process

    @property
    def process_id(self) -> int:
        return self._process.pid

    async def run(self, *command: str) -> None:
        """Start it."""
        # Keys and other settings of the server are not for it; in a session of its own it gets no
        # signal that a terminal sends to the server.
        environ = {n: value for n, value in os.environ.items() if not n.startswith("DUOLOGUE_")}
        source, sink = os.pipe()
        try:
            # Before there is a process, so that none is left behind should this fail.
            heard, _ = await asyncio.get_running_loop().connect_read_pipe(
                lambda: self, os.fdopen(source, "rb", 0)
            )
            try:
                self._process = await asyncio.create_subprocess_exec(
                    *command,
                    stdin=asyncio.subprocess.PIPE,
                    stdout=sink,
                    env={**PROCESS_ENVIRON, **environ},
                    start_new_session=True,
                )
            except BaseException:
                heard.close()
                raise
        finally:
            os.close(sink)

    def data_received(self, data: bytes) -> None:
        """It says something."""
        if not self.first_line.done():
            line, end, data = (self._head + data).partition(b"\n")
            if not end:
                self._head = line
                return
            self.first_line.set_result(line + end)
        for stream, score in self._answers.read(data):
            self.answer_count += 1
            self.answered(stream, score)

    def connection_lost(self, exc: Exception | None) -> None:
        """It says nothing more."""
        if not self.first_line.done():
            self.first_line.set_result(self._head)
        self.ended.set_result(None)

    def write(self, data: bytes) -> None:
        """Say something to it, if it still listens."""
        pipe = self._process.stdin
        if pipe is not None and not pipe.is_closing():
            pipe.write(data)

    def kill(self) -> None:
        """End it by force."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def end(self) -> str:
        """Have it end, by force if need be; says how it did."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            async with asyncio.timeout(END_S):
                status = await self._process.wait()
        except TimeoutError:
            self.kill()
            status = await self._process.wait()
        if status >= 0:
            return f"exit status {status}"
        return signal.strsignal(-status) or f"signal {-status}"


async def start(model_path: Path, *, load_s: float = LOAD_S) -> Child:
    """A process that has loaded the model. Raises `ModelFault`; `load_s` is as `LOAD_S`."""
    child = Child()
    await child.run(sys.executable, "-P", "-m", "duologue.hearing.silero_process", str(model_path))
    try:
        async with asyncio.timeout(load_s):
            said = await child.first_line
    except TimeoutError:
        child.kill()
        await child.end()
        raise ModelFault(
            f"the voice-activity model {model_path} was not loaded in {load_s:g} s"
        ) from None
    except asyncio.CancelledError:
        child.kill()
        await child.end()
        raise
    if said == READY:
        return child
    how = await child.end()
    raise ModelFault(
        said.decode("utf-8", "replace").strip()
        or f"the process for the voice-activity model {model_path} ended ({how})"
    )


def _unheard(stream: int, score: float) -> None:
    """Of nobody who listens."""
