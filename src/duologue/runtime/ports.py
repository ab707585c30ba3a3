"""The ports: what the asyncio shell asks of engines, voice activity, turn ends, transcription.

Calls go down, events come back by iteration or as a result; nothing calls upward.
An adapter implements a port and imports nothing above this module.

Two kinds of call on a `Talk`. The *notes* (`configure`, `expect`, `put`, `drop`, `cut`) are
synchronous and return at once: they record, and whatever work they cause the engine does in
its own time. So notes cannot be reordered against each other or against `reply`, and the
history of a talk is exactly what has been put, dropped and cut. `reply` does the work:
closing its iterator interrupts it.
"""

from asyncio import Future
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Literal, Protocol

import msgspec

from duologue.core.inputs import Played
from duologue.core.talk import (
    Ask,
    Item,
    LiveEvent,
    ReplyEvent,
    Transcript,
    TranscriptionAsk,
    TranscriptPart,
    TranslationAsk,
)
from duologue.core.transcription_models import TranscriptionModels
from duologue.events import EngineTraits

WINDOW_SAMPLES = 768
"""Samples at 24 kHz in one voice-activity window: 32 ms."""


NoiseKind = Literal["near_field", "far_field"]


class Traits(msgspec.Struct, frozen=True, kw_only=True):
    """What an engine honestly is. Only one that both hears and speaks is end-to-end.

    `hears`/`speaks`/`sees`: the language model itself takes/makes waveforms, looks at images.
    `audible`: replies can be sound, be it that a voice beside the model reads them out.
    `reads_images`: images may be put, though no more than the text in them is understood.
    `rewinds`: it can forget what was not heard. `languages`: ISO-639-1 codes of those that it
    converses in; empty: it does not say. `context_tokens`: window of the model, prompt and
    reply together; `max_output_tokens`: of a reply whose ask names no limit.

    All of this is shown to clients; a session that asks for more is refused by the core.
    """

    hears: bool = False
    speaks: bool = False
    audible: bool = True
    duplex: bool = False
    rewinds: bool = True
    tools: bool = True
    sees: bool = False
    reads_images: bool = False
    voices: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    context_tokens: int = 4096
    max_output_tokens: int = 1024

    def shown(self) -> EngineTraits:
        """The traits as clients see them."""
        return EngineTraits(
            end_to_end=self.hears and self.speaks,
            hears=self.hears,
            speaks=self.speaks,
            sees=self.sees,
            input_modalities=("text", "audio", "image") if self.takes_images else ("text", "audio"),
            output_modalities=("text", "audio") if self.audible or self.speaks else ("text",),
            duplex=self.duplex,
            rewinds=self.rewinds,
            tools=self.tools,
            voices=self.voices,
            languages=self.languages,
            context_tokens=self.context_tokens,
            max_output_tokens=self.max_output_tokens,
        )

    @property
    def takes_images(self) -> bool:
        """Whether an image may be put, whatever is understood of it."""
        return self.sees or self.reads_images


class Speaker(Protocol):
    """What plays a session's sound where playing is ours. Nothing of it waits."""

    def attach(self, wake: Callable[[], None]) -> None:
        """`wake` is to be called when an item begins to be played, and when all has been."""

    def play(self, response_id: str, item_id: str, pcm: bytes) -> bool:
        """Have 24 kHz sound played after what waits; False when too much does."""

    def stop(self, response_id: str) -> None:
        """Let everything of a response fall that has not been played."""

    def news(self) -> list[Played]:
        """What was played since this was last asked, as totals of items."""


class Talk(Protocol):
    """One conversation: one lease on model state."""

    def configure(self, ask: Ask) -> None:
        """Note the session's settings, so that instructions and tools can be prefilled."""

    async def admit(self, ask: Ask) -> None:
        """Say whether instructions and tools would leave room for a conversation; leaves no trace.

        Raises `EngineFault` with the code `context_length_exceeded` where no reply by `ask` could
        be given, however short the history. An engine that cannot tell says nothing.
        """

    def expect(self, item: Item | None) -> None:
        """Note a guess: were the user's turn over now, `item` would be it.

        Called at the first silent window of a pause. A later `expect` replaces the guess,
        `expect(None)` withdraws it, and `put` of the same id (its sound longer by silence
        only) makes it true. An engine may transcribe, prefill, even begin a reply on it.
        """

    def put(self, item: Item, after: str | None = None) -> None:
        """Note an item that entered the conversation, after item `after` ("" = front, None = end).

        The engine's own reply is put, too, once each item of it is complete or was cut off.
        """

    def drop(self, item_id: str) -> None:
        """Note that an item was deleted."""

    def cut(self, item_id: str, end_ms: int, text: str) -> None:
        """Note how much of an assistant item was really heard: its first `end_ms`, `text`."""

    def reply(self, ask: Ask) -> AsyncIterator[ReplyEvent]:
        """Answer: `Began`, `Say` and `Call` events and one last `Done`; raises `EngineFault`.

        A history that is longer than the ask's `truncation` allows fails with the code
        `context_length_exceeded`, before anything is said.
        `aclose()` on the iterator interrupts. Replies may run side by side.
        """

    async def aclose(self) -> None:
        """Give the lease back; a second call does nothing."""


