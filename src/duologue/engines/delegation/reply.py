"""One reply with lookups in it: what the front says in several goes comes out as one reply.

    front's reply ──words, client's calls──────────────────────────► reader
          └─────call of ours──► expert ──answer──► memory
                   meanwhile: a reply of the front out of band ────► reader
    front's next reply, which has read the answer ─────────────────► reader

The expert begins as soon as its call is whole. If the answer is there at once nothing is said
in between; otherwise the front says a few words, unless it has, and a few more after a while.
Closing the reply stops all of it, the expert's request first. Where the front called functions
of the client's, too, the reply ends with the answers noted: the client's results make the next.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any, cast

import msgspec
from msgspec import structs

from duologue.audio import pcm as audio
from duologue.core.talk import Ask, Began, Call, CallPart, Done, ReplyEvent, Say
from duologue.engines.composed.tasks import Tasks
from duologue.engines.delegation.brief import aside_ask
from duologue.engines.delegation.expert import Answer, Expert
from duologue.engines.delegation.joined import Joined
from duologue.engines.delegation.memory import Lookup, Memory, lookup_items
from duologue.engines.delegation.tool import name_beside, offered, question_of
from duologue.errors import EngineFault

log = logging.getLogger(__name__)

SOON_S = 0.5
"""An answer that comes within this needs no words before it."""

AGAIN_S = 6.0
"""Silence after which the front says that it is still on it."""

MOST_ASIDES = 4
MOST_LOOKUPS = 2
"""Times that one reply may be looked up for; calls in parallel are one time."""

EXPERT_SHARE = 0.5
"""Of the tokens that a reply with a limit has left: the front has to say it, too."""

Front = AsyncGenerator[ReplyEvent, None]


class _Question(msgspec.Struct):
    """A call of ours as it comes in, and the expert at work on it."""

    name: str
    arguments: str = ""
    answering: "asyncio.Task[Answer] | None" = None


class DelegatedReply:
    """An async iterator of reply events; `aclose` interrupts it. `tasks` are the talk's.

    `again_s` is the silence after which the front says that it is still on it.
    """

    def __init__(
        self,
        memory: Memory,
        expert: Expert,
        ask: Ask,
        tasks: Tasks,
        *,
        again_s: float = AGAIN_S,
    ) -> None:
        self._memory = memory
        self._expert = expert
        self._ask = ask
        self._tasks = tasks
        self._again_s = again_s
        self._before = memory.last_id
        self._name = name_beside(ask.tools)
        self._joined = Joined()
        self._questions: dict[int, _Question] = {}
        self._lookups: list[Lookup] = []
        self._has_client_calls = False
        self._is_whole = False
        self._quiet_s = 0.0
        """When all that was said has been played, by somebody who began to play it at once."""
        # Asked here and now: the history is the one of this moment.
        self._front = self._reply(offered(ask))
        self._events = self._run()

    def __aiter__(self) -> "DelegatedReply":
        return self

    async def __anext__(self) -> ReplyEvent:
        return await anext(self._events)

    async def aclose(self) -> None:
        """Stop all of it."""
        await self._events.aclose()
        await self._stop()  # for a reply of which nothing was read

    async def _run(self) -> AsyncGenerator[ReplyEvent, None]:
        try:
            for left in reversed(range(MOST_LOOKUPS + 1)):
                done = None
                async for event in self._front:
                    if isinstance(event, Done):
                        done = event
                        break
                    if (passed := self._take(event)) is not None:
                        yield passed
                if done is None:
                    raise EngineFault("the engine broke off without an end")
                if not self._asked or done.reason != "completed":
                    self._is_whole = True
                    yield self._joined.end(done)
                    return
                self._joined.pause(done)
                async with aclosing(self._meanwhile()) as aside:
                    async for event in aside:
                        yield event
                yield self._note()
                if self._has_client_calls or self._left == 0:
                    self._is_whole = True
                    reason = "completed" if self._has_client_calls else "length"
                    yield self._joined.end(Done(reason))  # type: ignore[arg-type]
                    return
                await self._front.aclose()
                self._joined.next_part()
                self._questions = {}
                self._front = self._reply(self._next_ask(may_ask=left > 1))
        finally:
            await self._stop()

    def _reply(self, ask: Ask) -> Front:
        return cast(Front, self._memory.front.reply(ask))

    @property
    def _asked(self) -> "list[asyncio.Task[Answer]]":
        """What the expert works on. A call that was cut off asks nothing."""
        return [q.answering for q in self._questions.values() if q.answering is not None]

    @property
    def _left(self) -> int | None:
        """Tokens that may be generated yet; None is no limit."""
        limit = self._ask.max_tokens
        return None if limit is None else max(0, limit - self._joined.tokens)

    def _take(self, event: ReplyEvent) -> ReplyEvent | None:
        """The event as the client gets it, if it does."""
        match event:
            case Began():
                return self._joined.began(event)
            case Say():
                if event.pcm:
                    now = asyncio.get_running_loop().time()
                    sound_s = audio.samples(event.pcm) / audio.RATE_HZ
                    self._quiet_s = max(self._quiet_s, now) + sound_s
                return self._joined.say(event)
            case Call() if event.name == self._name or event.index in self._questions:
                self._listen(event)
                return None
            case Call():
                self._has_client_calls = True
                return self._joined.call(event)
        return None

    def _listen(self, piece: Call) -> None:
        """Take a piece of a call of ours; the expert begins when it is whole."""
        question = self._questions.setdefault(piece.index, _Question(piece.name))
        question.arguments += piece.delta
        self._joined.hidden()
        self._joined.owe(piece.tokens)
        if piece.final and question.answering is None:
            left = self._left
            limit = None if left is None else max(1, int(left * EXPERT_SHARE))
            work = self._answer(question_of(question.arguments), limit)
            question.answering = self._tasks.start(work, "expert")

    async def _answer(self, question: str, max_tokens: int | None) -> Answer:
        context = self._ask.context
        items = await self._memory.read() if context is None else context
        return await self._expert.answer(self._ask, items, question, max_tokens)

    async def _meanwhile(self) -> AsyncGenerator[ReplyEvent, None]:
        """What is said until every answer is there."""
        clock = asyncio.get_running_loop().time
        answers = asyncio.gather(*self._asked, return_exceptions=True)
        has_said = bool(self._joined.messages)
        due = max(self._quiet_s, clock()) + self._again_s if has_said else clock() + SOON_S
        for _ in range(MOST_ASIDES if self._ask.speak else 0):
            await asyncio.wait([answers], timeout=max(0.0, due - clock()))
            if answers.done():
                return
            async with aclosing(self._aside(answers, still=has_said)) as says:
                async for event in says:
                    yield event
            has_said = True
            due = max(self._quiet_s, clock()) + self._again_s
        await asyncio.wait([answers])

    async def _aside(
        self, answers: "asyncio.Future[list[Answer | BaseException]]", *, still: bool
    ) -> AsyncGenerator[ReplyEvent, None]:
        """A few words of the front's, unless the answers come before the first of them."""
        left = self._left
        share = None if left is None else int(left * EXPERT_SHARE)
        if share == 0:
            return
        question = next(question_of(q.arguments) for q in self._questions.values())
        self._joined.next_part()
        reply = self._reply(aside_ask(self._ask, question, still=still, max_tokens=share))
        beginning = self._tasks.start(_beginning(reply), "aside")
        try:
            both: list[asyncio.Future[Any]] = [beginning, answers]
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if not beginning.done():
                return
            for event in beginning.result():
                if (passed := self._take_aside(event)) is not None:
                    yield passed
            async for event in reply:
                if (passed := self._take_aside(event)) is not None:
                    yield passed
        except EngineFault as fault:
            log.info("nothing was said while the expert was asked: %s", fault)
        finally:
            beginning.cancel()
            await asyncio.wait([beginning])
            _ = beginning.cancelled() or beginning.exception()  # seen, if nobody has
            await reply.aclose()
            self._joined.next_part()

    def _take_aside(self, event: ReplyEvent) -> ReplyEvent | None:
        if isinstance(event, Call):
            return None
        if isinstance(event, Done):
            self._joined.owe(event.tokens)
            return None
        return self._take(event)

    def _note(self) -> Began:
        """Note every answer in the talk in front, and count what was read for it."""
        read = Began()
        for question in self._questions.values():
            if question.answering is None:
                continue
            if question.answering.cancelled():
                raise EngineFault("the conversation is over")
            answer = question.answering.result()
            read = self._joined.read(answer.read, answer.tokens)
            call = CallPart("", question.name, question.arguments or "{}")
            lookup = self._memory.keep(self._before, call, answer.text, self._joined)
            self._lookups.append(lookup)
        return read

    def _next_ask(self, *, may_ask: bool) -> Ask:
        """How the front goes on, now that it has the answers."""
        context = self._ask.context
        if context is not None:
            context = (*context, *lookup_items(self._lookups))
        ask = structs.replace(self._ask, max_tokens=self._left, context=context)
        return offered(ask) if may_ask else ask

    async def _stop(self) -> None:
        if asked := self._asked:
            for answering in asked:
                answering.cancel()
            await asyncio.wait(asked)
        await self._front.aclose()
        if not self._is_whole and not self._joined.has_told:
            for lookup in self._lookups:  # nobody has heard of it
                self._memory.withdraw(lookup)


async def _beginning(reply: AsyncIterator[ReplyEvent]) -> Sequence[ReplyEvent]:
    """The events of a reply up to its first words or sound."""
    events: list[ReplyEvent] = []
    async for event in reply:
        events.append(event)
        if isinstance(event, Say) and (event.text or event.pcm):
            break
    return events
