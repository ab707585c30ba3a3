"""Engines that each break one rule: the scripted engine, spoilt in one place."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from msgspec import structs

from duologue.core.talk import Ask, Began, Call, Done, Item, Part, ReplyEvent, Say
from duologue.engines.scripted import Script, ScriptedEngine, ScriptedReply, ScriptedTalk


class Wrong:
    """The scripted engine, wrapped, with nothing wrong yet; `breaks` names a rule."""

    breaks = ""
    script = Script(
        replies=(ScriptedReply(text="There are {heard}", word_delay_ms=1),), places=5, word_ms=41
    )

    def __init__(self) -> None:
        self.inner = ScriptedEngine(self.script)
        self.traits = self.inner.traits

    async def open(self, ask: Ask) -> "WrongTalk":
        talk: Any = await self.inner.open(ask)
        return self.Talk(talk)

    async def aclose(self) -> None:
        await self.inner.aclose()

    class Talk:
        """Hands everything on."""

        def __init__(self, inner: ScriptedTalk) -> None:
            self.inner = inner

        def configure(self, ask: Ask) -> None:
            self.inner.configure(ask)

        async def admit(self, ask: Ask) -> None:
            await self.inner.admit(ask)

        def expect(self, item: Item | None) -> None:
            self.inner.expect(item)

        def put(self, item: Item, after: str | None = None) -> None:
            self.inner.put(item, after)

        def drop(self, item_id: str) -> None:
            self.inner.drop(item_id)

        def cut(self, item_id: str, end_ms: int, text: str) -> None:
            self.inner.cut(item_id, end_ms, text)

        def reply(self, ask: Ask) -> Any:
            return self.events(ask)

        async def events(self, ask: Ask) -> AsyncIterator[ReplyEvent]:
            async with aclosing(self.inner.reply(ask)) as events:  # type: ignore[type-var]
                async for event in events:  # type: ignore[attr-defined]
                    yield self.spoil(event)

        def spoil(self, event: ReplyEvent) -> ReplyEvent:
            return event

        async def aclose(self) -> None:
            await self.inner.aclose()


WrongTalk = Wrong.Talk


class BeginsLate(Wrong):
    breaks = "began before all"

    class Talk(Wrong.Talk):
        async def events(self, ask: Ask) -> AsyncIterator[ReplyEvent]:
            yield Say("Well,", tokens=1)
            async for event in super().events(ask):
                yield event


class EndsTwice(Wrong):
    breaks = "one done at the end"

    class Talk(Wrong.Talk):
        async def events(self, ask: Ask) -> AsyncIterator[ReplyEvent]:
            async for event in super().events(ask):
                yield event
            yield Done()


class Mute(Wrong):
    breaks = "says something"

    class Talk(Wrong.Talk):
        def spoil(self, event: ReplyEvent) -> ReplyEvent:
            return structs.replace(event, pcm=b"") if isinstance(event, Say) else event


class VoicesWhatItHasNotSaid(Wrong):
    breaks = "voiced is true"

    class Talk(Wrong.Talk):
        def spoil(self, event: ReplyEvent) -> ReplyEvent:
            return structs.replace(event, voiced=99) if isinstance(event, Say) else event


class HalfSamples(Wrong):
    breaks = "sound is whole samples"

    class Talk(Wrong.Talk):
        def spoil(self, event: ReplyEvent) -> ReplyEvent:
            return structs.replace(event, pcm=event.pcm[:-1]) if isinstance(event, Say) else event


class CachesMoreThanItReads(Wrong):
    breaks = "usage adds up"

    class Talk(Wrong.Talk):
        def spoil(self, event: ReplyEvent) -> ReplyEvent:
            return Began(event.input, {"text": 999}) if isinstance(event, Began) else event


class KnowsNoLimit(Wrong):
    breaks = "max tokens is a bound"

    class Talk(Wrong.Talk):
        def reply(self, ask: Ask) -> Any:
            return super().reply(structs.replace(ask, max_tokens=None))


class CallsWithoutAnEnd(Wrong):
    breaks = "calls are whole"

    class Talk(Wrong.Talk):
        def spoil(self, event: ReplyEvent) -> ReplyEvent:
            return structs.replace(event, delta="{") if isinstance(event, Call) else event


class CallsWithAList(Wrong):
    breaks = "calls are whole"

    class Talk(Wrong.Talk):
        def spoil(self, event: ReplyEvent) -> ReplyEvent:
            if not isinstance(event, Call):
                return event
            return structs.replace(event, delta="[1]" if event.name else "")


class TalksOn(Wrong):
    breaks = "can be closed at any event"

    class Talk(Wrong.Talk):
        def reply(self, ask: Ask) -> Any:
            return Unstoppable(super().reply(ask))


class Unstoppable:
    """A reply that does not mind being closed."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __aiter__(self) -> "Unstoppable":
        return self

    async def __anext__(self) -> ReplyEvent:
        event: ReplyEvent = await anext(self.inner)
        return event

    async def aclose(self) -> None:
        """Not now."""


