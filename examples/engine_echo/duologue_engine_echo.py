"""An engine that plays back what you said: it hears and speaks, and understands nothing."""

from collections.abc import AsyncIterator

import msgspec

from duologue.core.talk import Ask, Began, Done, Item, Part, ReplyEvent, Say
from duologue.engines.plugin import EngineSetup
from duologue.engines.window import Window
from duologue.errors import EngineBusy
from duologue.runtime.ports import Traits

BYTES_PER_MS = 48  # 24 kHz, mono, 16 bit
TOKEN_BYTES = 50 * BYTES_PER_MS  # a token of sound is 50 ms of it


class Settings(msgspec.Struct, forbid_unknown_fields=True):
    """What may stand in `engine_config`."""

    says: str = "(your own voice)"


async def make(setup: EngineSetup) -> "EchoEngine":
    """What the entry point names."""
    return EchoEngine(setup.read(Settings).says, setup.max_sessions)


class EchoEngine:
    """One for the whole server: here stand the weights, or the connection to them."""

    traits = Traits(hears=True, speaks=True, tools=False, voices=("yours",), context_tokens=20_000)

    def __init__(self, says: str = Settings().says, places: int = 4) -> None:
        self.says = says
        self.free = places

    async def open(self, ask: Ask) -> "EchoTalk":
        if not self.free:
            raise EngineBusy("all places of the echo are taken")
        self.free -= 1
        return EchoTalk(self)

    async def aclose(self) -> None:
        """Nothing to free."""


class EchoTalk:
    """One conversation. Its history is exactly what was put, dropped and cut."""

    def __init__(self, engine: EchoEngine) -> None:
        self._engine = engine
        self._items: list[Item] = []
        self._window = Window()
        self._open = True

    def configure(self, ask: Ask) -> None:
        """Nothing to read ahead."""

    async def admit(self, ask: Ask) -> None:
        """Instructions are not read."""

    def expect(self, item: Item | None) -> None:
        """Nothing to begin early."""

    def put(self, item: Item, after: str | None = None) -> None:
        ids = [known.id for known in self._items]
        place = len(ids) if after is None else ids.index(after) + 1 if after else 0
        self._items.insert(place, item)

    def drop(self, item_id: str) -> None:
        self._items = [item for item in self._items if item.id != item_id]
        self._window.forget(item_id)

    def cut(self, item_id: str, end_ms: int, text: str) -> None:
        for index, item in enumerate(self._items):
            if item.id == item_id:
                pcm = b"".join(part.pcm or b"" for part in item.parts)[: end_ms * BYTES_PER_MS]
                self._items[index] = msgspec.structs.replace(item, parts=(Part(text, pcm),))

    async def reply(self, ask: Ask) -> AsyncIterator[ReplyEvent]:
        keeps = ask.keep and ask.context is None
        window = self._window if keeps else Window() if ask.context else self._window.copy()
        items = self._items if ask.context is None else list(ask.context)
        items = window.fit(items, self._engine.traits.context_tokens, ask.truncation, _tokens)
        yield Began(input={"audio": sum(map(_tokens, items))})
        last = [item for item in items if item.role == "user"][-1:]
        sound = b"".join(part.pcm or b"" for item in last for part in item.parts)
        text = " ".join(part.text for item in last for part in item.parts if part.text)
        yield Say(text or self._engine.says, tokens=1)
        count = 1
        while ask.speak and sound and count != (ask.max_tokens or 0):
            # Closing the iterator interrupts: it stops here, and nothing is left to clean up.
            yield Say(pcm=sound[:TOKEN_BYTES], voiced=len(text or self._engine.says), tokens=1)
            sound = sound[TOKEN_BYTES:]
            count += 1
        yield Done("length" if ask.speak and sound else "completed")

    async def aclose(self) -> None:
        self._engine.free += self._open
        self._open = False


def _tokens(item: Item) -> int:
    """What an item costs: its sound, and its words where it has no sound."""
    counts = (
        -(-len(part.pcm) // TOKEN_BYTES) if part.pcm else len((part.text or "").split())
        for part in item.parts
    )
    return sum(counts)
