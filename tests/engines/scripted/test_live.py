"""The scripted engine as a full-duplex model: what it decides from sound, and what it says when."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from typing import cast

import pytest

from duologue.audio import pcm as audio
from duologue.core.talk import Ask, Began, Call, Done, Floor, Item, LiveEvent, Part, Say, Tool
from duologue.engines.scripted import (
    Script,
    ScriptedCall,
    ScriptedLiveEngine,
    ScriptedLiveTalk,
    ScriptedReply,
    tone,
)
from waiting import started

SCRIPT = Script(
    replies=(
        ScriptedReply(when="blue", text="It is blue."),
        ScriptedReply(when="colour", calls=(ScriptedCall("look"),)),
        ScriptedReply(text="You said: {heard}"),
    ),
    word_ms=60,
    duplex=True,
)


@asynccontextmanager
async def talking(
    script: Script = SCRIPT, ask: Ask | None = None
) -> AsyncGenerator[tuple[ScriptedLiveTalk, AsyncGenerator[LiveEvent, None]]]:
    talk = cast(ScriptedLiveTalk, await ScriptedLiveEngine(script).open(Ask()))
    events = cast("AsyncGenerator[LiveEvent, None]", talk.live(ask or Ask()))
    async with asyncio.timeout(10), aclosing(events):
        yield talk, events
    await talk.aclose()


async def until(events: AsyncGenerator[LiveEvent, None], kind: type | str) -> list[LiveEvent]:
    """The events up to one of a class, or a floor event of a kind."""
    seen: list[LiveEvent] = []
    async for event in events:
        seen.append(event)
        if event.kind == kind if isinstance(event, Floor) else type(event) is kind:
            return seen
    raise AssertionError(f"no {kind} among {seen}")


def spoken(name: str) -> Item:
    return Item(name, "user", (Part(pcm=tone(100), media_id=name),))


async def test_it_answers_when_the_user_has_stopped() -> None:
    async with talking() as (talk, events):
        talk.hear(bytes(9600) + tone(500) + bytes(48_000))
        starts, stops = await until(events, "user_stops")
        assert starts == Floor("user_starts", 192)  # the window that the tone begins in
        assert isinstance(stops, Floor) and 672 <= stops.at_ms <= 736
        talk.put(spoken("i1"))
        seen = await until(events, Done)
        assert isinstance(seen[0], Floor) and seen[0].kind == "reply_starts"
        assert seen[1] == Began({"text": 2}, {"text": 0})
        says = [event for event in seen if isinstance(event, Say)]
        assert "".join(say.text for say in says) == "You said: Hello there."
        assert sum(audio.samples(say.pcm) for say in says) == 4 * audio.samples_of_ms(60)
        assert says[-1].voiced == len("You said: Hello there.")


async def test_it_yields_when_the_user_is_loud() -> None:
    script = Script(replies=(ScriptedReply(text=" ".join(["long"] * 500)),), word_ms=240)
    async with talking(script) as (talk, events):
        talk.nudge(Ask())
        await until(events, Say)
        talk.hear(tone(100))
        floor = [event for event in await until(events, "yields") if isinstance(event, Floor)]
        assert [event.kind for event in floor] == ["user_starts", "yields"]
        talk.hear(bytes(48_000))
        assert await until(events, "user_stops") == [Floor("user_stops", 128)]


async def test_it_yields_when_it_is_hushed_and_answers_the_next_turn() -> None:
    async with talking() as (talk, events):
        talk.hush()  # nothing to stop
        talk.nudge(Ask())
        seen = await until(events, Began)
        talk.hush()
        (yields,) = (event for event in await until(events, "yields") if isinstance(event, Floor))
        assert yields.kind == "yields" and len(seen) == 2
        talk.nudge(Ask())
        talk.hush()  # it has not begun, and will not
        talk.hear(tone(500) + bytes(48_000))
        kinds = [e.kind for e in await until(events, "reply_starts") if isinstance(e, Floor)]
        assert kinds == ["user_starts", "user_stops", "reply_starts"]


async def test_it_calls_a_function_and_talks_on_with_the_result() -> None:
    ask = Ask(tools=(Tool("look"),))
    async with talking(ask=ask) as (talk, events):
        talk.put(Item("i1", "user", (Part("Which colour?"),)))
        talk.nudge(ask)
        seen = await until(events, Done)
        assert [event.name for event in seen if isinstance(event, Call)] == ["look", ""]
        talk.put(Item("i2", "result", (Part("blue"),), call_id="c"))
        said = [event.text for event in await until(events, Done) if isinstance(event, Say)]
        assert "".join(said) == "It is blue."


async def test_it_speaks_in_real_time() -> None:
    clock = asyncio.get_running_loop().time
    script = Script(replies=(ScriptedReply(text="one two three four five"),), word_ms=160)
    async with talking(script) as (talk, events):
        talk.nudge(Ask())
        began = clock()
        await until(events, Done)
        assert clock() - began >= 5 * 0.16


async def test_what_it_cannot_keep_up_with_falls_and_counts(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with talking() as (talk, events):
        for _ in range(90):
            talk.hear(bytes(48_000))
        talk.hear(tone(100))
        (starts,) = await until(events, "user_starts")
        assert isinstance(starts, Floor) and abs(starts.at_ms - 90_000) <= 32
        assert "falls behind" in caplog.text


async def test_live_ends_with_the_talk() -> None:
    engine = ScriptedLiveEngine(SCRIPT)
    talk = cast(ScriptedLiveTalk, await engine.open(Ask()))
    ended = await started(_all(talk))
    await talk.aclose()
    async with asyncio.timeout(1):
        assert await ended == []
    assert engine.open_talks == 0


async def _all(talk: ScriptedLiveTalk) -> list[LiveEvent]:
    return [event async for event in talk.live(Ask())]


async def test_a_nudge_while_it_speaks_is_passed_over() -> None:
    async with talking() as (talk, events):
        talk.nudge(Ask())
        await until(events, Say)
        talk.nudge(Ask())
        await until(events, Done)
        talk.hear(tone(100))
        assert await until(events, "user_starts") == [Floor("user_starts", 0)]
