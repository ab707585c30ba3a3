"""Silero voice activity for all sessions, in a process of its own beside the event loop.

    score ─► ask ─ stdin ─► silero_process ─ stdout ─► answers ─► the stream's future

Windows of 24 kHz sound go in by `score`, probabilities come back. The process holds the state
of every stream and scores whoever has a window in one run of the model; the server only cuts,
writes and reads. So scoring takes a core of its own, and never the interpreter. Between an
answer's arrival and who waits for it there is no turn of the event loop: where many sessions
speak a turn is long.

A line that has been all but silent for some windows is not speech whatever a model says, so
it costs no model: an open microphone in a quiet room is most of what a server hears.

A process that ends, or answers nothing for long, is named in the log and replaced; what it had
not answered is asked again, of a detector that begins anew. One that ends soon after its start
would do so again: all that waits then fails with `EngineFault`, and what comes until the next
try.
"""

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path

from duologue.errors import EngineFault, ModelFault
from duologue.hearing.quiet import is_quiet
from duologue.hearing.silero_child import Child, start
from duologue.hearing.silero_records import ASK, CLOSE, SCORE, WINDOW_BYTES
from duologue.runtime.ports import Told

logger = logging.getLogger(__name__)

QUIET_WINDOWS = 4
"""Quiet windows that the model still hears, so that it sees every word out to its end."""

STEADY_S = 10.0
"""A process that lasted this long was sound; one that did not is not replaced sooner than this."""

STUCK_S = 10.0
"""A process that owes an answer for this long is ended."""

WINDOW_SIZES = {WINDOW_BYTES}

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
        """Quiet windows in a row that it ended with."""
        self._asked: asyncio.Future[list[float]] | None = None
        self._closed = False

    def score(
        self, windows: Sequence[bytes], told: Told | None = None
    ) -> asyncio.Future[list[float]]:
        if self._closed:
            return self._activity.silence(len(windows))
        if self._asked is not None and self._asked.cancelled():
            # Answers to nobody may still come; under a new number they are no one else's.
            self._activity.forget(self._number)
            self._number = self._activity.new_number()
        silent = [self._is_silent(window) for window in windows]
        if all(silent):
            return self._activity.silence(len(windows))
        self._asked = self._activity.ask(self._number, windows, silent, told)
        return self._asked

    def _is_silent(self, window: bytes) -> bool:
        """Whether the line has been quiet for longer than the model needs to hear."""
        self._quiet = self._quiet + 1 if is_quiet(window) else 0
        return self._quiet > QUIET_WINDOWS

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._activity.forget(self._number)


class _Ask:
    """Windows of one stream that wait to be scored, and who waits for them.

    `silent` says of each whether it needs no model; the others are what `windows` holds.
    """

    __slots__ = ("_silent", "_told", "done", "scores", "windows")

    def __init__(
        self,
        windows: Sequence[bytes],
        silent: Sequence[bool],
        done: asyncio.Future[list[float]],
        told: Told | None,
    ) -> None:
        self.windows = windows
        self.scores: list[float] = []
        self.done = done
        self._silent = silent
        self._told = told

    def answer(self) -> None:
        """All has been scored; what was not is silence."""
        if self.done.done():
            return
        scores = iter(self.scores)
        self.done.set_result([0.0 if skip else next(scores, 0.0) for skip in self._silent])
        self._tell()

    def fail(self, why: str) -> None:
        """Nothing will be; where all was quiet, nothing has to be."""
        if all(map(is_quiet, self.windows)):
            self.answer()
        elif not self.done.done():
            self.done.set_exception(EngineFault(why))
            self._tell()

    def _tell(self) -> None:
        if self._told is None:
            return
        try:
            self._told(self.done)
        except Exception:  # what one session makes of its scores is nothing to the others
            logger.exception("a session broke over its voice-activity scores")


