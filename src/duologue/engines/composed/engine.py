"""The composed engine: an ear, a mind and a mouth, shared by every talk.

Audio to text to audio, and said so: the language model does not speak itself, and hears only
where it is one that takes sound. The composition root hands the parts in; talks come out, one
lease each.
"""

import asyncio

from duologue.core.talk import Ask
from duologue.engines.composed.parts import MOST_REPLY_TOKENS, Ear, Eye, Mind, Mouth
from duologue.engines.composed.precedence import Precedence
from duologue.engines.composed.reply import AHEAD
from duologue.engines.composed.talk import ComposedTalk
from duologue.runtime.ports import Traits

LANGUAGES = ("en",)
"""What it converses in: its ear may know more, its prompts and its voice are English."""


class ComposedEngine:
    """See `runtime.ports.Engine`. It owns mind, mouth and eye; the ear belongs to others too.

    `traits` are what the parts are: composed, with the voices of the mouth and the window of
    the mind. `ahead` is how many clauses of a reply may wait between two of its steps.
    """

    def __init__(
        self, ear: Ear, mind: Mind, mouth: Mouth, eye: Eye | None = None, *, ahead: int = AHEAD
    ) -> None:
        self.traits = Traits(
            hears=mind.hears,
            speaks=False,
            tools=True,
            reads_images=eye is not None,
            voices=tuple(mouth.voices),
            languages=LANGUAGES,
            context_tokens=mind.context_tokens,
            max_output_tokens=MOST_REPLY_TOKENS,
        )
        self._ear = ear
        self._mind = mind
        self._mouth = mouth
        self._eye = eye
        self._ahead = ahead
        self._precedence = Precedence()
        self._talks: set[ComposedTalk] = set()

    async def warm(self) -> None:
        """Read ahead what every conversation begins with."""
        await self._mind.warm()

    async def open(self, ask: Ask) -> ComposedTalk:
        """Lease one conversation and begin to prefill; raises `EngineBusy` when full."""
        talk = ComposedTalk(
            ask,
            ear=self._ear,
            mind=self._mind,
            mouth=self._mouth,
            eye=self._eye,
            precedence=self._precedence,
            ahead=self._ahead,
            closed=self._talks.discard,
        )
        self._talks.add(talk)
        return talk

    async def aclose(self) -> None:
        """Close the talks that are open, then mind, mouth and eye."""
        await asyncio.gather(*[talk.aclose() for talk in self._talks])
        await self._mind.aclose()
        await self._mouth.aclose()
        if self._eye is not None:
            await self._eye.aclose()
