import asyncio

import pytest

from duologue.core.talk import (
    Ask,
    Began,
    Call,
    CallPart,
    Done,
    Item,
    Part,
    ReplyEvent,
    Say,
    Tool,
    Truncation,
)
from duologue.core.usage import UsageCount
from duologue.engines.composed.limit import for_mind
from duologue.engines.light.prompt import COMMON
from duologue.errors import EngineFault
from engines.composed.engine_kit import Bench, began, bench, events, rest, text, tokens
from engines.composed.parts_kit import MS_PER_CHAR, said, spoken, typed

LONG = (
    "Sure, here it is. The first thing to know is this. The second one follows from it. "
    "Then there is a third one as well. And at the very end comes the last of them all."
)
TOOLS = (Tool("weather", "The weather.", {"type": "object", "properties": {}}),)
CALL = '{"name":"weather","arguments":{"city":"Rome"}}'


async def test_a_reply_says_each_word_with_its_sound_and_counts_what_is_voiced() -> None:
    async with bench(LONG) as b:
        b.talk.put(typed("u", "Go on."))
        first, *says, done = await events(b.talk.reply(Ask()))
        assert isinstance(first, Began) and first.input == {"text": len(b.prompts[0])}
    assert isinstance(done, Done) and tokens([*says, done]) == len(LONG)
    assert text(says) == LONG
    voiced = 0
    for say in says:
        assert isinstance(say, Say)
        voiced += len(say.text)
        assert say.voiced == voiced
        assert len(say.pcm) == 48 * MS_PER_CHAR * len(say.text)
    assert set(done.stages) == {"first_token", "first_clause"}


async def test_a_text_reply_has_no_sound() -> None:
    async with bench(LONG, Ask(speak=False)) as b:
        b.talk.put(typed("u", "Go on."))
        got = await events(b.talk.reply(Ask(speak=False)))
        assert b.mouth.clauses == []
    assert text(got) == LONG
    assert all(not e.pcm and not e.voiced for e in got if isinstance(e, Say))


async def test_a_text_reply_is_told_piece_by_piece_as_it_is_thought() -> None:
    async with bench(LONG, Ask(speak=False)) as b:
        b.talk.put(typed("u", "Go on."))
        says = [e for e in await events(b.talk.reply(Ask(speak=False))) if isinstance(e, Say)]
    # The scripted mind thinks a word at a time: nothing waits for the end of a clause.
    assert [say.text.strip() for say in says] == LONG.split()


async def test_words_leave_room_in_a_limit_for_their_sound() -> None:
    async with bench(LONG) as b:
        b.talk.put(typed("u", "Go on."))
        got = await events(b.talk.reply(Ask(max_tokens=60)))
    count = UsageCount(60, b.mind.context_tokens)  # as the core counts
    says = [event for event in got if isinstance(event, Say)]
    assert all(count.take(say) and count.send(say.pcm) == say.pcm for say in says)
    assert text(got) == LONG[:15].rstrip() and says[-1].voiced == len(text(got))


@pytest.mark.parametrize(
    ("ask", "tokens"),
    [
        (Ask(max_tokens=60), 15),
        (Ask(max_tokens=20), 8),
        (Ask(max_tokens=3), 3),
        (Ask(), None),
        (Ask(max_tokens=60, speak=False), 60),
        (Ask(max_tokens=60, tools=(Tool("look"),)), 60),
        (Ask(max_tokens=60, tools=(Tool("look"),), tool_choice="none"), 15),
    ],
)
def test_of_a_limit_the_mind_has_a_quarter_where_all_is_spoken(
    ask: Ask, tokens: int | None
) -> None:
    assert for_mind(ask).max_tokens == tokens


async def test_the_limit_of_tokens_is_told_from_the_end() -> None:
    async with bench(LONG) as b:
        b.talk.put(typed("u", "Go on."))
        got = await events(b.talk.reply(Ask(max_tokens=40)))
    assert text(got) == LONG[:10].rstrip()
    assert isinstance(got[-1], Done) and got[-1].reason == "length"


async def test_what_the_user_said_is_read_by_the_mind() -> None:
    async with bench() as b:
        b.talk.put(spoken("u", "What is the time?"))
        done = (await events(b.talk.reply(Ask())))[-1]
        assert "user\nWhat is the time?<|im_end|>" in b.prompts[0]
        assert b.ear.heard == ["u"]
    assert isinstance(done, Done)
    assert done.stages["transcript"] <= done.stages["first_token"] <= done.stages["first_clause"]


