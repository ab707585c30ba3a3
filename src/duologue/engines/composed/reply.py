"""One reply under way: thoughts in, `Began`, `Say`, `Call` and one `Done` out, in two tasks.

    mind ──thoughts──► clauses ══queue══► mouth ──words──► ══queue══► reader

The thinking task takes text from the mind and cuts it into clauses; the speaking task
gives each clause its sound. Both queues hold two clauses, so the next clause is thought
while one is spoken and neither runs far ahead of the reader. A guess is the same thing
without a reader yet: it stops by itself when the queues are full, and goes on when it is
adopted.

Tokens are counted as they are generated, and each event that is read says how many there were
since the one before: so what was thought ahead counts, and a reply that is closed early has
said what it used. Where the mind reads text, all of the input is text: the user's sound counts
as the transcript that was read.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import cast

import msgspec

from duologue.core.talk import Ask, Began, Call, Done, ReplyEvent, Say
from duologue.engines.composed.clauses import ClauseSplitter
from duologue.engines.composed.parts import Finish, Mouth, Thinking, Thought
from duologue.engines.composed.precedence import Precedence
from duologue.engines.composed.tasks import Tasks
from duologue.errors import EngineFault

log = logging.getLogger(__name__)

AHEAD = 2
"""Clauses that may wait between two steps of a reply."""


class Plan(msgspec.Struct, frozen=True):
    """How to think; `heard_at_s` is when the words it answers were there."""

    think: Thinking
    heard_at_s: float | None = None


class Reply:
    """An async iterator of reply events; work begins at once, `aclose` interrupts it.

    `prepare` gives the plan, `ahead` is how many clauses may wait between two steps. `aclose` may
    come at any time, even while an event is waited for, and returns when nothing of the reply runs
    any more.
    """

    def __init__(
        self,
        ask: Ask,
        *,
        prepare: Callable[[], Awaitable[Plan]],
        mouth: Mouth,
        precedence: Precedence,
        tasks: Tasks,
        guess: bool = False,
        ahead: int = AHEAD,
    ) -> None:
        self._ask = ask
        self._prepare = prepare
        self._mouth = mouth
        self._precedence = precedence
        self._go = asyncio.Event()
        self._counted = False
        self._thought = False
        self._stages: dict[str, float] = {}
        self._chars = 0
        self._tokens = 0
        self._tokens_told = 0
        self._clauses: asyncio.Queue[str | Call | Finish] = asyncio.Queue(ahead)
        # One place more than clauses need, for the news that the mind has begun.
        self._out: asyncio.Queue[list[ReplyEvent] | EngineFault | None] = asyncio.Queue(ahead + 1)
        self._batch: deque[ReplyEvent] = deque()
        self._ended = False
        self.failed = False
        if not guess:
            self.adopt()
        self.task = tasks.start(self._run(), "guess" if guess else "reply")

    def adopt(self) -> None:
        """The guess was right, and somebody reads: from here on it goes before other guesses."""
        if not self._counted and not self._thought:
            self._counted = True
            self._precedence.begin()
        self._go.set()

    def cancel(self) -> None:
        """Begin to stop; what is left to do is done in the background."""
        self._ended = True
        self._batch.clear()
        self.task.cancel()

    async def aclose(self) -> None:
        """Stop: the lease is free and no task is left when this returns."""
        self.cancel()
        await asyncio.wait([self.task])
        while not self._out.empty():
            self._out.get_nowait()
        self._out.put_nowait(None)  # somebody may be waiting for an event

    def __aiter__(self) -> "Reply":
        return self

    async def __anext__(self) -> ReplyEvent:
        while not self._batch:
            if self._ended:
                raise StopAsyncIteration
            got = await self._out.get()
            if isinstance(got, EngineFault):
                self._ended = True
                raise got
            if got is None:
                raise StopAsyncIteration
            self._batch.extend(got)
        event = self._batch.popleft()
        self._ended = isinstance(event, Done)
        if isinstance(event, Began):
            return event
        tokens, self._tokens_told = self._tokens - self._tokens_told, self._tokens
        return msgspec.structs.replace(event, tokens=tokens) if tokens else event

    async def _run(self) -> None:
        try:
            async with asyncio.TaskGroup() as steps:
                steps.create_task(self._think(), name="think")
                steps.create_task(self._speak(), name="speak")
        except* EngineFault as faults:
            await self._fail(cast(EngineFault, _first(faults)))
        except* Exception as faults:
            error = _first(faults)
            log.error("a reply broke off", exc_info=error)
            await self._fail(EngineFault(f"the reply broke off: {type(error).__name__}: {error}"))
        finally:
            self._stop_counting()

    async def _fail(self, fault: EngineFault) -> None:
        self.failed = True
        await self._out.put(fault)

    def _stop_counting(self) -> None:
        """Guesses of other talks need not wait for this reply any longer."""
        self._thought = True
        if self._counted:
            self._counted = False
            self._precedence.end()

    def _reach(self, stage: str) -> None:
        self._stages.setdefault(stage, asyncio.get_running_loop().time())

    async def _think(self) -> None:
        plan = await self._prepare()
        if plan.heard_at_s is not None:
            self._stages["transcript"] = plan.heard_at_s
        await self._precedence.wait(self._go)
        splitter = ClauseSplitter()
        finish: Finish | None = None
        async with aclosing(plan.think()) as events:
            async for event in events:
                if isinstance(event, Began):
                    await self._out.put([event])
                    continue
                if isinstance(event, Finish):
                    finish = event
                    self._tokens = max(self._tokens, event.output_tokens)
                    break
                self._reach("first_token")
                self._tokens += event.tokens
                await self._route(event, splitter)
        self._stop_counting()
        if finish is None:
            raise EngineFault("the text model broke off without an end")
        await self._flush(splitter)
        await self._clauses.put(finish)

    async def _route(self, thought: Thought, splitter: ClauseSplitter) -> None:
        """Text to the clauses (or on at once, where nothing is spoken), calls after it."""
        if thought.call is not None:
            await self._flush(splitter)
            await self._clauses.put(thought.call)
        elif self._ask.speak:
            for clause in splitter.push(thought.text):
                await self._clause(clause)
        elif thought.text:
            await self._clause(thought.text)

    async def _flush(self, splitter: ClauseSplitter) -> None:
        for clause in splitter.flush():
            await self._clause(clause)

    async def _clause(self, text: str) -> None:
        self._reach("first_clause")
        if self._clauses.full():  # as good as thought: the reader is slower than the mind
            self._stop_counting()
        await self._clauses.put(text)

    async def _speak(self) -> None:
        while True:
            step = await self._clauses.get()
            if isinstance(step, Finish):
                await self._out.put([self._done(step)])
                return
            if isinstance(step, Call):
                self._chars = 0  # text after a call is a new message
                await self._out.put([step])
            elif self._ask.speak:
                await self._out.put(await self._voice(step))
            else:
                await self._out.put([Say(text=step)])

    async def _voice(self, clause: str) -> list[ReplyEvent]:
        """The clause word by word, the text of each with its sound."""
        words = await self._mouth.speak(clause, voice=self._ask.voice, speed=self._ask.speed)
        says: list[ReplyEvent] = []
        start = 0
        for word in words:
            end = max(start, min(word.end, len(clause)))
            says.append(Say(text=clause[start:end], pcm=word.pcm, voiced=self._chars + end))
            start = end
        self._chars += len(clause)
        if start < len(clause):
            says.append(Say(text=clause[start:], voiced=self._chars))
        return says

    def _done(self, finish: Finish) -> Done:
        return Done(
            reason="length" if finish.reason == "length" else "completed",
            stages=dict(self._stages),
        )


def _first(faults: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first single fault of a group."""
    fault: BaseException = faults
    while isinstance(fault, BaseExceptionGroup):
        fault = fault.exceptions[0]
    return fault