class SileroActivity:
    """Satisfies `VoiceActivity`; made by `load`, within the event loop that it serves.

    What is on its way to the process is bounded: a stream waits for one ask before its next.
    `steady_s` and `stuck_s` are as `STEADY_S` and `STUCK_S`.
    """

    def __init__(
        self,
        model_path: Path,
        child: Child,
        *,
        steady_s: float,
        stuck_s: float,
    ) -> None:
        self._model_path = model_path
        self._steady_s = steady_s
        self._stuck_s = stuck_s
        self._child: Child | None = child
        child.answered = self._answered
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
        return cls(model_path, await start(model_path), steady_s=steady_s, stuck_s=stuck_s)

    @property
    def process_id(self) -> int | None:
        """The process that scores now, if there is one."""
        return self._child.process_id if self._child else None

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
        if self._child is not None:
            await self._child.end()
        self._keeper.cancel()
        await asyncio.wait([self._keeper])

    def ask(
        self, stream: int, windows: Sequence[bytes], silent: Sequence[bool], told: Told | None
    ) -> asyncio.Future[list[float]]:
        """The scores of windows of a stream that has no other ask, 0 of those that are `silent`.

        Fails with `EngineFault`.
        """
        done: asyncio.Future[list[float]] = self._loop.create_future()
        sizes = set(map(len, windows)) - WINDOW_SIZES
        if sizes:
            done.set_exception(EngineFault(f"voice-activity windows have {sizes} bytes"))
        elif self._child is None and all(map(is_quiet, windows)):
            done.set_result([0.0] * len(windows))
        elif self._fault:
            done.set_exception(EngineFault(self._fault))
        else:
            heard = [window for window, skip in zip(windows, silent, strict=True) if not skip]
            self._asks[stream] = _Ask(heard, silent, done, told)
            self._write(stream, SCORE, heard)
        return done

    def silence(self, count: int) -> asyncio.Future[list[float]]:
        """The scores of so many windows in which nobody can be speaking."""
        done: asyncio.Future[list[float]] = self._loop.create_future()
        done.set_result([0.0] * count)
        return done

    def forget(self, stream: int) -> None:
        """The stream is at its end; who still waits for scores of it gets none."""
        if ask := self._asks.pop(stream, None):
            ask.answer()
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
        if self._child is not None:  # else it is asked again of the next one
            self._child.write(b"".join(records))

    async def _keep(self) -> None:
        """Put a new process in the place of one that ends."""
        while self._child is not None:
            began = self._loop.time()
            await self._end_of(self._child)
            if self._closing:
                return
            child, self._child = self._child, None
            logger.error("the voice-activity process ended (%s)", await child.end())
            if self._loop.time() - began < self._steady_s:
                self._fail("the voice-activity process ended, twice in short time")
                await asyncio.sleep(self._steady_s)
            self._child = await self._again()
            self._child.answered = self._answered
            self._fault = ""
            self._ready.set()
            self._unwritten.clear()  # what is owed is asked here
            for stream, ask in self._asks.items():
                self._write(stream, SCORE, ask.windows[len(ask.scores) :])

    async def _again(self) -> Child:
        while True:
            try:
                child = await start(self._model_path)
            except (ModelFault, OSError) as fault:
                logger.error("the voice-activity process cannot be started: %s", fault)
                self._fail("the voice-activity process cannot be started")
                await asyncio.sleep(self._steady_s)
            else:
                logger.info("the voice-activity process has been replaced")
                return child

    async def _end_of(self, child: Child) -> None:
        """Wait until the process ends; one that is stuck is made to."""
        owed: _Ask | None = None
        answers = child.answer_count
        while not (await asyncio.wait((child.ended,), timeout=self._stuck_s))[0]:
            oldest = next(iter(self._asks.values()), None)
            if oldest is not None and oldest is owed and child.answer_count == answers:
                logger.error("the voice-activity process has not answered for %g s", self._stuck_s)
                child.kill()
            owed, answers = oldest, child.answer_count

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
        asks, self._asks = self._asks, {}
        for ask in asks.values():
            ask.fail(why)
