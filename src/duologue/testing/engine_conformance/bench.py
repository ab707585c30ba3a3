"""What the rules stand on: what an engine is asked, and its replies, read as the server does."""

import asyncio
import wave
from collections.abc import AsyncIterator, Callable, Sequence, Sized
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from typing import TYPE_CHECKING, TypeVar, cast

from duologue.audio import pcm as audio
from duologue.core.talk import Ask, Began, Call, Done, Item, Part, ReplyEvent, Say, Tool
from duologue.runtime.ports import Engine, Talk, Traits

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

S = TypeVar("S", bound=Sized)

MODALITIES = {"text", "audio", "image"}

QUESTION_MS = 2400
"""Of the recorded question: what a user's turn lasts."""


class Broken(AssertionError):
    """The engine breaks a rule; the message says what was expected and what came."""


def _question() -> bytes:
    """The beginning of a recorded question."""
    with files("duologue.data").joinpath("question.wav").open("rb") as file, wave.open(file) as wav:
        pcm: bytes = wav.readframes(audio.samples_of_ms(QUESTION_MS))
        return pcm


@dataclass(frozen=True)
class Case:
    """What an engine is asked, and how long it may take.

    `pcm` is what the user says, 24 kHz s16le; `words` a typed question. `ask` is what a reply
    shall be like; `long_ask` shall give the longest reply that can be had. A reply must be
    interrupted within `prompt_s`, and every rule kept within `patience_s`. At most `points`
    of a reply's events are tried for an interruption. `places`: so many talks are tried at
    once. A reader that pauses for `pause_s` may find `ahead_ms` of sound ready, no more.
    `counts_late`: what a reply reads is known only at its end, as of many remote models; the
    last `Began` of a reply then counts. A full-duplex model hears the user at `live_pace` times
    the pace of speech, and may answer `answer_s` later.
    """

    pcm: bytes = field(default_factory=_question, repr=False)
    words: str = "How many ounces are there in a pound of bread?"
    ask: Ask = Ask(instructions="Answer in one short sentence.", max_tokens=48)
    long_ask: Ask = Ask(instructions="Tell a very long story, without an end.")
    prompt_s: float = 2.0
    patience_s: float = 60.0
    points: int = 24
    places: int = 32
    pause_s: float = 0.3
    ahead_ms: int = 30_000
    counts_late: bool = False
    live_pace: float = 1.0
    answer_s: float = 2.0


@dataclass(frozen=True)
class Bench:
    """An engine and what it is asked."""

    engine: Engine
    case: Case

    @property
    def traits(self) -> Traits:
        return self.engine.traits

    @asynccontextmanager
    async def talk(self, *items: Item) -> AsyncIterator[Talk]:
        """A talk that was told `items`."""
        talk = await self.engine.open(self.case.ask)
        try:
            for item in items:
                talk.put(item)
            yield talk
        finally:
            await talk.aclose()

    async def reads(self, talk: Talk, ask: Ask) -> int:
        """The tokens that a reply says it reads. It is interrupted as soon as that is known."""
        total = 0
        async with closing(talk, ask) as reply:
            async for event in reply:
                if isinstance(event, Began):
                    total = sum(event.input.values())
                elif not self.case.counts_late:
                    break
        return total

    @property
    def spoken(self) -> Item:
        """A user's turn as sound."""
        return Item("item_spoken", "user", (Part(pcm=self.case.pcm, media_id="spoken"),))

    @property
    def typed(self) -> Item:
        """A user's turn as text."""
        return Item("item_typed", "user", (Part(text=self.case.words),))

    def answer(self, words: int) -> Item:
        """An assistant's turn as the core puts it, spoken or not: the words that were heard."""
        text = " ".join(["bread"] * words)
        return Item("item_answer", "assistant", (Part(text),))

    @property
    def tool(self) -> Tool:
        """A function that any engine with tools can call."""
        parameters = {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        }
        return Tool("get_weather", "The weather in a city.", parameters)


async def read(talk: Talk, ask: Ask) -> list[ReplyEvent]:
    """A whole reply; raises what the engine raises."""
    async with closing(talk, ask) as reply:
        return [event async for event in reply]


def closing(talk: Talk, ask: Ask) -> "aclosing[AsyncGenerator[ReplyEvent, None]]":
    """A reply that is closed behind the block, as the server does."""
    return aclosing(cast("AsyncGenerator[ReplyEvent, None]", talk.reply(ask)))


async def settled(left: Callable[[], S], within_s: float) -> S:
    """What `left` gives once that is empty, or at the latest after so long."""
    loop = asyncio.get_running_loop()
    end = loop.time() + within_s
    while (now := left()) and loop.time() < end:  # noqa: ASYNC110 - many things end it
        await asyncio.sleep(0.005)
    return now


def expect(is_so: object, message: str) -> None:
    """The rule, in the words of what would break it."""
    if not is_so:
        raise Broken(message)


def says(events: Sequence[ReplyEvent]) -> list[Say]:
    """What is said of a reply."""
    return [event for event in events if isinstance(event, Say)]


def short(events: Sequence[ReplyEvent]) -> str:
    """The types of a reply's events, for a message."""
    names = [type(event).__name__ for event in events]
    return " ".join(names if len(names) < 20 else [*names[:9], "…", *names[-9:]]) or "nothing"


def calls(events: Sequence[ReplyEvent]) -> list[Call]:
    """The pieces of calls of a reply."""
    return [event for event in events if isinstance(event, Call)]


def done(events: Sequence[ReplyEvent]) -> Done:
    """The end of a reply."""
    expect(events and isinstance(events[-1], Done), f"no Done at the end: {short(events)}")
    return cast(Done, events[-1])


def check_counts(events: Sequence[ReplyEvent]) -> None:
    """No count is below 0, and `cached` is within `input`."""
    for event in events:
        if not isinstance(event, Began):
            expect(event.tokens >= 0, "tokens below 0")
            continue
        for name, counts in (("input", event.input), ("cached", event.cached)):
            expect(set(counts) <= MODALITIES, f"{name} has other modalities: {set(counts)}")
            expect(min(counts.values(), default=0) >= 0, f"{name} below 0: {dict(counts)}")
        for modality, count in event.cached.items():
            most = event.input.get(modality, 0)
            expect(count <= most, f"{count} {modality} tokens cached of {most} read")
