"""The scripted engine: what it reads and says, what it drops, and in what pieces it speaks."""

from contextlib import aclosing

import pytest

from duologue.core.talk import Ask, Began, Item, Part, ReplyEvent, Say, Tool, Truncation
from duologue.engines.scripted import Script, ScriptedCall, ScriptedEngine, ScriptedReply
from duologue.errors import EngineFault
from duologue.runtime.ports import Talk

SMALL = Script(
    replies=(ScriptedReply(text="Yes it is so"),), context_tokens=40, max_output_tokens=10
)


def typed(number: int, words: int = 5) -> Item:
    return Item(f"i{number}", "user", (Part(" ".join(["word"] * words)),))


async def replied(talk: Talk, ask: Ask | None = None) -> tuple[Began, list[ReplyEvent]]:
    first, *rest = [event async for event in talk.reply(ask or Ask())]
    assert isinstance(first, Began)
    return first, rest


async def test_what_it_reads_comes_first_and_the_beginning_is_known_the_next_time() -> None:
    talk = await ScriptedEngine(SMALL).open(Ask())
    talk.put(typed(1))
    began, says = await replied(talk, Ask(instructions="Be very kind"))
    assert began == Began({"text": 8}, {"text": 0})
    assert [event.tokens for event in says] == [1, 1, 1, 1, 0]  # type: ignore[union-attr]
    talk.put(typed(2))
    again, _ = await replied(talk, Ask(instructions="Be very kind"))
    assert again == Began({"text": 13}, {"text": 8})
    beside, _ = await replied(talk, Ask(context=(), keep=False))
    assert beside == Began({"text": 0}, {"text": 0})


async def test_a_reply_that_is_closed_early_has_said_what_it_reads() -> None:
    talk = await ScriptedEngine(SMALL).open(Ask())
    talk.put(typed(1))
    async with aclosing(talk.reply(Ask())) as events:  # type: ignore[type-var]
        assert isinstance(await anext(events), Began)  # type: ignore[arg-type]
        assert isinstance(await anext(events), Say)  # type: ignore[arg-type]


async def test_a_long_history_is_cut_or_refused_as_the_ask_says() -> None:
    talk = await ScriptedEngine(SMALL).open(Ask())
    for number in range(6):
        talk.put(typed(number))
    with pytest.raises(EngineFault) as fault:
        talk.put(typed(7))
        await replied(talk, Ask(truncation=Truncation(allowed=False)))
    assert fault.value.code == "context_length_exceeded"
    began, _ = await replied(talk, Ask(truncation=Truncation(kept_share=0.5)))
    assert began.input == {"text": 15}


async def test_one_call_at_most_where_calls_in_parallel_are_forbidden() -> None:
    script = Script(replies=(ScriptedReply(calls=(ScriptedCall("f"), ScriptedCall("g"))),))
    talk = await ScriptedEngine(script).open(Ask())
    tools = (Tool("f"), Tool("g"))
    counts = []
    for parallel in (True, False):
        _, events = await replied(talk, Ask(tools=tools, parallel_calls=parallel))
        counts.append(len(events))
    assert counts == [5, 3]


async def test_frames_are_the_same_sound_in_pieces_with_the_words_at_their_beginnings() -> None:
    replies = (ScriptedReply(text="Yes it is", frame_ms=20),)
    engine = ScriptedEngine(Script(replies=replies, word_ms=50))
    _, events = await replied(await engine.open(Ask()))
    says = [event for event in events if isinstance(event, Say)]
    assert [say.text for say in says] == ["Yes", "", "", " it", "", "", " is", "", ""]
    assert [len(say.pcm) for say in says[:3]] == [960, 960, 480]
    assert b"".join(say.pcm for say in says) == engine.tone * 3
    assert sum(say.tokens for say in says) == 3 and says[-1].voiced == len("Yes it is")