async def test_a_context_is_read_and_not_what_had_its_ids_before() -> None:
    async with bench() as b:
        b.talk.put(spoken("kept", "Hello."))
        apart = Ask(keep=False, context=(spoken("z", "First.", media_id="m1"),))
        await events(b.talk.reply(apart))
        items = (spoken("z", "Second.", media_id="m2"), spoken("kept", "Hello."))
        await events(b.talk.reply(Ask(keep=False, context=items)))
        other = (spoken("kept", "Third.", media_id="m3"),)
        await events(b.talk.reply(Ask(keep=False, context=other)))
        first, second, third = b.mind.outside
        assert "First." in first and "Second." in second and "Hello." in second
        assert "Third." in third
        await events(b.talk.reply(Ask()))
        # What stands in the conversation is heard once, what was given for one reply let go.
        assert b.ear.heard == ["kept", "m1", "m2", "m3"] and b.ear.forgotten == ["m1", "m2", "m3"]


async def test_each_sound_of_an_item_is_heard() -> None:
    async with bench() as b:
        one, two = spoken("u", "One.").parts + spoken("v", "Two.").parts
        b.talk.put(Item("u", "user", (one, Part("and"), two)))
        await events(b.talk.reply(Ask()))
        assert "One. and Two.<|im_end|>" in b.prompts[0]


async def test_sound_without_words_reads_as_unintelligible() -> None:
    async with bench() as b:
        b.talk.put(spoken("u", "", silence=100))
        assert text(await events(b.talk.reply(Ask()))) == "Yes."
        assert "user\n(unintelligible)<|im_end|>" in b.prompts[0]


async def test_instructions_are_prefilled_before_anything_is_said() -> None:
    async with bench() as b:
        await b.mind.prefill_gate.arrived()
        b.talk.configure(Ask(instructions="Speak like a sailor."))
        b.talk.configure(Ask(instructions="Speak like a bishop."))
        await b.mind.until(lambda: "bishop" in b.cache)
        b.talk.put(typed("u", "Hello."))
        prefilled = len(b.cache)
        got = await events(b.talk.reply(Ask(instructions="Speak like a bishop.")))
        assert began(got).cached["text"] == prefilled


async def test_a_reply_does_not_wait_for_its_own_reading_ahead() -> None:
    """Which may itself be waiting, for the completion of another talk."""
    async with bench() as b:
        b.mind.prefill_gate.shut()
        b.talk.configure(Ask(instructions="Speak like a bishop."))
        await b.mind.prefill_gate.arrived()
        b.talk.put(typed("u", "Hello."))
        assert text(await events(b.talk.reply(Ask(instructions="Speak like a bishop.")))) == "Yes."
        b.mind.prefill_gate.open()


async def test_every_prompt_goes_on_from_what_the_mind_has_read_and_written() -> None:
    """Over turns of words and calls, with replies put back as the core does it."""
    script = {
        "One?": "One, I would say.",
        "Two?": "Let me look.\n" + CALL,
        "(The function weather answered: rain)": "It rains in Rome. Take a coat, my friend!",
        "Three?": CALL + "\n" + CALL,
        "Four?": "Ça va — très bien… “so”.",
        "Five?": "Yes.",
    }
    ask = Ask(tools=TOOLS, instructions="Be kind.")
    async with bench(script, ask) as b:
        for turn, words in enumerate(script):
            if words.startswith("("):
                continue
            b.talk.put(spoken(f"u{turn}", words))
            calls = await _answer(b, ask, f"a{turn}")
            for call_id in calls:
                b.talk.put(Item(f"r{call_id}", "result", (Part("rain"),), call_id=call_id))
            if len(calls) == 1:
                await _answer(b, ask, f"b{turn}")
        assert len(b.prompts) == 6


