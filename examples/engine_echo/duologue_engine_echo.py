"""An engine that plays back what you said: it hears and speaks, and understands nothing."""

from collections.abc import AsyncIterator

import msgspec

from duologue.core.talk import Ask, Began, Done, Item, ReplyEvent, Say
from duologue.engines.log_talk import LogTalk
from duologue.engines.plugin import EngineSetup
from duologue.runtime.ports import Traits

TOKEN_BYTES = 2400  # a token of sound is 50 ms of it: 24 kHz, mono, 16 bit


class Settings(msgspec.Struct, forbid_unknown_fields=True):
    """What may stand in `engine_config`."""

    says: str = "(your own voice)"


async def make(setup: EngineSetup) -> "EchoEngine":
    """What the entry point names."""
    return EchoEngine(setup.read(Settings).says)


class EchoEngine:
    """One for the whole server: here stand the weights, or the connection to them."""

    traits = Traits(hears=True, speaks=True, tools=False, voices=("yours",), context_tokens=20_000)

    def __init__(self, says: str = Settings().says) -> None:
        self.says = says

    async def open(self, ask: Ask) -> "EchoTalk":
        return EchoTalk(self)

    async def aclose(self) -> None:
        """Nothing to free."""


class EchoTalk(LogTalk):
    """One conversation: `LogTalk` keeps its history."""

    def __init__(self, engine: EchoEngine) -> None:
        super().__init__()
        self._engine = engine

    async def reply(self, ask: Ask) -> AsyncIterator[ReplyEvent]:
        items = self.read(ask, self._engine.traits.context_tokens, tokens)
        yield Began(input={"audio": sum(map(tokens, items))})
        last = [item for item in items if item.role == "user"][-1:]
        parts = [part for item in last for part in item.parts]
        text = " ".join(part.text for part in parts if part.text) or self._engine.says
        sound = b"".join(part.pcm for part in parts if part.pcm) if ask.speak else b""
        yield Say(text, tokens=1)
        heard = sound if ask.max_tokens is None else sound[: (ask.max_tokens - 1) * TOKEN_BYTES]
        for start in range(0, len(heard), TOKEN_BYTES):
            # Closing the iterator interrupts: it stops here, and nothing is left to clean up.
            yield Say(pcm=heard[start : start + TOKEN_BYTES], voiced=len(text), tokens=1)
        yield Done("completed" if heard == sound else "length")


def tokens(item: Item) -> int:
    """What an item costs: its sound, and its words where it has no sound."""
    words = sum(len((part.text or "").split()) for part in item.parts if not part.pcm)
    return words + sum(-(-len(part.pcm or b"") // TOKEN_BYTES) for part in item.parts)
