"""What happens to a client event before the inbox: sound is cut and scored, images made safe.

    append ─► decode (G.711) ─► clean (noise reduction) ─► windows ─► score ─► inbox

Client events in, inputs out, in arrival order. Appended sound that nothing stands before takes a
short way, without a task (`append_now`). A window's score rides with it into the core;
the images of an item are made anew. A change of the session's settings is a barrier: sound
after it is not looked at until the core has taken the change, so that it is read, cleaned and
scored as the client asked. A session that asks for neither telephone sound nor cleaning goes
straight to the windows.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from duologue.audio import g711
from duologue.audio import pcm as audio
from duologue.core import inputs
from duologue.events import (
    AudioInput,
    ConversationItemCreate,
    InputAudioBufferAppend,
    InputAudioBufferClear,
    InputAudioBufferCommit,
    ResponseCreate,
    SessionUpdate,
    TranscriptionAudioInput,
)
from duologue.events import (
    NoiseReduction as NoiseSettings,
)
from duologue.events.translation import (
    AnyClientEvent,
    SessionClose,
    SessionInputAudioBufferAppend,
    TranslationUpdate,
)
from duologue.runtime.formats import INLINE_MS, decode_items, law_of
from duologue.runtime.inbox import Inbox
from duologue.runtime.input_images import with_clean_images
from duologue.runtime.ports import (
    WINDOW_SAMPLES,
    ActivityStream,
    Images,
    NoiseReduction,
    NoiseStream,
)

SCORE_AT_ONCE = 32
"""Windows scored in one call, about a second: a long append must not hold up the others."""

AT_ONCE_BYTES = 12_000
"""Appended sound that may take the short way: a quarter of a second."""

CHUNK_BYTES = 48_000
"""Unscored sound enters the core in pieces of at most a second."""

CLEAN_BYTES = 9600
"""Sound cleaned in one go, 200 ms: a long append must not hold up the others."""


class Intake:
    """One session's way into its inbox, waiting while that is full.

    `is_scored` and `listening` say how the session listens once the core has taken all that was
    delivered; `refused` tells whether an event asks more than the engine can read; `failed` is
    told when sound of the short way could not be scored. Without `noise` sound is never cleaned.
    """

    def __init__(
        self,
        activity: ActivityStream,
        inbox: Inbox,
        is_scored: Callable[[], bool],
        listening: Callable[[], AudioInput | TranscriptionAudioInput],
        refused: Callable[[SessionUpdate | ResponseCreate], Awaitable[inputs.BadEvent | None]],
        failed: Callable[[BaseException], None],
        noise: NoiseReduction | None = None,
        images: Images | None = None,
    ) -> None:
        self._activity = activity
        self._inbox = inbox
        self._deliver = inbox.put
        self._settled = inbox.join
        self._is_scored = is_scored
        self._listening = listening
        self._refused = refused
        self._failed = failed
        self._noise = noise
        self._images = images
        self._windows = audio.Windows(WINDOW_SAMPLES)
        self._law: g711.Law | None = None
        self._decoder: g711.Decoder | None = None
        self._cleaning: NoiseSettings | None = None
        self._cleaner: NoiseStream | None = None
        self._scoring: asyncio.Future[list[float]] | None = None
        """Of windows that came the short way."""
        self._unscored: list[bytes] = []
        """Windows that came since; a few, or nothing more is taken that way."""
        self._is_new = True
        self._closed = False

    async def receive(self, event: AnyClientEvent | inputs.BadEvent) -> None:
        """Pass an event on; returns when it stands in the inbox. Raises `EngineFault`."""
        await self._ready()
        match event:
            case InputAudioBufferAppend(audio=sound) | SessionInputAudioBufferAppend(audio=sound):
                await self._append(sound)
            case inputs.BadEvent():
                await self._deliver(event)
            case InputAudioBufferCommit() | InputAudioBufferClear():
                await self._flush()
                await self._deliver(inputs.Received(event))
            case SessionClose():
                await self._flush()
                await self._deliver(inputs.ReceivedTranslation(event))
            case TranslationUpdate():
                await self._deliver(inputs.ReceivedTranslation(event))
                await self._settled()
                await self._retune()
            case SessionUpdate():
                if refusal := await self._refused(event):
                    await self._deliver(refusal)
                    return
                await self._deliver(inputs.Received(event))
                await self._settled()
                await self._retune()
            case ResponseCreate():
                await self._deliver(await self._refused(event) or await self._item(event))
            case ConversationItemCreate():
                await self._deliver(await self._item(event))
            case _:
                await self._deliver(inputs.Received(event))

    async def hear(self, pcm: bytes) -> None:
        """Pass on sound that came beside the events: 24 kHz, whatever the session's format."""
        await self._ready()
        await (self._hear if self._cleaner is None else self._clean)(pcm)

    def append_now(self, sound: bytes) -> bool:
        """Take a little appended sound at once, or say that `receive` has to (False).

        To be called only while no `receive` or `hear` is under way.
        """
        if (
            self._is_new
            or self._cleaner is not None
            or self._decoder is not None
            or len(sound) > AT_ONCE_BYTES
            or len(self._unscored) >= SCORE_AT_ONCE
            or not self._inbox.has_room
        ):
            return False
        windows = self._windows.push(sound)
        if not windows:
            return True
        if not self._is_scored():
            self._inbox.put_nowait(inputs.AudioReceived(b"".join(windows)))
            return True
        self._unscored += windows
        if self._scoring is None:
            self._score()
        return True

    def _score(self) -> None:
        """Have what has come the short way scored, and what comes meanwhile after it."""
        windows, self._unscored = self._unscored, []
        told = partial(self._scored, windows)
        scores = self._activity.score(windows, told)
        if scores.done():
            told(scores)
        else:
            self._scoring = scores

    def _scored(self, windows: Sequence[bytes], scores: asyncio.Future[list[float]]) -> None:
        self._scoring = None
        if fault := scores.exception():
            self._failed(fault)
            return
        self._inbox.enter(map(inputs.AudioReceived, windows, scores.result()))
        if self._unscored:
            self._score()

    def close(self) -> None:
        """Let go of what a session's cleaning holds."""
        self._closed = True
        if self._cleaner is not None:
            self._cleaner.close()

    async def _ready(self) -> None:
        """Wait for what came before by the short way; know the settings to begin with."""
        while self._scoring is not None:
            await asyncio.wait((self._scoring,))
        if self._is_new:
            self._is_new = False
            await self._retune()

    async def _retune(self) -> None:
        """Listen as the session's settings say from now on."""
        settings = self._listening()
        law = law_of(settings.format)
        if law != self._law:
            await self._drain()
            self._windows.drop_half_sample()
            self._law, self._decoder = law, None if law is None else g711.Decoder(law)
        if settings.noise_reduction != self._cleaning:
            await self._drain()
            self._cleaning = settings.noise_reduction
        wanted = self._cleaning
        if self._cleaner is None and self._noise is not None and wanted and wanted.strength:
            cleaner = await self._noise.open(wanted.type, wanted.strength)
            if self._closed:
                cleaner.close()
            else:
                self._cleaner = cleaner

    async def _item(
        self, event: ConversationItemCreate | ResponseCreate
    ) -> inputs.Received | inputs.BadEvent:
        if self._law is not None:
            event = await decode_items(event, self._law)
        if self._images is not None:
            return await with_clean_images(event, self._images)
        return inputs.Received(event)

    async def _append(self, sound: bytes) -> None:
        hear = self._hear if self._cleaner is None else self._clean
        if self._decoder is None:
            await hear(sound)
        elif len(sound) <= INLINE_MS * g711.LINE_HZ // 1000:
            await hear(self._decoder.push(sound))
        else:
            for piece in audio.chunks(sound, g711.LINE_HZ):
                await hear(await asyncio.to_thread(self._decoder.push, piece))

    async def _clean(self, pcm: bytes) -> None:
        assert self._cleaner is not None
        for piece in audio.chunks(pcm, CLEAN_BYTES):
            await self._hear(await self._cleaner.clean(piece))

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

    async def _drain(self) -> None:
        """End a cleaning: what it holds back is heard, an odd byte is forgotten."""
        if self._cleaner is not None:
            await self._hear(await self._cleaner.flush())
            self._cleaner.close()
            self._cleaner = None

    async def _flush(self) -> None:
        if self._cleaner is not None:
            await self._hear(await self._cleaner.flush())
        if rest := self._windows.flush():
            await self._deliver(inputs.AudioReceived(rest))