async def _answer(b: Bench, ask: Ask, item_id: str) -> list[str]:
    """One reply, put back; its prompt must begin with all that is in the cache."""
    read = b.cache
    got = await events(b.talk.reply(ask))
    assert b.prompts[-1].startswith(read.removesuffix("<|im_end|>\n"))
    assert text(got) or any(isinstance(e, Call) for e in got)
    if said_text := text(got):
        b.talk.put(said(item_id, said_text))
    names = {e.index: e.name for e in got if isinstance(e, Call) and e.name}
    for index, name in names.items():
        arguments = "".join(e.delta for e in got if isinstance(e, Call) and e.index == index)
        call = CallPart(f"{item_id}c{index}", name, arguments)
        b.talk.put(Item(f"{item_id}{index}", "call", call=call))
    return [f"{item_id}c{index}" for index in names]


async def test_calls_come_after_the_words_and_are_closed() -> None:
    async with bench("Let me look.\n" + CALL) as b:
        ask = Ask(tools=TOOLS)
        b.talk.put(typed("u", "Weather?"))
        _, *said_, first, final, done = await events(b.talk.reply(ask))
        assert b.mind.grammars[-1] is not None
    assert text(said_).strip() == "Let me look."
    assert first == Call(0, name="weather", delta='{"city":"Rome"}')
    assert final == Call(0, final=True)
    assert isinstance(done, Done)


async def test_a_late_result_is_read_where_it_comes_in() -> None:
    async with bench("Hm.") as b:
        ask = Ask(tools=TOOLS)
        b.talk.put(typed("u", "Weather?"))
        b.talk.put(Item("c", "call", call=CallPart("k", "weather", "{}")))
        b.talk.put(typed("v", "And how are you?"))
        await events(b.talk.reply(ask))
        assert "has not answered yet" in b.prompts[-1]
        b.talk.put(said("a", "Hm."))
        b.talk.put(Item("r", "result", (Part("rain"),), call_id="k"))
        await events(b.talk.reply(ask))
        assert "weather answered: rain" in b.prompts[-1]
        assert "has not answered yet" not in b.prompts[-1]


async def test_a_cut_reply_reads_as_it_was_heard() -> None:
    async with bench(LONG) as b:
        b.talk.put(typed("u", "Go on."))
        await events(b.talk.reply(Ask()))
        b.talk.put(said("a", LONG))
        b.talk.cut("a", 170, "Sure, here")
        b.talk.put(typed("v", "Stop!"))
        await events(b.talk.reply(Ask()))
        assert "assistant\nSure, here<|im_end|>\n<|im_start|>user\nStop!" in b.prompts[-1]
        assert "first thing" not in b.prompts[-1]


async def test_items_go_where_they_are_put_and_leave_when_dropped() -> None:
    async with bench() as b:
        b.talk.put(typed("b", "Beta"))
        b.talk.put(typed("d", "Delta"))
        b.talk.put(typed("a", "Alpha"), "")
        b.talk.put(typed("c", "Gamma"), "b")
        b.talk.drop("d")
        b.talk.drop("unknown")
        b.talk.cut("unknown", 10, "")
        await events(b.talk.reply(Ask()))
        words = [w for w in ("Alpha", "Beta", "Gamma", "Delta") if w in b.prompts[-1]]
        assert words == ["Alpha", "Beta", "Gamma"]
        assert sorted(words, key=b.prompts[-1].index) == words


async def test_a_reply_answers_the_history_of_the_moment_it_was_asked_for() -> None:
    async with bench() as b:
        b.talk.put(typed("u", "Before."))
        reply = b.talk.reply(Ask())
        b.talk.put(typed("v", "After."))
        await events(reply)
        assert "Before." in b.prompts[0] and "After." not in b.prompts[0]


async def test_replies_out_of_band_run_beside_and_leave_no_trace() -> None:
    async with bench(LONG) as b:
        b.talk.put(spoken("u", "Go on."))
        context = (spoken("x", "Is this a question?"),)
        replies = [
            b.talk.reply(Ask()),
            b.talk.reply(Ask(keep=False)),
            b.talk.reply(Ask(keep=False, context=context)),
            b.talk.reply(Ask(keep=False, context=())),
        ]
        got = await asyncio.gather(*map(events, replies))
        assert [text(e) for e in got] == [LONG] * 4
        assert len(b.prompts) == 1
        assert sum("Go on." in p for p in b.mind.outside) == 1
        assert sum("Is this a question?" in p for p in b.mind.outside) == 1
        assert b.cache == b.prompts[0] + LONG


