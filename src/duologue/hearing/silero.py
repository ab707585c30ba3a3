"""Silero voice activity for all sessions, in a process of its own beside the event loop.

    score ─► ask ─ stdin ─► silero_process ─ stdout ─► answers ─► the stream's future

Windows of 24 kHz sound go in by `score`, probabilities come back. The process holds the state
of every stream and scores whoever has a window in one run of the model; the server only cuts,
writes and reads. So scoring takes a core of its own, and never the interpreter.

A line that has been all but silent for some windows is not speech whatever a model says, so
it costs no model: an open microphone in a quiet room is most of what a server hears.

A process that ends, or answers nothing for long, is named in the log and replaced; what it had
not answered is asked again, of a detector that begins anew. One that ends soon after its start
would do so again: all that waits then fails with `EngineFault`, and what comes until the next
try.
"""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from duologue.errors import EngineFault, ModelFault
from duologue.hearing.silero_records import ASK, CLOSE, READY, SCORE, WINDOW_BYTES, Answers

logger = logging.getLogger(__name__)

QUIET_PEAK = 100
"""A window with no sample beyond this (-50 dBFS) is quiet."""

QUIET_WINDOWS = 4
"""Quiet windows that the model still hears, so that it sees every word out to its end."""

STEADY_S = 10.0
"""A process that lasted this long was sound; one that did not is not replaced sooner than this."""

STUCK_S = 10.0
"""A process that owes an answer for this long is ended."""

LOAD_S = 60.0
"""How long it may take to load the model."""

END_S = 5.0
"""How long a process that was told to end may take."""

ANSWER_BYTES = 1 << 16

PROCESS_ENVIRON = {
    "OPENBLAS_NUM_THREADS": "1",
    # The C library returns no array to the kernel between two runs: asking for it again, page
    # by page, is a third of the cost.
    "MALLOC_MMAP_THRESHOLD_": str(1 << 25),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 26),
}

SEVERAL = 4
"""Asks on their way from which on more are gathered before they are written."""

GATHER_S = 0.003
"""How long: the process is woken once for all of them, and a larger batch costs it less."""


class SileroStream:
    """Satisfies `ActivityStream`."""

    def __init__(self, activity: "SileroActivity") -> None:
        self._activity = activity
        self._number = activity.new_number()
        self._quiet = 0
        self._asked: asyncio.Future[list[float]] | None = None
        self.closed = False

    def score(self, windows: Sequence[bytes]) -> asyncio.Future[list[float]]:
        if self._asked is not None and self._asked.cancelled():
            # Answers to nobody may still come; under a new number they are no one else's.
            self._activity.forget(self._number)
            self._number = self._activity.new_number()
        quiet = [self.closed or self._is_silent(window) for window in windows]
        self._asked = self._activity.ask(self._number, windows, quiet)
        return self._asked

    def _is_silent(self, window: bytes) -> bool:
        """Whether the line has been quiet for longer than the model needs to hear."""
        # High bytes of some samples tell most loud windows: of -256 to 255 they are one of two.
        if window[1::64].strip(b"\x00\xff"):
            self._quiet = 0
            return False
        samples = np.frombuffer(window, np.int16)
        if np.maximum.reduce(samples) > QUIET_PEAK or np.minimum.reduce(samples) < -QUIET_PEAK:
            self._quiet = 0
            return False
        self._quiet += 1
        return self._quiet > QUIET_WINDOWS

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._activity.forget(self._number)


class _Ask:
    """Windows of one stream that wait to be scored, and who waits for them.

    `quiet` says of each whether it needs no model; the others are what `windows` holds.
    """

    __slots__ = ("done", "quiet", "scores", "windows")

    def __init__(
        self, windows: Sequence[bytes], quiet: Sequence[bool], done: asyncio.Future[list[float]]
    ) -> None:
        self.windows = windows
        self.quiet = quiet
        self.scores: list[float] = []
        self.done = done

    def answer(self) -> None:
        """All has been scored."""
        if not self.done.done():
            scores = iter(self.scores)
            self.done.set_result([0.0 if skip else next(scores) for skip in self.quiet])


