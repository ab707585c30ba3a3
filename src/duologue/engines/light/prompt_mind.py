"""The local mind: a text model with prompts, grammars and drafts around it.

    ask + items ──Prompts──► prompt ──TextModel──► pieces ──Draft──► text and calls

What is particular to a model in this process is here and below: ChatML, the grammar that
holds calls to their schemas, places with a cached prefix, reading ahead. The engine sees none
of it.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence, Set
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from functools import partial
from typing import Protocol, cast

import msgspec

from duologue.core.talk import Ask, Began, Call, Item
from duologue.engines.composed.parts import (
    KEPT_FOR_REPLY,
    MOST_REPLY_TOKENS,
    Finish,
    Thinking,
    Thought,
)
from duologue.engines.composed.tasks import Tasks
from duologue.engines.light import unseen
from duologue.engines.light.draft import Draft
from duologue.engines.light.grammar import grammar
from duologue.engines.light.place import Place
from duologue.engines.light.prompt import COMMON, STOP, Prompts, guard
from duologue.engines.light.text_model import Begun, Lease, Piece, TextModel
from duologue.engines.light.unseen import LEAST_PARAMETERS
from duologue.errors import EngineFault


class _Completer(Protocol):
    """A lease, or the model itself for a reply out of band."""

    def complete(
        self, prompt: str, *, max_tokens: int, grammar: str | None = None, stop: Sequence[str] = ()
    ) -> AsyncIterator[Begun | Piece | Finish]: ...


class _Completion(msgspec.Struct, frozen=True):
    """What the model shall complete.

    `image_tokens` are those of the prompt that stand for what was read in images; `calls` says
    whether there is anything to call.
    """

    prompt: str
    max_tokens: int
    image_tokens: int
    grammar: str | None
    calls: bool


class PromptMind:
    """Satisfies `Mind`; the model is its own."""

    hears = False

    def __init__(self, model: TextModel) -> None:
        self.context_tokens = model.context_tokens
        self._model = model

    async def warm(self) -> None:
        """Read ahead what every conversation begins with."""
        await self._model.warm(COMMON)

    def open(self) -> "PromptTalk":
        """See `Mind.open`."""
        return PromptTalk(self._model, self._model.lease(COMMON))

    async def aclose(self) -> None:
        """Free the weights."""
        await self._model.aclose()


class PromptTalk:
    """Satisfies `MindTalk`: one lease, one cut through the history."""

    def __init__(self, model: TextModel, lease: Lease) -> None:
        self._model = model
        self._tasks = Tasks()
        self._place = Place(lease, self._tasks)
        self._prompts = self._new_prompts()
        self._is_trusted = not 0 < model.parameters < LEAST_PARAMETERS
        """Whether the model says of pictures what it was told and no more."""

    async def prepare(self, ask: Ask, items: Sequence[Item]) -> Thinking:
        """See `MindTalk.prepare`."""
        if ask.context is not None:
            prompts = self._new_prompts()
        else:
            prompts = self._prompts if ask.keep else self._prompts.copy()
        place = self._place.taken if ask.keep and ask.context is None else self._apart
        said = self._unseen(ask, items)
        shown = items if self._is_trusted else unseen.for_model(items)
        completion = await asyncio.to_thread(self._render, prompts, ask, shown)
        if said is not None:
            return partial(self._recite, said, completion)
        return partial(self._think, completion, place)

    def read_ahead(
        self, ask: Ask, items: Callable[[], Awaitable[Sequence[Item]]], *, instead: bool = False
    ) -> None:
        """Prefill instructions, tools and what of the history is settled."""
        self._place.warm(lambda: self._ahead(ask, items), instead=instead)

    @property
    def left_out(self) -> Set[str]:
        """See `MindTalk.left_out`."""
        return self._prompts.dropped

    def forget(self, item_id: str) -> None:
        """See `MindTalk.forget`."""
        self._prompts.forget(item_id)

    async def aclose(self) -> None:
        """Stop prefilling and give the lease back."""
        await self._place.aclose()
        await self._tasks.aclose()

    async def _ahead(self, ask: Ask, items: Callable[[], Awaitable[Sequence[Item]]]) -> str:
        known = await items()
        shown = known if self._is_trusted else unseen.for_model(known)
        return await asyncio.to_thread(self._prompts.ahead, ask, shown, KEPT_FOR_REPLY)

    def _render(self, prompts: Prompts, ask: Ask, items: Sequence[Item]) -> _Completion:
        """In a worker thread: it measures text and checks the tools' schemas."""
        kept = min(ask.max_tokens or KEPT_FOR_REPLY, KEPT_FOR_REPLY)
        prompt = prompts.render(ask, items, kept)
        room = self._model.context_tokens - self._model.count_tokens(prompt)
        return _Completion(
            prompt=prompt,
            max_tokens=max(1, min(ask.max_tokens or MOST_REPLY_TOKENS, room)),
            image_tokens=self._read_tokens(items, prompt),
            grammar=grammar(ask),
            calls=bool(ask.tools) and ask.tool_choice != "none",
        )

    def _unseen(self, ask: Ask, items: Sequence[Item]) -> str | None:
        """What is said of a picture by a model too small to be asked, unless it must call."""
        if self._is_trusted or (ask.tools and ask.tool_choice not in ("auto", "none")):
            return None
        return unseen.answer(items)

    def _read_tokens(self, items: Sequence[Item], prompt: str) -> int:
        """Tokens of a prompt that are what was read in images."""
        read = [guard(p.text) for i in items for p in i.parts if p.image_url and p.text]
        return sum(self._model.count_tokens(text) for text in read if text in prompt)

    def _new_prompts(self) -> Prompts:
        return Prompts(self._model.count_tokens, self._model.context_tokens)

    @asynccontextmanager
    async def _apart(self) -> AsyncIterator[_Completer]:
        """The model without a lease: nothing of the talk's cache is touched."""
        yield self._model

    async def _recite(
        self, text: str, completion: _Completion
    ) -> AsyncGenerator[Began | Thought | Finish, None]:
        """Say `text`, word by word; the model reads and generates nothing, the images are read."""
        yield Began(input={"image": completion.image_tokens})
        tokens = 0
        for word in re.findall(r"\s*\S+", text):
            cost = await asyncio.to_thread(self._model.count_tokens, word)
            if tokens + cost > completion.max_tokens:
                yield Finish("length", tokens)
                return
            tokens += cost
            yield Thought(word, tokens=cost)
        yield Finish("stop", tokens)

    async def _think(
        self,
        completion: _Completion,
        place: Callable[[], AbstractAsyncContextManager[_Completer]],
    ) -> AsyncGenerator[Began | Thought | Finish, None]:
        draft = Draft(calls=completion.calls)
        tokens, finish = 0, None
        async with place() as completer:
            stream = completer.complete(
                completion.prompt,
                max_tokens=completion.max_tokens,
                grammar=completion.grammar,
                stop=STOP,
            )
            generator = cast(AsyncGenerator[Begun | Piece | Finish, None], stream)
            async with aclosing(generator) as events:
                async for event in events:
                    if isinstance(event, Begun):
                        yield _began(event, completion.image_tokens)
                        continue
                    if isinstance(event, Finish):
                        finish = event
                        break
                    tokens += 1
                    for thought in _thoughts(draft.push(event.text), tokens=1):
                        yield thought
                    if draft.over:
                        finish = Finish("stop", tokens)
                        break
        if finish is None:
            raise EngineFault("the text model broke off without an end")
        # The place is free by now: the next turn need not wait until all of this one is spoken.
        for thought in _thoughts(draft.flush(), tokens=max(0, finish.output_tokens - tokens)):
            yield thought
        yield finish


def _thoughts(events: list[str | Call], *, tokens: int) -> list[Thought]:
    """The tokens count with the first of them, or alone where nothing has come of them yet."""
    thoughts = [
        Thought(call=event, tokens=0) if isinstance(event, Call) else Thought(event, tokens=0)
        for event in events or [""]
    ]
    return [msgspec.structs.replace(thoughts[0], tokens=tokens), *thoughts[1:]]


def _began(begun: Begun, image_tokens: int) -> Began:
    def by_modality(tokens: int) -> dict[str, int]:
        """Text first: what is beyond all the text of the prompt stands for images."""
        text = min(tokens, begun.prompt_tokens - image_tokens)
        return {"text": text, "image": tokens - text} if tokens > text else {"text": text}

    return Began(input=by_modality(begun.prompt_tokens), cached=by_modality(begun.cached_tokens))
