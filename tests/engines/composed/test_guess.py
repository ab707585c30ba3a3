import asyncio

import pytest

from duologue.core.talk import Ask, Done, ReplyEvent, Tool
from duologue.errors import EngineFault
from engines.composed.engine_kit import Bench, bench, events, rest, text, timeless
from engines.composed.parts_kit import said, spoken, typed

LONG = (
    "Sure, here it is. The first thing to know is this. The second one follows from it. "
    "Then there is a third one as well. And at the very end comes the last of them all."
)
ASK = Ask(instructions="Be brief.")
CALL = '{"name":"weather","arguments":{"city":"Rome"}}'
TOOLS = Ask(tools=(Tool("weather", "The weather.", {"type": "object", "properties": {}}),))


async def guessed(b: Bench) -> None:
    """Wait until the guess has thought and spoken as far as it may without a reader."""
    while not b.mouth.clauses:
        await b.mouth.gate.arrived()
    before = -1
    while before != (before := b.mind.gate.came):
        await rest()


@pytest.mark.parametrize(
    ("script", "ask"), [(LONG, ASK), ("Yes.", ASK), (CALL, TOOLS), ("Look.\n" + CALL, TOOLS)]
)
@pytest.mark.parametrize("heads_up", ["none", "short", "long"])
async def test_a_guess_that_comes_true_is_the_same_reply(
    script: str, ask: Ask, heads_up: str
) -> None:
    async with bench(script, ask) as b:
        b.talk.put(spoken("u", "Go on.", silence=500))
        plain = await events(b.talk.reply(ask))
    async with bench(script, ask) as b:
        b.talk.expect(spoken("u", "Go on.", silence=30))
        if heads_up == "short":
            await b.ear.gate.arrived()
        elif heads_up == "long":
            await b.mind.gate.arrived()
        b.talk.put(spoken("u", "Go on.", silence=500))
        ahead = await events(b.talk.reply(ask))
        assert len(b.prompts) == 1 and b.ear.heard == ["u"]
    assert timeless(ahead) == timeless(plain)


async def test_a_guess_is_ready_before_it_is_asked_for() -> None:
    async with bench(LONG, ASK) as b:
        b.talk.expect(spoken("u", "Go on."))
        await guessed(b)
        b.mind.gate.shut()
        asked = asyncio.get_running_loop().time()
        b.talk.put(spoken("u", "Go on.", silence=500))
        reply = b.talk.reply(ASK)
        first = [await anext(reply), await anext(reply)]
        assert text(first) == "Sure,"
        b.mind.gate.open()
        done = (await events(reply))[-1]
        assert isinstance(done, Done)
        stages = done.stages
        assert stages["transcript"] <= stages["first_token"] <= stages["first_clause"] <= asked


async def test_a_guess_does_not_run_far_ahead() -> None:
    async with bench(" ".join([LONG] * 20), ASK) as b:
        b.talk.expect(spoken("u", "Go on."))
        await guessed(b)
        assert len(b.mouth.clauses) <= 3
        assert b.mind.gate.came < 80


async def test_a_guess_withdrawn_leaves_no_trace() -> None:
    async with bench({"Go": LONG, "Go on.": "Yes."}, ASK) as b:
        b.talk.expect(spoken("u", "Go"))
        await guessed(b)
        b.talk.expect(None)
        assert b.ear.forgotten == ["u"]
        b.talk.put(spoken("u", "Go on."))
        assert text(await events(b.talk.reply(ASK))) == "Yes."
        assert "user\nGo on.<|im_end|>" in b.prompts[-1]
        assert "user\nGo<|im_end|>" not in b.prompts[-1]
        assert b.mind.running == 0


@pytest.mark.parametrize("part", ["ear", "mind", "mouth"])
async def test_a_guess_is_withdrawn_whatever_it_is_doing(part: str) -> None:
    async with bench(LONG, ASK) as b:
        gate = getattr(b, part).gate
        gate.shut()
        b.talk.expect(spoken("u", "Go"))
        await gate.arrived()
        b.talk.expect(None)
        gate.open()
        b.talk.put(spoken("u", "Go on."))
        assert text(await events(b.talk.reply(ASK))) == LONG
        assert not b.mind.leases[0].busy