class SileroActivity:
    """Satisfies `VoiceActivity`; made by `load`, within the event loop that it serves.

    What is on its way to the process is bounded: a stream waits for one ask before its next.
    `steady_s` and `stuck_s` are as `STEADY_S` and `STUCK_S`.
    """

    def __init__(
        self,
        model_path: Path,
        process: asyncio.subprocess.Process,
        *,
        steady_s: float,
        stuck_s: float,
    ) -> None:
        self._model_path = model_path
        self._steady_s = steady_s
        self._stuck_s = stuck_s
        self._process: asyncio.subprocess.Process | None = process
        self._loop = asyncio.get_running_loop()
        self._numbers = 0
        self._asks: dict[int, _Ask] = {}
        """What has not been answered, by stream."""
        self._unwritten: list[bytes] = []
        """Records that wait for more, to be written together."""
        self._fault = ""
        """Why there is no process, while there is none and asks are refused."""
        self._ready = asyncio.Event()
        self._ready.set()
        self._closing = False
        self._keeper = self._loop.create_task(self._keep())
        """Awaited in `aclose`."""

    @classmethod
    async def load(
        cls, model_path: Path, *, steady_s: float = STEADY_S, stuck_s: float = STUCK_S
    ) -> "SileroActivity":
        """Start the process. Raises `ModelFault` when it cannot load the model."""
        return cls(model_path, await _start(model_path), steady_s=steady_s, stuck_s=stuck_s)

    @property
    def process_id(self) -> int | None:
        """The process that scores now, if there is one."""
        return self._process.pid if self._process else None

    async def replaced(self) -> None:
        """Wait until there is a process that answers."""
        await self._ready.wait()

    def open(self) -> SileroStream:
        return SileroStream(self)

    def new_number(self) -> int:
        """What the process is to know one more stream by."""
        self._numbers += 1
        return self._numbers

    async def aclose(self) -> None:
        self._closing = True
        self._fail("voice activity has been shut down")
        if self._process is not None:
            await _end(self._process)
        self._keeper.cancel()
        await asyncio.wait([self._keeper])

    def ask(
        self, stream: int, windows: Sequence[bytes], quiet: Sequence[bool]
    ) -> asyncio.Future[list[float]]:
        """The scores of windows of a stream that has no other ask, 0 of those that are `quiet`.

        Fails with `EngineFault`.
        """
        done: asyncio.Future[list[float]] = self._loop.create_future()
        loud = [window for window, skip in zip(windows, quiet, strict=True) if not skip]
        if not loud:
            done.set_result([0.0] * len(windows))
            return done
        wrong = next((window for window in loud if len(window) != WINDOW_BYTES), None)
        if wrong is not None:
            done.set_exception(EngineFault(f"a voice-activity window has {len(wrong)} bytes"))
        elif self._fault:
            done.set_exception(EngineFault(self._fault))
        else:
            self._asks[stream] = _Ask(loud, quiet, done)
            self._write(stream, SCORE, loud)
        return done

    def forget(self, stream: int) -> None:
        """The stream is at its end; who still waits for scores of it gets none."""
        if (ask := self._asks.pop(stream, None)) and not ask.done.done():
            ask.done.set_result([0.0] * len(ask.quiet))
        self._write(stream, CLOSE, ())

    def _write(self, stream: int, kind: int, windows: Sequence[bytes]) -> None:
        if not self._unwritten:
            if len(self._asks) < SEVERAL:
                self._loop.call_soon(self._flush)
            else:
                self._loop.call_later(GATHER_S, self._flush)
        self._unwritten += (ASK.pack(stream, kind, len(windows)), *windows)

    def _flush(self) -> None:
        records, self._unwritten = self._unwritten, []
        pipe = self._process.stdin if self._process else None
        if pipe is not None and not pipe.is_closing():  # else it is asked again of the next one
            pipe.write(b"".join(records))

    async def _keep(self) -> None:
        """Read answers; put a new process in the place of one that ends."""
        while self._process is not None:
            began = self._loop.time()
            await self._read(self._process)
            if self._closing:
                return
            process, self._process = self._process, None
            status = await _end(process)
            logger.error("the voice-activity process ended (%s)", _told(status))
            if self._loop.time() - began < self._steady_s:
                self._fail("the voice-activity process ended, twice in short time")
                await asyncio.sleep(self._steady_s)
            self._process = await self._again()
            self._fault = ""
            self._ready.set()
            self._unwritten.clear()  # what is owed is asked here
            for stream, ask in self._asks.items():
                self._write(stream, SCORE, ask.windows[len(ask.scores) :])

    async def _again(self) -> asyncio.subprocess.Process:
        while True:
            try:
                process = await _start(self._model_path)
            except (ModelFault, OSError) as fault:
                logger.error("the voice-activity process cannot be started: %s", fault)
                self._fail("the voice-activity process cannot be started")
                await asyncio.sleep(self._steady_s)
            else:
                logger.info("the voice-activity process has been replaced")
                return process

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        """Give answers to who waits, until the process ends or is stuck."""
        assert process.stdout is not None
        answers = Answers()
        owed: _Ask | None = None
        while True:
            try:
                async with asyncio.timeout(self._stuck_s):
                    data = await process.stdout.read(ANSWER_BYTES)
            except TimeoutError:
                oldest = next(iter(self._asks.values()), None)
                if oldest is not None and oldest is owed:
                    logger.error(
                        "the voice-activity process has not answered for %g s", self._stuck_s
                    )
                    _kill(process)
                    return
                owed = oldest
                continue
            if not data:
                return
            owed = None
            for stream, score in answers.read(data):
                self._answered(stream, score)

    def _answered(self, stream: int, score: float) -> None:
        ask = self._asks.get(stream)
        if ask is None:
            return  # closed meanwhile
        ask.scores.append(score)
        if len(ask.scores) == len(ask.windows):
            del self._asks[stream]
            ask.answer()

    def _fail(self, why: str) -> None:
        """Refuse what waits, and what comes until there is a process again."""
        self._fault = why
        self._ready.clear()
        for ask in self._asks.values():
            if not ask.done.done():
                ask.done.set_exception(EngineFault(why))
        self._asks.clear()


