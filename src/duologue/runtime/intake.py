"""What happens to a client event before the inbox: sound is cut into windows and scored.

Client events in, inputs out, in arrival order. A window's score rides with it into the
core. A change of the session's settings is a barrier: sound after it is not looked at until
the core has taken the change, so that it is scored (or not) as the client asked.
"""

from collections.abc import Awaitable, Callable

from duologue.audio import pcm as audio
from duologue.core import inputs
from duologue.events import (
    ClientEvent,
    InputAudioBufferAppend,
    InputAudioBufferClear,
    InputAudioBufferCommit,
    SessionUpdate,
)
from duologue.runtime.ports import WINDOW_SAMPLES, ActivityStream

SCORE_AT_ONCE = 32
"""Windows scored in one call, about a second: a long append must not hold up the others."""

CHUNK_BYTES = 48_000
"""Unscored sound enters the core in pieces of at most a second."""


class Intake:
    """One session's way in. `deliver` waits while the inbox is full."""

    def __init__(
        self,
        activity: ActivityStream,
        deliver: Callable[[inputs.Input], Awaitable[None]],
        settled: Callable[[], Awaitable[None]],
        is_scored: Callable[[], bool],
    ) -> None:
        self._activity = activity
        self._deliver = deliver
        self._settled = settled
        self._is_scored = is_scored
        self._windows = audio.Windows(WINDOW_SAMPLES)

    async def receive(self, event: ClientEvent | inputs.BadEvent) -> None:
        """Pass an event on; returns when it stands in the inbox."""
        match event:
            case InputAudioBufferAppend(audio=pcm):
                await self._append(pcm)
            case inputs.BadEvent():
                await self._deliver(event)
            case InputAudioBufferCommit() | InputAudioBufferClear():
                await self._flush()
                await self._deliver(inputs.Received(event))
            case SessionUpdate():
                await self._deliver(inputs.Received(event))
                await self._settled()
            case _:
                await self._deliver(inputs.Received(event))

    async def _append(self, pcm: bytes) -> None:
        windows = self._windows.push(pcm)
        if not self._is_scored():
            for piece in audio.chunks(b"".join(windows), CHUNK_BYTES):
                await self._deliver(inputs.AudioReceived(piece))
            return
        for start in range(0, len(windows), SCORE_AT_ONCE):
            some = windows[start : start + SCORE_AT_ONCE]
            for window, speech in zip(some, await self._activity.score(some), strict=True):
                await self._deliver(inputs.AudioReceived(window, speech))

    async def _flush(self) -> None:
        if rest := self._windows.flush():
            await self._deliver(inputs.AudioReceived(rest))