@pytest.mark.parametrize("part", ["ear", "mind", "mouth"])
async def test_a_fault_of_a_part_ends_one_reply_only(part: str) -> None:
    async with bench(LONG) as b:
        broken = getattr(b, part)
        broken.fault = EngineFault(f"the {part} is tired", "tired")
        b.talk.put(spoken("u", "Go on."))
        with pytest.raises(EngineFault, match=f"the {part} is tired") as caught:
            await events(b.talk.reply(Ask()))
        assert caught.value.code == "tired"
        broken.fault = None
        assert text(await events(b.talk.reply(Ask()))) == LONG


async def test_sound_that_could_not_be_heard_when_it_came_is_heard_anew_for_a_reply() -> None:
    async with bench() as b:
        b.ear.fault = EngineFault("no server there")
        b.talk.put(spoken("u", "Hello?"))
        await rest()
        b.ear.fault = None
        assert text(await events(b.talk.reply(Ask()))) == "Yes."
        assert "Hello?" in b.prompts[-1] and b.ear.heard == ["u", "u"]


async def test_a_fault_in_mid_reply_comes_after_what_was_said() -> None:
    async with bench(LONG) as b:
        b.mind.fault, b.mind.fault_after = EngineFault("out of memory"), 12
        b.talk.put(typed("u", "Go on."))
        reply, got = b.talk.reply(Ask()), list[ReplyEvent]()
        with pytest.raises(EngineFault, match="out of memory"):
            got.extend([event async for event in reply])
        assert [event async for event in reply] == []


async def test_an_older_item_that_nobody_understands_does_not_end_the_conversation() -> None:
    async with bench() as b:
        b.ear.fault = EngineFault("too loud")
        b.talk.put(spoken("u", "Aaah!"))
        with pytest.raises(EngineFault):
            await events(b.talk.reply(Ask()))
        b.talk.put(typed("v", "Sorry about that."))
        assert text(await events(b.talk.reply(Ask()))) == "Yes."
        assert "(unintelligible)" in b.prompts[-1]


EVENTS = LONG.count(" ") + 3


@pytest.mark.parametrize("count", range(EVENTS + 1))
async def test_an_interruption_at_any_event_leaves_nothing_running(count: int) -> None:
    async with bench(LONG) as b:
        b.talk.put(spoken("u", "Go on."))
        reply = b.talk.reply(Ask())
        got = [await anext(reply) for _ in range(count)]
        await reply.aclose()
        assert b.mind.running == 0 and not b.mind.leases[0].busy
        assert [event async for event in reply] == []
        if text(got):
            b.talk.put(said("a", text(got)))
        b.talk.put(spoken("v", "Once more."))
        assert text(await events(b.talk.reply(Ask()))) == LONG


@pytest.mark.parametrize("part", ["ear", "mind", "mouth"])
async def test_an_interruption_reaches_the_part_that_works(part: str) -> None:
    async with bench(LONG) as b:
        gate = getattr(b, part).gate
        gate.shut()
        b.talk.put(spoken("u", "Go on."))
        reply = b.talk.reply(Ask())
        waiting = asyncio.ensure_future(events(reply))
        await gate.arrived()
        await reply.aclose()
        got = await waiting
        assert len(got) == (0 if part == "ear" else 1)  # that it had begun, and nothing more
        assert b.mind.running == 0 and not b.mind.leases[0].busy
        gate.open()
        assert text(await events(b.talk.reply(Ask()))) == LONG


async def test_a_reader_that_stops_reading_stops_the_mind() -> None:
    async with bench(" ".join([LONG] * 20)) as b:
        b.talk.put(typed("u", "Go on."))
        reply = b.talk.reply(Ask(max_tokens=4000))
        await anext(reply)
        before = -1
        while before != b.mind.gate.came:
            before = b.mind.gate.came
            await rest()
        assert before < 80
        await reply.aclose()


async def test_what_is_read_ahead_stops_before_what_waits_for_an_answer() -> None:
    async with bench() as b:
        b.ear.gate.shut()
        b.talk.put(said("a", "Who are you?"))
        b.talk.put(spoken("u", "It's me."))
        await b.mind.until(lambda: "Who are you?" in b.cache)
        read = b.cache
        b.ear.gate.open()
        assert began(await events(b.talk.reply(Ask()))).cached["text"] == len(read)


