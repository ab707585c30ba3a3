"""Full-duplex engines that each break one rule: the scripted one, spoilt in one place."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, ClassVar

from msgspec import structs

from duologue.core.talk import Ask, Done, Floor, Item, LiveEvent, Say
from duologue.engines.scripted import Script, ScriptedLiveEngine, ScriptedLiveTalk, ScriptedReply
from duologue.runtime.ports import Talk


class WrongLive(ScriptedLiveEngine):
    """The scripted engine with nothing wrong yet; `breaks` names a rule."""

    breaks = ""
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


class SaysNothing(WrongLive):
    """Not broken: a model need not answer."""

    class Talk(WrongLive.Talk):
        def put(self, item: Item, after: str | None = None) -> None:
            """No words, no answer."""

        def spoil(self, event: LiveEvent) -> list[LiveEvent]:
            is_turn = isinstance(event, Floor) and event.kind.startswith("user")
            return [event] if is_turn else []


BROKEN_LIVE = [kind for kind in WrongLive.__subclasses__() if kind.breaks]