class LiveTalk(Talk, Protocol):
    """One conversation with a model that listens while it speaks (`Traits.duplex`).

    The model owns the floor: it is given all sound as it comes and decides itself when to speak.
    """

    def hear(self, pcm: bytes) -> None:
        """Note more of the user's line, 24 kHz, without gaps and cut anywhere.

        Bounded: a model that falls behind lets the oldest fall and says so in a log.
        """

    def played(self, item_id: str, samples: int) -> None:
        """Note that of an item of ours the first `samples` have gone out to the listener.

        It may come before the item is put: then it is of the reply under way or the one before.
        """

    def nudge(self, ask: Ask) -> None:
        """Note that the client asks for a reply, by `ask` (`response.create`).

        A model that can be asked speaks soon; one that speaks already, or cannot, passes it over.
        """

    def hush(self) -> None:
        """Note that nobody wants the reply under way, or the one that a nudge asks for.

        A model that can stop ends it by `yields`. Whatever is said of it is heard by nobody.
        """

    def live(self, ask: Ask) -> AsyncIterator[LiveEvent]:
        """What the model does unasked, until it is closed or its session ends.

        When the talk is closed it ends, without a fault. At most one runs; after it has ended or
        failed another may be begun, from the history that was put. Raises `EngineFault`. Beside
        it `reply` answers out of band only, where the engine can; `put` of a tool's result goes
        to the model as it speaks.
        """


class Engine(Protocol):
    """A speech engine: one set of weights (or one upstream) for many talks."""

    traits: Traits

    async def open(self, ask: Ask) -> Talk:
        """Lease one conversation; raises `EngineBusy` when all places are taken."""

    async def aclose(self) -> None:
        """Stop work and free the weights."""


Told = Callable[[Future[list[float]]], None]
"""Who is handed scores as soon as they are there."""


class ActivityStream(Protocol):
    """Voice activity of one session, in order: it keeps the detector's state."""

    def score(self, windows: Sequence[bytes], told: Told | None = None) -> Future[list[float]]:
        """Speech probability 0..1 of each consecutive window of `WINDOW_SAMPLES` samples.

        One at a time: the future, which may be done already, is awaited or cancelled before the
        next. It fails with `EngineFault`. One that was not done when it was returned is handed
        to `told` once it is (unless by being cancelled), sooner than to whoever awaits it: within
        the same turn of the loop.
        """

    def close(self) -> None: ...


class VoiceActivity(Protocol):
    """A voice-activity detector shared by all sessions."""

    def open(self) -> ActivityStream: ...

    async def aclose(self) -> None: ...


class NoiseStream(Protocol):
    """Noise reduction of one session's sound, in order, off the event loop."""

    async def clean(self, pcm: bytes) -> bytes:
        """The cleaned sound that `pcm` (24 kHz s16le, cut anywhere) completes.

        Sample for sample the sound that went in, so that offsets stay right; the last few
        milliseconds are held back until more comes. Raises `EngineFault`.
        """

    async def flush(self) -> bytes:
        """What was held back, whole samples. The stream goes on after it."""

    def close(self) -> None: ...


class NoiseReduction(Protocol):
    """A noise suppressor for all sessions."""

    async def open(self, kind: NoiseKind, strength: float) -> NoiseStream:
        """A stream for a microphone that is near or far; `strength` is 0 (off) to 1."""

    async def aclose(self) -> None: ...


class TurnEnd(Protocol):
    """Tells the end of a turn from a pause in it, for all sessions; `semantic_vad` asks it."""

    async def score(self, pcm: bytes) -> float:
        """How likely the user's turn is complete, 0..1; raises `EngineFault`.

        `pcm` is the turn so far, padding before it and the pause behind it included.
        """

    async def aclose(self) -> None: ...


class Images(Protocol):
    """Makes a client's image one that is safe to keep, off the event loop."""

    async def take(self, image_url: str) -> str:
        """A data URI of the image made anew; raises `Refusal` without a param."""

    async def aclose(self) -> None: ...


class Transcriber(Protocol):
    """Writes the user's speech down for the client, beside the engine and never in its way."""

    models: TranscriptionModels
    """The names that a session may ask for."""

    def transcribe(
        self, media_id: str, pcm: bytes, ask: TranscriptionAsk
    ) -> AsyncIterator[TranscriptPart | Transcript]:
        """The transcript of one sound, last; before it the pieces of a long one, as they come.

        It begins with the ask's `prefix`. Sound that the engine hears under the same
        `media_id` (see `core.talk.Part`) is heard once. Raises `EngineFault`.
        """


class Translator(Protocol):
    """Says speech again in another language; needs no talk and keeps no history."""

    languages: tuple[str, ...]
    """ISO-639-1 codes that it can speak."""

    def translate(self, pcm: bytes, ask: TranslationAsk) -> AsyncIterator[ReplyEvent]:
        """`Say` events and one last `Done`, as in `Talk.reply`; raises `EngineFault`."""
