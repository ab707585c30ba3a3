"""The parts of the composed engine as it sees them: an ear, a mind, a mouth and an eye.

`engine.py` joins them; each can be replaced alone. The composition root hands them in, so
nothing here knows Whisper, llama.cpp, hibari or RapidOCR. Sound is 24 kHz mono s16le.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence, Set
from typing import Protocol

import msgspec

from duologue.core.talk import Ask, Began, Call, Item, Transcript

MOST_REPLY_TOKENS = 1024
"""Of a reply whose ask names no limit: some four minutes of speech."""

KEPT_FOR_REPLY = 512
"""Tokens of the window that history leaves for a reply at least, unless the ask wants less."""


class Ear(Protocol):
    """Turns the user's sound into words, each sound once however many ask."""

    async def transcribe(
        self, media_id: str, pcm: bytes, language: str | None = None, prompt: str | None = None
    ) -> Transcript:
        """The transcript of a sound.

        A call for an id that is known joins the work under way or takes its result: the sound
        of one `media_id` (see `core.talk.Part`) may grow only by silence. Raises `EngineFault`.
        """

    def forget(self, media_id: str) -> None:
        """Withdraw a guess: drop the result, stop the work if nobody else wants it."""


class Eye(Protocol):
    """Reads the text in an image, and knows nothing else of it."""

    async def read(self, image_url: str) -> str:
        """The text, line by line; "" where there is none. Raises `EngineFault`."""

    async def aclose(self) -> None: ...


class Thought(msgspec.Struct, frozen=True):
    """What a mind came to next: some text to say, or a piece of a function call.

    `tokens` were generated for it. They count although nothing may have come of them yet.
    """

    text: str = ""
    call: Call | None = None
    tokens: int = 1


class Finish(msgspec.Struct, frozen=True):
    """The end of a reply, and all the tokens that were generated for it."""

    reason: str
    """"stop" or "length"."""
    output_tokens: int


Thinking = Callable[[], AsyncGenerator[Began | Thought | Finish, None]]
"""Begins to think and gives what comes of it: `Began` first, `Finish` last.

`Began` may be corrected by another, up to the end. `aclose()` stops the mind at once. Raises
`EngineFault`.
"""


class MindTalk(Protocol):
    """One conversation with a mind: what it has read of it, and what it has left out."""

    async def prepare(self, ask: Ask, items: Sequence[Item]) -> Thinking:
        """Make ready to answer `items`, whose images are text by now.

        So is their sound, unless the mind `hears`: then it is in the user's items as it came.

        What does not fit is left out as the ask's `truncation` says. A reply that is out of
        band (`keep` False, or with a `context`) leaves no trace. Raises `EngineFault`, with
        the code `context_length_exceeded` where nothing may or can be left out.
        """

    def read_ahead(
        self, ask: Ask, items: Callable[[], Awaitable[Sequence[Item]]], *, instead: bool = False
    ) -> None:
        """Read in idle time what the next reply will begin with; the latest call counts.

        `instead`: what is being read is no beginning of it. A mind that cannot need not.
        """

    @property
    def left_out(self) -> Set[str]:
        """The ids of items that had no room and that no reply will read any more."""

    def forget(self, item_id: str) -> None:
        """An item was deleted: another may have its id."""

    async def aclose(self) -> None:
        """Stop reading ahead and give the place back; no reply is under way."""


class Mind(Protocol):
    """A language model shared by all talks."""

    context_tokens: int
    """Tokens that one conversation can hold, prompt and reply together."""

    hears: bool
    """It takes the user's sound itself; otherwise an ear writes it down before."""

    async def warm(self) -> None:
        """Get ready, ahead of every conversation."""

    def open(self) -> MindTalk:
        """Begin a conversation; raises `EngineBusy` when there is no place for it."""

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
