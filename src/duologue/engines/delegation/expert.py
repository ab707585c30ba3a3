"""The stronger model: one question and the history in, one answer or the lack of one out.

It is any mind of words (`engines/composed/parts.py`), asked anew each time: nothing of one
question is kept for the next. A fault is an answer, too: the front says that it could not be
found out. Cancelling an `answer` closes the connection, so that nobody pays for the rest.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import aclosing

import msgspec

from duologue.core.talk import Ask, Began, Item
from duologue.engines.composed.parts import Finish, Mind, Thought
from duologue.engines.delegation.brief import FAILED, expert_ask, expert_items
from duologue.errors import EngineBusy, EngineFault

log = logging.getLogger(__name__)

PATIENCE_S = 60.0
"""For a whole answer: nobody waits longer in a conversation."""

MOST_TOKENS = 2048
"""Generated for one answer, thinking included, where the reply has no limit of its own."""

MOST_CHARACTERS = 6000
"""Of an answer, whatever the model writes: the front has to read it."""


class Answer(msgspec.Struct, frozen=True):
    """What the front is told, and what it cost to find out as far as that is known."""

    text: str
    read: Began = Began()
    tokens: int = 0


class Expert:
    """`patience_s` is for a whole answer; `most_characters` of it are told to the front."""

    def __init__(
        self,
        mind: Mind,
        *,
        patience_s: float = PATIENCE_S,
        most_characters: int = MOST_CHARACTERS,
    ) -> None:
        self._mind = mind
        self._patience_s = patience_s
        self._most_characters = most_characters

    async def answer(
        self, ask: Ask, items: Sequence[Item], question: str, max_tokens: int | None
    ) -> Answer:
        """The answer to a question within a reply to `ask`. Raises nothing but cancellation."""
        limit = MOST_TOKENS if max_tokens is None else min(MOST_TOKENS, max_tokens)
        asked = expert_ask(ask, limit)
        clock = asyncio.get_running_loop().time
        began_s = clock()
        try:
            async with asyncio.timeout(self._patience_s):
                answer = await self._answer(asked, expert_items(items, question))
            log.info("the expert answered in %.1f s", clock() - began_s)
            return answer
        except TimeoutError:
            log.warning("the expert did not answer within %g s", self._patience_s)
        except (EngineFault, EngineBusy) as fault:
            log.warning("the expert could not be asked: %s", fault)
        return Answer(FAILED)

    async def _answer(self, ask: Ask, items: Sequence[Item]) -> Answer:
        talk = self._mind.open()
        try:
            think = await talk.prepare(ask, items)
            text, read, tokens = "", Began(), 0
            async with aclosing(think()) as events:
                async for event in events:
                    match event:
                        case Began():
                            read = event
                        case Thought():
                            text += event.text
                            tokens += event.tokens
                        case Finish():
                            tokens = max(tokens, event.output_tokens)
                    if len(text) > self._most_characters:
                        break
        finally:
            await talk.aclose()
        text = text.strip()
        if not text:
            log.warning("the expert answered without a word")
            return Answer(FAILED, read, tokens)
        if len(text) > self._most_characters:
            text = text[: self._most_characters] + "…"
        return Answer(text, read, tokens)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._mind.aclose()
