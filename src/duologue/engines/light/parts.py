"""The parts of the composed engine as it sees them: an ear, a mind, a mouth and an eye.

`engine.py` joins them; each can be replaced alone. The composition root hands them in, so
nothing here knows Whisper, llama.cpp, hibari or RapidOCR. Sound is 24 kHz mono s16le.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol

import msgspec

from duologue.core.talk import Transcript


class Ear(Protocol):
    """Turns a user item's sound into words, once per item however many ask."""

    async def transcribe(
        self, item_id: str, pcm: bytes, language: str | None = None, prompt: str | None = None
    ) -> Transcript:
        """The transcript of an item.

        A call for an id that is known joins the work under way or takes its result: the sound
        of one id may grow only by silence. Raises `EngineFault`.
        """

    def forget(self, item_id: str) -> None:
        """Withdraw a guess: drop the result, stop the work if nobody else wants it."""


class Eye(Protocol):
    """Reads the text in an image, and knows nothing else of it."""

    async def read(self, image_url: str) -> str:
        """The text, line by line; "" where there is none. Raises `EngineFault`."""

    async def aclose(self) -> None: ...


class Begun(msgspec.Struct, frozen=True):
    """The prompt is being read: its tokens, and those of them reused from the cache."""

    prompt_tokens: int
    cached_tokens: int


class Piece(msgspec.Struct, frozen=True):
    """Some generated text."""

    text: str


class Finish(msgspec.Struct, frozen=True):
    """The end of a completion, and the tokens that it generated."""

    reason: str
    """"stop" or "length"."""
    output_tokens: int


class Lease(Protocol):
    """One conversation's place in the mind: its prefix stays cached until it is released."""

    async def prefill(self, prompt: str) -> None:
        """Evaluate `prompt` ahead of time; gives way to completions of other leases."""

    def complete(
        self, prompt: str, *, max_tokens: int, grammar: str | None = None, stop: Sequence[str] = ()
    ) -> AsyncIterator[Begun | Piece | Finish]:
        """Continue `prompt`; the first event is `Begun`, the last `Finish`.

        `aclose()` stops generation at once.
        """

    def release(self) -> None: ...


class Mind(Protocol):
    """A text model shared by all talks, with a fixed number of places."""

    context_tokens: int
    """Tokens one lease can hold, prompt and reply together."""

    async def warm(self, prompt: str) -> None:
        """Read `prompt`, which all prompts begin with, ahead of every conversation."""

    def lease(self, prompt: str = "") -> Lease:
        """A place, best one that has read how `prompt` begins; raises `EngineBusy` when full."""

    def complete(
        self, prompt: str, *, max_tokens: int, grammar: str | None = None, stop: Sequence[str] = ()
    ) -> AsyncIterator[Begun | Piece | Finish]:
        """A completion outside any lease, for out-of-band replies; its prefix is not kept."""

    def count_tokens(self, text: str) -> int:
        """The tokens of a text, never too few; called in worker threads, for it takes time."""

    async def aclose(self) -> None: ...


class Word(msgspec.Struct, frozen=True):
    """One word of a clause with the sound that voices it, pause after it included.

    `end` is the number of characters of the clause's own text up to and with this word.
    """

    end: int
    pcm: bytes


class Mouth(Protocol):
    """A voice: clause by clause, with the timing of each word."""

    voices: Mapping[str, str]
    """Voice name -> what it is, the first being the default."""

    async def speak(self, clause: str, *, voice: str, speed: float) -> Sequence[Word]:
        """The sound of one clause as its words; near silence at its beginning is trimmed.

        `clause` is text as the model wrote it (markdown, figures); it is normalised inside and
        the `end`s refer to it as given, the last one to its whole length. Text with nothing to
        pronounce gives one `Word` without sound. Raises `EngineFault`.
        """

    async def aclose(self) -> None: ...