async def _start(model_path: Path) -> asyncio.subprocess.Process:
    """A process that has loaded the model. Raises `ModelFault`."""
    # Keys and other settings of the server are not for it; in a session of its own it gets no
    # signal that a terminal sends to the server.
    environ = {n: value for n, value in os.environ.items() if not n.startswith("DUOLOGUE_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "duologue.hearing.silero_process", str(model_path)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**PROCESS_ENVIRON, **environ},
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(LOAD_S):
            said = await process.stdout.readline()
    except TimeoutError:
        said = f"the voice-activity model {model_path} was not loaded in {LOAD_S:g} s".encode()
        _kill(process)
    except asyncio.CancelledError:
        _kill(process)
        await process.wait()
        raise
    if said == READY:
        return process
    status = await _end(process)
    raise ModelFault(
        said.decode("utf-8", "replace").strip()
        or f"the process for the voice-activity model {model_path} ended ({_told(status)})"
    )


async def _end(process: asyncio.subprocess.Process) -> int:
    """Have it end, by force if need be; its exit status."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        async with asyncio.timeout(END_S):
            return await process.wait()
    except TimeoutError:
        _kill(process)
        return await process.wait()


def _kill(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()


def _told(status: int) -> str:
    return (
        f"exit status {status}" if status >= 0 else signal.strsignal(-status) or f"signal {-status}"
    )