@pytest.mark.parametrize("count", range(1, EVENTS))
async def test_a_reply_closed_early_has_told_what_it_used(count: int) -> None:
    async with bench(LONG) as b:
        b.talk.put(typed("u", "Go on."))
        await b.mind.until(lambda: b.cache.startswith(COMMON))
        read = b.cache
        reply = b.talk.reply(Ask())
        got = [await anext(reply) for _ in range(count)]
        await reply.aclose()
        assert got[0] == Began({"text": len(b.prompts[0])}, {"text": len(read)})
        words = sum(isinstance(event, Say) for event in got)
        assert words <= tokens(got) <= len(LONG)


async def test_a_reply_that_repeats_itself_tells_what_came_from_the_cache() -> None:
    async with bench("I am not sure. I am not sure. I am not sure.") as b:
        await b.mind.until(lambda: b.cache.endswith("user\n"))
        read = b.cache
        b.talk.put(typed("u", "Go on."))
        got = await events(b.talk.reply(Ask()))
        assert text(got).count("I am not sure.") == 2
        assert began(got).cached == {"text": len(read)} and tokens(got) == 8


async def test_words_that_begin_like_a_call_are_words_where_there_is_nothing_to_call() -> None:
    asks = [Ask(), Ask(tools=TOOLS, tool_choice="none")]
    async with bench(CALL) as b:
        b.talk.put(typed("u", "Say it in JSON."))
        for ask in asks:
            assert text(await events(b.talk.reply(ask))) == CALL


@pytest.mark.conformance("C-165")
async def test_the_conversation_goes_on_while_a_call_is_pending() -> None:
    script = {"Weather?": CALL, "And how are you?": "Fine, thanks. It is still loading."}
    ask = Ask(tools=TOOLS)
    async with bench(script, ask) as b:
        b.talk.put(typed("u", "Weather?"))
        assert any(isinstance(e, Call) for e in await events(b.talk.reply(ask)))
        b.talk.put(Item("c", "call", call=CallPart("k", "weather", "{}")))
        b.talk.put(typed("v", "And how are you?"))
        assert "Fine, thanks." in text(await events(b.talk.reply(ask)))
        assert "The function weather has not answered yet; go on talking" in b.prompts[-1]


@pytest.mark.conformance("C-191")
async def test_a_history_that_may_not_be_cut_fails_and_is_as_it_was() -> None:
    async with bench("Yes.") as b:
        b.mind.context_tokens = 3000
        b.talk = await b.engine.open(Ask())
        strict = Ask(truncation=Truncation(allowed=False))
        for number in range(30):
            b.talk.put(typed(f"u{number}", f"Question {number}. " + "x" * 60))
        with pytest.raises(EngineFault) as fault:
            await events(b.talk.reply(strict))
        assert fault.value.code == "context_length_exceeded"
        for number in range(20):
            b.talk.drop(f"u{number}")
        assert text(await events(b.talk.reply(strict))) == "Yes."
        prompt = b.mind.leases[-1].prompts[-1]
        assert all(f"Question {n}." in prompt for n in range(20, 30))


async def test_a_reply_out_of_band_does_not_cut_the_conversation() -> None:
    async with bench("Yes.") as b:
        b.mind.context_tokens = 3000
        b.talk = await b.engine.open(Ask())
        for number in range(10):
            b.talk.put(typed(f"u{number}", f"Question {number}. " + "x" * 60))
        long = "Be kind. " * 80
        await events(b.talk.reply(Ask(instructions=long, keep=False)))
        assert "Question 0." not in b.mind.outside[-1]
        await events(b.talk.reply(Ask()))
        assert "Question 0." in b.mind.leases[-1].prompts[-1]


async def test_a_history_of_ten_thousand_items_is_not_measured_from_the_beginning() -> None:
    async with bench("Yes.") as b:
        b.mind.context_tokens = 3000
        b.talk = await b.engine.open(Ask())
        for number in range(10_000):
            b.talk.put(
                typed(f"u{number}", f"Question {number}."), f"u{number - 1}" if number else ""
            )
        counted = b.mind.counted
        await events(b.talk.reply(Ask()))
        assert b.mind.counted - counted < 200
        assert "Question 9999." in b.mind.leases[-1].prompts[-1]
