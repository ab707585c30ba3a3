"""A scripted front that keeps what it is asked, and the server behind it: `ChatStandIn`."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

from duologue.core.talk import Ask, Began, Call, Done, Item, Part, ReplyEvent, Say
from duologue.engines.delegation.engine import DelegatingEngine
from duologue.engines.delegation.heard import hearing
from duologue.engines.delegation.reply import AGAIN_S
from duologue.engines.delegation.talk import DelegatingTalk
from duologue.engines.remote.chat_mind import ChatMind
from duologue.engines.scripted import (
    Script,
    ScriptedCall,
    ScriptedEngine,
    ScriptedReply,
    ScriptedTranscriber,
)
from duologue.engines.scripted import ScriptedTalk as Talk
from duologue.remote.server import RemoteServer
from duologue.testing.chat_stand_in import Answer, ChatStandIn, standing_in

KEY = "sk-delegate-secret"
QUESTION = "How many ounces are there in a pound?"
ARGUMENTS = json.dumps({"question": "Ounces in a pound?"})
EXPERT_SAYS = "Sixteen of them."
USAGE = {"prompt_tokens": 100, "completion_tokens": 9, "total_tokens": 109}

FAILED = ScriptedReply(when="could not find it out", text="Sorry, I cannot find out.")
ANSWERED = ScriptedReply(when="Sixteen", text="There are sixteen.")
ASKS = ScriptedCall("ask_expert", ARGUMENTS)
ASKING = ScriptedReply(when="ounces", text="Let me look.", calls=(ASKS,))
ASKING_AT_ONCE = ScriptedReply(when="How many ounces", calls=(ASKS,))
ASIDE = ScriptedReply(when="Ounces in", text="One moment.")
PLAIN = ScriptedReply(text="You said: {heard}")


def said(text: str = EXPERT_SAYS, **more: Any) -> Answer:
    """An answer in words alone."""
    return Answer(text=text, sound_ms=0, **{"usage": USAGE, **more})


def user(text: str = QUESTION, item_id: str = "user") -> Item:
    return Item(item_id, "user", (Part(text),))


class FrontTalk(Talk):
    """Keeps its asks."""

    def __init__(self, engine: "Front") -> None:
        super().__init__(engine)
        self.asks: list[Ask] = []
        self.configured: list[Ask] = []

    def configure(self, ask: Ask) -> None:
        self.configured.append(ask)

    def reply(self, ask: Ask) -> AsyncIterator[ReplyEvent]:
        self.asks.append(ask)
        return super().reply(ask)

    @property
    def told(self) -> list[str]:
        """The history: role and words of each item."""
        return [
            f"call {item.call.name}" if item.call else f"{item.role}: {item.parts[0].text}"
            for item in self.history
        ]


class Front(ScriptedEngine):
    """The engine in front; its last talk is `talk`."""

    def __init__(self, *replies: ScriptedReply, **script: Any) -> None:
        super().__init__(Script(replies=(*replies, ANSWERED, FAILED, ASIDE, PLAIN), **script))

    async def open(self, ask: Ask) -> FrontTalk:
        await super().open(ask)
        self.talk = FrontTalk(self)
        return self.talk


def expert_at(url: str, *, answer_s: float = 30.0, context_tokens: int = 4096) -> ChatMind:
    server = RemoteServer(f"{url}#big", "delegate", "the expert's server", KEY, answer_s=answer_s)
    return ChatMind(server, context_tokens=context_tokens)


@asynccontextmanager
async def delegating(
    front: Front, url: str, *, again_s: float = AGAIN_S, **expert: Any
) -> AsyncIterator[DelegatingTalk]:
    """A talk with `front` that may ask the server at `url`."""
    hear = hearing(ScriptedTranscriber(front))
    engine = DelegatingEngine(front, expert_at(url, **expert), hear, again_s=again_s)
    talk = await engine.open(Ask())
    try:
        yield cast(DelegatingTalk, talk)
    finally:
        await talk.aclose()
        await engine.aclose()


@asynccontextmanager
async def asked(
    front: Front, *answers: Answer, **expert: Any
) -> AsyncIterator[tuple[DelegatingTalk, ChatStandIn]]:
    """The same with a stand-in that gives these answers; the user has asked already."""
    stand_in = ChatStandIn(*(answers or (said(),)))
    async with standing_in(stand_in) as url, delegating(front, url, **expert) as talk:
        talk.put(user())
        yield talk, stand_in


async def replied(talk: DelegatingTalk, ask: Ask | None = None) -> list[ReplyEvent]:
    return [event async for event in talk.reply(ask or Ask())]


def text(events: Sequence[ReplyEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, Say))


def calls(events: Sequence[ReplyEvent]) -> list[Call]:
    return [event for event in events if isinstance(event, Call)]


def tokens(events: Sequence[ReplyEvent]) -> int:
    return sum(event.tokens for event in events if not isinstance(event, Began))


def read(events: Sequence[ReplyEvent]) -> Began:
    """The last word on what was read."""
    return [event for event in events if isinstance(event, Began)][-1]


def done(events: Sequence[ReplyEvent]) -> Done:
    assert isinstance(events[-1], Done), events
    return events[-1]
