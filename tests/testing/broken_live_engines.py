"""Full-duplex engines that each break one rule: the scripted one, spoilt in one place."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, ClassVar

from msgspec import structs

from duologue.core.talk import Ask, Began, Call, Done, Floor, Item, LiveEvent, ReplyEvent, Say
from duologue.engines.scripted import Script, ScriptedLiveEngine, ScriptedLiveTalk, ScriptedReply
from duologue.runtime.ports import Talk


class WrongLive(ScriptedLiveEngine):
    """The scripted engine with nothing wrong yet; `breaks` names a rule.

    `answer_s` is how long a rule waits for an answer (`Case.answer_s`).
    """

    breaks = ""
    answer_s = 10.0
    script = Script(replies=(ScriptedReply(text="There are {heard}"),), word_ms=41)

    def __init__(self) -> None:
        super().__init__(self.script)

    def talk(self) -> Talk:
        return self.Talk(self)

    class Talk(ScriptedLiveTalk):
        """Hands everything on."""

        async def live(self, ask: Ask) -> AsyncIterator[LiveEvent]:
            async with aclosing(super().live(ask)) as events:  # type: ignore[type-var]
                async for event in events:  # type: ignore[attr-defined]
                    for spoilt in self.spoil(event):
                        yield spoilt

        def spoil(self, event: LiveEvent) -> list[LiveEvent]:
            return [event]


class StartsTwice(WrongLive):
    breaks = "floor events come in pairs"

    class Talk(WrongLive.Talk):
        def spoil(self, event: LiveEvent) -> list[LiveEvent]:
            return [event, event] if isinstance(event, Floor) else [event]


class HearsTheFuture(WrongLive):
    breaks = "floor events come in pairs"

    class Talk(WrongLive.Talk):
        def spoil(self, event: LiveEvent) -> list[LiveEvent]:
            if isinstance(event, Floor):
                return [structs.replace(event, at_ms=event.at_ms + 3_600_000)]
            return [event]


class SpeaksUnannounced(WrongLive):
    breaks = "what is said is in a reply"

    class Talk(WrongLive.Talk):
        def spoil(self, event: LiveEvent) -> list[LiveEvent]:
            silent = isinstance(event, Floor) and event.kind == "reply_starts"
            return [] if silent else [event]


class EndsTwice(WrongLive):
    breaks = "what is said is in a reply"

    class Talk(WrongLive.Talk):
        def spoil(self, event: LiveEvent) -> list[LiveEvent]:
            return [event, Done()] if isinstance(event, Done) else [event]


class YieldsTwice(WrongLive):
    breaks = "a reply that is hushed ends once"

    class Talk(WrongLive.Talk):
        hushed = False

        def hush(self) -> None:
            self.hushed = True
            super().hush()

        def spoil(self, event: LiveEvent) -> list[LiveEvent]:
            yields = self.hushed and isinstance(event, Floor) and event.kind == "yields"
            return [event, event] if yields else [event]


class HalfSamples(WrongLive):
    breaks = "what is said can be played"

    class Talk(WrongLive.Talk):
        def spoil(self, event: LiveEvent) -> list[LiveEvent]:
            if isinstance(event, Say):
                return [structs.replace(event, pcm=event.pcm[:-1])]
            return [event]


class VoicesWhatItHasNotSaid(WrongLive):
    breaks = "what is said can be played"

    class Talk(WrongLive.Talk):
        def spoil(self, event: LiveEvent) -> list[LiveEvent]:
            return [structs.replace(event, voiced=99)] if isinstance(event, Say) else [event]


class ListensOnce(WrongLive):
    breaks = "live can be closed and begun again"

    class Talk(WrongLive.Talk):
        begun = False

        async def live(self, ask: Ask) -> AsyncIterator[LiveEvent]:
            if self.begun:
                raise RuntimeError("live was begun before")
            self.begun = True
            async for event in super().live(ask):
                yield event


class ClosesSlowly(WrongLive):
    breaks = "live can be closed and begun again"

    class Talk(WrongLive.Talk):
        async def live(self, ask: Ask) -> AsyncIterator[LiveEvent]:
            try:
                async for event in super().live(ask):
                    yield event
            finally:
                await asyncio.sleep(1)


class OutlivesItsTalk(WrongLive):
    breaks = "live ends with its talk"

    class Talk(WrongLive.Talk):
        async def live(self, ask: Ask) -> AsyncIterator[LiveEvent]:
            async for event in super().live(ask):
                yield event
            await asyncio.Event().wait()


class LeavesATask(WrongLive):
    breaks = "live ends with its talk"
    left: ClassVar[list[asyncio.Task[Any]]] = []

    class Talk(WrongLive.Talk):
        async def live(self, ask: Ask) -> AsyncIterator[LiveEvent]:
            LeavesATask.left.append(asyncio.create_task(asyncio.Event().wait()))
            async for event in super().live(ask):
                yield event


class KeepsAllSound(WrongLive):
    breaks = "what waits to be heard is bounded"

    class Talk(WrongLive.Talk):
        def hear(self, pcm: bytes) -> None:
            self._waiting.extend(self._windows.push(pcm))


class CutsOnlyWhatItKnows(WrongLive):
    breaks = "what is cut or dropped ends nothing"

    class Talk(WrongLive.Talk):
        def cut(self, item_id: str, end_ms: int, text: str) -> None:
            next(item for item in self.history if item.id == item_id)
            super().cut(item_id, end_ms, text)


class EndsWhenItShallForget(WrongLive):
    breaks = "what is cut or dropped ends nothing"

    class Talk(WrongLive.Talk):
        def drop(self, item_id: str) -> None:
            if any(item.id == item_id for item in self.history):
                self._open = False
            super().drop(item_id)


class DeafOnceItShallForget(WrongLive):
    breaks = "what is cut or dropped ends nothing"
    answer_s = 2.0  # which it lets pass without a word

    class Talk(WrongLive.Talk):
        is_deaf = False

        def drop(self, item_id: str) -> None:
            self.is_deaf |= any(item.id == item_id for item in self.history)
            super().drop(item_id)

        def spoil(self, event: LiveEvent) -> list[LiveEvent]:
            return [] if self.is_deaf else [event]


class CachesMoreThanItReads(WrongLive):
    breaks = "what a reply counts adds up"

    class Talk(WrongLive.Talk):
        def spoil(self, event: LiveEvent) -> list[LiveEvent]:
            return [Began({"text": 3}, {"text": 4}) if isinstance(event, Began) else event]


class TakesTokensBack(WrongLive):
    breaks = "what a reply counts adds up"

    class Talk(WrongLive.Talk):
        def spoil(self, event: LiveEvent) -> list[LiveEvent]:
            return [structs.replace(event, tokens=-1) if isinstance(event, Done) else event]


class CallsNamelessly(WrongLive):
    breaks = "what it calls is whole and may be answered"

    class Talk(WrongLive.Talk):
        def spoil(self, event: LiveEvent) -> list[LiveEvent]:
            return [structs.replace(event, name="") if isinstance(event, Call) else event]


class CallsBackwards(WrongLive):
    breaks = "what it calls is whole and may be answered"

    class Talk(WrongLive.Talk):
        def spoil(self, event: LiveEvent) -> list[LiveEvent]:
            if isinstance(event, Call):
                event = structs.replace(event, index=1)
                return [event, structs.replace(event, index=0)] if event.final else [event]
            return [event]


class CallsWithHalfAnObject(WrongLive):
    breaks = "what it calls is whole and may be answered"

    class Talk(WrongLive.Talk):
        def spoil(self, event: LiveEvent) -> list[LiveEvent]:
            return [
                structs.replace(event, delta='{"city"')
                if isinstance(event, Call) and event.name
                else event
            ]


class LeavesItsCallsOpen(WrongLive):
    breaks = "what it calls is whole and may be answered"

    class Talk(WrongLive.Talk):
        def spoil(self, event: LiveEvent) -> list[LiveEvent]:
            return [] if isinstance(event, Call) and event.final else [event]


class EndsAtAResult(WrongLive):
    breaks = "what it calls is whole and may be answered"

    class Talk(WrongLive.Talk):
        def put(self, item: Item, after: str | None = None) -> None:
            super().put(item, after)
            if item.role == "result":
                self._open = False


class IsNudgedOnce(WrongLive):
    breaks = "nudged or told what was played it goes on"

    class Talk(WrongLive.Talk):
        def nudge(self, ask: Ask) -> None:
            if self._is_nudged:
                raise RuntimeError("it was nudged before")
            super().nudge(ask)


class PlaysOnlyWhatItKnows(WrongLive):
    breaks = "nudged or told what was played it goes on"

    class Talk(WrongLive.Talk):
        def played(self, item_id: str, samples: int) -> None:
            next(item for item in self.history if item.id == item_id)


class BeginsAnewWhenNudged(WrongLive):
    breaks = "nudged or told what was played it goes on"

    class Talk(WrongLive.Talk):
        def nudge(self, ask: Ask) -> None:
            self._reply = None
            super().nudge(ask)


class RefusesInItsOwnWay(WrongLive):
    breaks = "what is asked beside it is answered or refused"

    class Talk(WrongLive.Talk):
        async def reply(self, ask: Ask) -> AsyncIterator[ReplyEvent]:
            raise NotImplementedError
            yield


class AnswersBesideAndEnds(WrongLive):
    breaks = "what is asked beside it is answered or refused"

    class Talk(WrongLive.Talk):
        async def reply(self, ask: Ask) -> AsyncIterator[ReplyEvent]:
            self._open = False
            async for event in super().reply(ask):
                yield event


class SaysNothing(WrongLive):
    """Not broken: a model need not answer."""

    class Talk(WrongLive.Talk):
        def put(self, item: Item, after: str | None = None) -> None:
            """No words, no answer."""

        def spoil(self, event: LiveEvent) -> list[LiveEvent]:
            is_turn = isinstance(event, Floor) and event.kind.startswith("user")
            return [event] if is_turn else []


class CallsNothing(WrongLive):
    """Not broken, either."""

    def __init__(self) -> None:
        super().__init__()
        self.traits = structs.replace(self.traits, tools=False)


BROKEN_LIVE = [kind for kind in WrongLive.__subclasses__() if kind.breaks]
