"""The one thread that owns the model: it steps all conversations together, 80 ms at a time.

Sound comes in from the event loop (`Seat.hear`), frames go out to each seat's listener, in this
thread. A seat is stepped when 80 ms of its sound are there: its own line is its clock. Who has
no whole frame is left out of the step, exactly as it was, and the others wait `GATHER_S` for it
at most. When a line stops altogether while its reply is under way, silence takes the place of
its sound, so that a sentence is not left in the middle.

A step costs the same however many seats take part, so there are never more than `model.slots`
conversations, and no new one while steps take longer than the frames last.
"""

import logging
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from duologue.engines.moshi.frames import FRAME_BYTES, FRAME_MS, FrameModel, Spoken
from duologue.engines.moshi.pace import Pace
from duologue.errors import EngineBusy, EngineFault

log = logging.getLogger(__name__)

GATHER_S = 0.01
"""How long a whole frame waits for those of others: one step is cheaper than two."""
STALLED_S = 0.5
"""A line has stopped when nothing came for so long."""
BACKLOG_FRAMES = 36
"""Frames of sound that wait for the model, three seconds; then the oldest fall."""
FRAME_S = FRAME_MS / 1000


class Listener(Protocol):
    """One conversation's side of the clock; all of it is called in the clock's thread."""

    @property
    def has_room(self) -> bool:
        """Whether one more frame would be taken; if not, the seat stands still."""

    @property
    def is_replying(self) -> bool:
        """Whether a reply is under way, which silence shall finish if the line stops."""

    def take(self, heard: bytes, spoken: Spoken, at_ms: int) -> None:
        """A frame: what was heard in it, up to `at_ms` of the line, and what was said."""

    def fail(self, fault: EngineFault) -> None:
        """The model cannot go on with this conversation."""


class Clock:
    """Starts its thread at once; `stop` ends it."""

    def __init__(self, model: FrameModel) -> None:
        self._model = model
        self._changed = threading.Condition()
        self._free = list(range(model.slots))
        self._seats: dict[int, Seat] = {}
        self._pace = Pace()
        self._is_stopped = False
        self._thread = threading.Thread(target=self._run, name="moshi", daemon=True)
        self._thread.start()

    def lease(self, listener: Listener, seed: int | None = None) -> "Seat":
        """A place. Raises `EngineBusy`."""
        with self._changed:
            self.check_running()
            if not self._free:
                raise EngineBusy(f"all {self._model.slots} places of the engine moshi are taken")
            if not self._seats:  # old figures say nothing, and no new ones would ever come
                self._pace.clear()
            step_s = self._pace.step_s(time.monotonic())
            if step_s > FRAME_S:
                raise EngineBusy(
                    f"the engine moshi is behind: it needs {step_s * 1000:.0f} ms "
                    f"for {FRAME_MS} ms of sound"
                )
            slot = min(self._free)
            self._free.remove(slot)
            seat = Seat(self, slot, listener, secrets.randbits(63) if seed is None else seed)
            self._seats[slot] = seat
            return seat

    def stop(self) -> None:
        """End the thread and wait for it; a second call does nothing. Blocks for one step."""
        with self._changed:
            self._is_stopped = True
            seats, self._seats = self._seats, {}
            self._changed.notify()
        self._thread.join()
        for seat in seats.values():
            seat.listener.fail(EngineFault("the engine moshi is shut down"))

    def _run(self) -> None:
        while batch := self._next():
            heard = {seat.slot: frame for seat, frame, _ in batch}
            begun_s = time.monotonic()
            try:
                for seat, _, _ in batch:
                    if seat.is_new:
                        self._model.reset(seat.slot, seat.seed)
                        seat.is_new = False
                spoken = self._model.step(heard)
            except Exception as error:  # whatever torch raises: out of memory, a lost device
                log.exception("engine moshi: a step failed")
                for seat, _, _ in batch:  # their places are in no known state
                    seat.fail(error)
                continue
            ended_s = time.monotonic()
            with self._changed:
                self._pace.note(ended_s - begun_s, ended_s)
            for seat, frame, at_ms in batch:
                if self._seats.get(seat.slot) is not seat:
                    continue
                try:
                    seat.listener.take(frame, spoken[seat.slot], at_ms)
                except Exception as error:  # a mistake about one conversation ends that alone
                    log.exception("engine moshi: a frame of place %d was not taken", seat.slot)
                    seat.fail(error)

    def _next(self) -> list[tuple["Seat", bytes, int]]:
        """The next step's frames, and where they end in each line; waits. Empty: stopped."""
        with self._changed:
            while not self._is_stopped:
                now_s = time.monotonic()
                ready = [seat for seat in self._seats.values() if seat.is_ready(now_s)]
                if ready and not self._is_worth_waiting(ready, now_s):
                    return [(seat, *seat.take(now_s)) for seat in ready]
                self._changed.wait(self._wait_s(ready, now_s))
            return []

    def _is_worth_waiting(self, ready: Sequence["Seat"], now_s: float) -> bool:
        """Whether others may have a frame soon; nobody waits for a line that has stopped."""
        first_s = min(seat.ready_s for seat in ready)
        due = (seat for seat in self._seats.values() if seat not in ready)
        comes = any(seat.may_step and now_s - seat.heard_s < FRAME_S for seat in due)
        return comes and now_s - first_s < GATHER_S

    def _wait_s(self, ready: Sequence["Seat"], now_s: float) -> float | None:
        if ready:
            return max(0.0, min(seat.ready_s for seat in ready) + GATHER_S - now_s)
        stalls = [seat.stalls_s - now_s for seat in self._seats.values() if seat.may_stall]
        return max(0.0, min(stalls)) if stalls else None

    def note(self, note: Callable[[], bool]) -> None:
        """Have a seat note something, undisturbed; it says whether there is something to do."""
        with self._changed:
            if note():
                self._changed.notify()

    def check_running(self) -> None:
        """Raises `EngineFault` once it has been stopped."""
        if self._is_stopped:
            raise EngineFault("the engine moshi is shut down")

    def leave(self, seat: "Seat") -> None:
        with self._changed:
            if self._seats.get(seat.slot) is seat:
                del self._seats[seat.slot]
                self._free.append(seat.slot)