class MindsNoCancellation(Wrong):
    breaks = "can be cancelled while it is waited for"

    class Talk(Wrong.Talk):
        async def events(self, ask: Ask) -> AsyncIterator[ReplyEvent]:
            try:
                await asyncio.sleep(0.05)
            except asyncio.CancelledError:
                await asyncio.sleep(0.5)
                raise
            async for event in super().events(ask):
                yield event


class RemembersWhatItDidNotSay(Wrong):
    breaks = "an interrupted reply leaves no trace"

    class Talk(Wrong.Talk):
        async def events(self, ask: Ask) -> AsyncIterator[ReplyEvent]:
            try:
                async for event in super().events(ask):
                    yield event
            except GeneratorExit:
                self.inner.put(Item("item_own", "assistant", (Part("I was going to say"),)))
                raise


class RemembersOneItem(Wrong):
    breaks = "what is put is read"

    class Talk(Wrong.Talk):
        def put(self, item: Item, after: str | None = None) -> None:
            self.inner.history.clear()
            self.inner.put(item)


class CannotCut(Wrong):
    breaks = "what was not heard is forgotten"

    class Talk(Wrong.Talk):
        def cut(self, item_id: str, end_ms: int, text: str) -> None:
            """It was said, so it was heard."""


class CannotDrop(Wrong):
    breaks = "what is dropped is forgotten"

    class Talk(Wrong.Talk):
        def drop(self, item_id: str) -> None:
            """It was said."""


class IsParticularAboutIds(Wrong):
    breaks = "unknown ids are passed over"

    class Talk(Wrong.Talk):
        def drop(self, item_id: str) -> None:
            del {item.id: item for item in self.inner.history}[item_id]


class RemembersAsides(Wrong):
    breaks = "out of band leaves no trace"

    class Talk(Wrong.Talk):
        async def events(self, ask: Ask) -> AsyncIterator[ReplyEvent]:
            async for event in super().events(ask):
                yield event
            if not ask.keep:
                self.inner.put(Item("item_aside", "assistant", (Part("an aside"),)))


class AdmitsBeforeItAnswers(Wrong):
    breaks = "what leaves no room is not admitted"

    class Talk(Wrong.Talk):
        async def admit(self, ask: Ask) -> None:
            self.inner.put(Item("item_admitted", "system", (Part("admitted"),)))
            await self.inner.admit(ask)


class ForgetsResults(Wrong):
    breaks = "a late result is read"

    class Talk(Wrong.Talk):
        def put(self, item: Item, after: str | None = None) -> None:
            if item.role != "result":
                self.inner.put(item, after)


class BelievesGuesses(Wrong):
    breaks = "a guess leaves no trace"

    class Talk(Wrong.Talk):
        def expect(self, item: Item | None) -> None:
            if item is not None:
                self.inner.put(item)


class ShortensUnasked(Wrong):
    breaks = "too long a history is refused where none of it may go"

    class Talk(Wrong.Talk):
        def reply(self, ask: Ask) -> Any:
            allowed = structs.replace(ask.truncation, allowed=True)
            return super().reply(structs.replace(ask, truncation=allowed))


class KeepsItsPlaces(Wrong):
    breaks = "a place is given back"

    class Talk(Wrong.Talk):
        async def aclose(self) -> None:
            """Later."""


class GivesBackTwice(Wrong):
    breaks = "closing twice is closing once"

    class Talk(Wrong.Talk):
        async def aclose(self) -> None:
            self.inner._open = True
            await self.inner.aclose()


class LeavesTasks(Wrong):
    breaks = "a closed talk leaves no task"

    def __init__(self) -> None:
        super().__init__()
        self.tasks: list[asyncio.Task[bool]] = []

    async def open(self, ask: Ask) -> WrongTalk:
        self.tasks.append(asyncio.create_task(asyncio.Event().wait(), name="forgotten"))
        return await super().open(ask)

    async def aclose(self) -> None:
        for task in self.tasks:
            task.cancel()


class OneReplyAtATime(Wrong):
    breaks = "replies run side by side"

    class Talk(Wrong.Talk):
        running = False

        async def events(self, ask: Ask) -> AsyncIterator[ReplyEvent]:
            assert not self.running, "busy with another reply"
            self.running = True
            try:
                async for event in super().events(ask):
                    yield event
            finally:
                self.running = False


class RunsAhead(Wrong):
    breaks = "a reader that stops stops the engine"
    script = Script(replies=(ScriptedReply(text="word " * 200),), places=5, word_ms=100)

    class Talk(Wrong.Talk):
        async def events(self, ask: Ask) -> AsyncIterator[ReplyEvent]:
            queue: asyncio.Queue[ReplyEvent | None] = asyncio.Queue()

            async def work() -> None:
                async for event in super(RunsAhead.Talk, self).events(ask):
                    queue.put_nowait(event)
                queue.put_nowait(None)

            task = asyncio.create_task(work())
            try:
                while (event := await queue.get()) is not None:
                    yield event
            finally:
                task.cancel()


BROKEN: tuple[type[Wrong], ...] = tuple(Wrong.__subclasses__())
