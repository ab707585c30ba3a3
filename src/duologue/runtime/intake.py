"""What happens to a client event before the inbox: sound is decoded, cut and scored.

    append ─► decode (G.711) ─► windows ─► score ─► inbox

Client events in, inputs out, in arrival order. A window's score rides with it into the
core. A change of the session's settings is a barrier: sound after it is not looked at until
the core has taken the change, so that it is read and scored as the client asked.
PCM goes straight to the windows.
"""

import asyncio
from collections.abc import Awaitable, Callable

from duologue.audio import g711
from duologue.audio import pcm as audio
from duologue.core import inputs
from duologue.events import (
    AudioInput,
    ClientEvent,
    ConversationItemCreate,
    InputAudioBufferAppend,
    InputAudioBufferClear,
    InputAudioBufferCommit,
    ResponseCreate,
    SessionUpdate,
)
from duologue.runtime.formats import INLINE_MS, decode_items, law_of
from duologue.runtime.ports import WINDOW_SAMPLES, ActivityStream

SCORE_AT_ONCE = 32
"""Windows scored in one call, about a second: a long append must not hold up the others."""

CHUNK_BYTES = 48_000
"""Unscored sound enters the core in pieces of at most a second."""


class Intake:
    """One session's way in. `deliver` waits while the inbox is full.

    `settled` waits until the core has taken all that was delivered; `listening` says how the
    session listens then.
    """

    def __init__(
        self,
        activity: ActivityStream,
        deliver: Callable[[inputs.Input], Awaitable[None]],
        settled: Callable[[], Awaitable[None]],
        is_scored: Callable[[], bool],
        listening: Callable[[], AudioInput],
    ) -> None:
        self._activity = activity
        self._deliver = deliver
        self._settled = settled
        self._is_scored = is_scored
        self._listening = listening
        self._windows = audio.Windows(WINDOW_SAMPLES)
        self._law: g711.Law | None = None
        self._decoder: g711.Decoder | None = None
        self._is_new = True

    async def receive(self, event: ClientEvent | inputs.BadEvent) -> None:
        """Pass an event on; returns when it stands in the inbox."""
        if self._is_new:
            self._is_new = False
            self._retune()
        match event:
            case InputAudioBufferAppend(audio=sound):
                await self._append(sound)
            case inputs.BadEvent():
                await self._deliver(event)
            case InputAudioBufferCommit() | InputAudioBufferClear():
                await self._flush()
                await self._deliver(inputs.Received(event))
            case SessionUpdate():
                await self._deliver(inputs.Received(event))
                await self._settled()
                self._retune()
            case ConversationItemCreate() | ResponseCreate() if self._law is not None:
                await self._deliver(inputs.Received(await decode_items(event, self._law)))
            case _:
                await self._deliver(inputs.Received(event))

    def _retune(self) -> None:
        """Listen as the session's settings say from now on."""
        settings = self._listening()
        law = law_of(settings.format)
        if law != self._law:
            self._windows.drop_half_sample()
            self._law, self._decoder = law, None if law is None else g711.Decoder(law)

    async def _append(self, sound: bytes) -> None:
        if self._decoder is None:
            await self._hear(sound)
        elif len(sound) <= INLINE_MS * g711.LINE_HZ // 1000:
            await self._hear(self._decoder.push(sound))
        else:
            for piece in audio.chunks(sound, g711.LINE_HZ):
                await self._hear(await asyncio.to_thread(self._decoder.push, piece))

    async def _hear(self, pcm: bytes) -> None:
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