class Seat:
    """One conversation's place: its line's sound, until there is a whole frame."""

    def __init__(self, clock: Clock, slot: int, listener: Listener, seed: int) -> None:
        self.slot, self.listener, self.seed = slot, listener, seed
        self.is_new = True
        self.is_live = False
        """Whether it is to be stepped at all."""
        self.has_ended = False
        self.ready_s = self.heard_s = self.stalls_s = 0.0
        self._clock = clock
        self._line = bytearray()
        self._given_bytes = 0
        self._is_behind = False

    def hear(self, pcm: bytes) -> None:
        """More sound; too much of it and the oldest falls. From any thread."""
        self._clock.note(lambda: self._hear(pcm))

    def _hear(self, pcm: bytes) -> bool:
        now_s = time.monotonic()
        had_frame = len(self._line) >= FRAME_BYTES
        self._line += pcm
        self._given_bytes += len(pcm)
        self.heard_s, self.stalls_s = now_s, now_s + STALLED_S
        surplus = len(self._line) // FRAME_BYTES - BACKLOG_FRAMES
        if surplus > 0:
            del self._line[: surplus * FRAME_BYTES]
            if not self._is_behind:
                log.warning(
                    "engine moshi: place %d is behind by %d ms; the oldest sound falls",
                    self.slot,
                    BACKLOG_FRAMES * FRAME_MS,
                )
        self._is_behind = surplus > 0 or (self._is_behind and had_frame)
        if not had_frame and len(self._line) >= FRAME_BYTES:
            self.ready_s = now_s
        return len(self._line) >= FRAME_BYTES

    def start(self) -> bool:
        """Begin to be stepped. After a failure anew, from nothing: then True.

        Raises `EngineFault` when the clock has been stopped.
        """
        self._clock.check_running()
        is_anew = self.has_ended
        self._clock.note(self._start)
        return is_anew

    def _start(self) -> bool:
        self.is_new |= self.has_ended
        self.has_ended, self.is_live = False, True
        return True

    def go_on(self) -> None:
        """The listener has room again."""
        self._clock.note(lambda: True)

    def halt(self) -> None:
        """Be stepped no more. A step under way still ends, and nobody hears of it."""
        self.is_live = False

    def fail(self, error: Exception) -> None:
        """Be stepped no more, and say why."""
        self.has_ended = True
        self.listener.fail(EngineFault(f"the model failed in a step: {type(error).__name__}"))

    def leave(self) -> None:
        """Give the place back; a second call does nothing."""
        self._clock.leave(self)

    @property
    def may_step(self) -> bool:
        return self.is_live and not self.has_ended and self.listener.has_room

    @property
    def may_stall(self) -> bool:
        """Whether silence will take the place of a line that stops."""
        return self.may_step and self.listener.is_replying

    def is_ready(self, now_s: float) -> bool:
        has_frame = len(self._line) >= FRAME_BYTES
        return self.may_step if has_frame else self.may_stall and now_s >= self.stalls_s

    def take(self, now_s: float) -> tuple[bytes, int]:
        """The next frame and the end of it, in ms of the line; silence where the line stopped."""
        length = min(FRAME_BYTES, len(self._line) // 2 * 2)
        frame = bytes(self._line[:length]).ljust(FRAME_BYTES, b"\0")
        del self._line[:length]
        self.ready_s = now_s
        if length < FRAME_BYTES:
            self.stalls_s = max(self.stalls_s + FRAME_S, now_s)
        given = self._given_bytes - len(self._line)
        return frame, given * FRAME_MS // FRAME_BYTES