async def test_a_later_guess_replaces_an_earlier_one() -> None:
    async with bench({"Go": "No.", "Go on.": "Yes."}, ASK) as b:
        b.talk.expect(spoken("u", "Go"))
        await guessed(b)
        b.talk.expect(spoken("u", "Go on."))
        b.talk.put(spoken("u", "Go on.", silence=9))
        assert text(await events(b.talk.reply(ASK))) == "Yes."


async def test_another_ask_falls_back_to_a_reply_of_its_own() -> None:
    async with bench(LONG, ASK) as b:
        b.talk.expect(spoken("u", "Go on."))
        await guessed(b)
        b.talk.put(spoken("u", "Go on.", silence=9))
        got = await events(b.talk.reply(Ask(instructions="Be rude.")))
        assert text(got) == LONG
        assert "Be rude." in b.prompts[-1] and len(b.prompts) == 2
        assert b.ear.heard == ["u"]


async def test_another_history_falls_back_to_a_reply_of_its_own() -> None:
    async with bench(LONG, ASK) as b:
        b.talk.put(typed("s", "Once upon a time."))
        b.talk.expect(spoken("u", "Go on."))
        await guessed(b)
        b.talk.put(spoken("u", "Go on.", silence=9))
        b.talk.drop("s")
        assert text(await events(b.talk.reply(ASK))) == LONG
        assert "Once upon" not in b.prompts[-1]


async def test_other_sound_than_expected_is_heard_anew() -> None:
    async with bench({"Go on and on.": "No.", "Go on.": "Yes."}, ASK) as b:
        b.talk.expect(spoken("u", "Go on and on."))
        await guessed(b)
        b.talk.put(spoken("u", "Go on."))
        assert text(await events(b.talk.reply(ASK))) == "Yes."
        assert b.ear.heard == ["u", "u"] and b.ear.forgotten == ["u"]


async def test_a_guess_follows_when_history_or_settings_change_under_it() -> None:
    async with bench(LONG, ASK) as b:
        b.talk.put(said("a", LONG))
        b.talk.expect(spoken("u", "Go on."))
        await guessed(b)
        b.talk.cut("a", 100, "Sure, here")
        b.talk.configure(other := Ask(instructions="Be bold."))
        b.mouth.clauses.clear()
        await guessed(b)
        prompts = len(b.prompts)
        b.talk.put(spoken("u", "Go on.", silence=9))
        assert text(await events(b.talk.reply(other))) == LONG
        assert len(b.prompts) == prompts, "the renewed guess was taken"
        assert "assistant\nSure, here<|im_end|>" in b.prompts[-1] and "bold" in b.prompts[-1]
        assert b.ear.heard == ["u"]


async def test_a_guess_that_failed_is_tried_again_when_it_is_asked_for() -> None:
    async with bench(LONG, ASK) as b:
        b.mind.fault = EngineFault("out of memory")
        b.talk.expect(spoken("u", "Go on."))
        await b.mind.gate.arrived()
        await b.mind.until(lambda: not b.mind.running)
        b.mind.fault = None
        await rest()
        b.talk.put(spoken("u", "Go on.", silence=9))
        assert text(await events(b.talk.reply(ASK))) == LONG


@pytest.mark.parametrize("count", [0, 1, 4, 20, LONG.count(" ") + 2])
async def test_an_adopted_guess_is_interrupted_like_any_reply(count: int) -> None:
    async with bench(LONG, ASK) as b:
        b.talk.expect(spoken("u", "Go on."))
        await guessed(b)
        b.talk.put(spoken("u", "Go on.", silence=9))
        reply = b.talk.reply(ASK)
        got: list[ReplyEvent] = [await anext(reply) for _ in range(count)]
        await reply.aclose()
        assert b.mind.running == 0 and not b.mind.leases[0].busy
        assert len(got) == count and [event async for event in reply] == []


async def test_a_reply_out_of_band_leaves_the_guess_alone() -> None:
    async with bench(LONG, ASK) as b:
        b.talk.expect(spoken("u", "Go on."))
        await guessed(b)
        assert text(await events(b.talk.reply(Ask(keep=False, context=())))) == LONG
        b.talk.put(spoken("u", "Go on.", silence=9))
        await events(b.talk.reply(ASK))
        assert len(b.prompts) == 1
