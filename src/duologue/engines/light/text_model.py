"""A text model as the local mind sees it: it goes on with a prompt, and knows no more.

    prompt (and a grammar) ──► TextModel ──► Begun, Piece, Piece, … Finish

Each conversation leases a place, in which the prefix of its prompts stays cached. Nothing
here knows llama.cpp; `mind.py` is it.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

import msgspec

from duologue.engines.composed.parts import Finish


class Begun(msgspec.Struct, frozen=True):
    """The prompt is being read: its tokens, and those of them reused from the cache."""

    prompt_tokens: int
    cached_tokens: int


class Piece(msgspec.Struct, frozen=True):
    """Some generated text."""

    text: str


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


class TextModel(Protocol):
    """A text model shared by all talks, with a fixed number of places."""

    context_tokens: int
    """Tokens one lease can hold, prompt and reply together."""

    parameters: int
    """How large it is; 0 if it does not say."""

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
