import asyncio

import pytest

from duologue.core.talk import Ask, Began
from duologue.engines.composed.engine import ComposedEngine
from duologue.engines.light.prompt_mind import PromptMind
from duologue.errors import EngineBusy
from engines.composed.engine_kit import bench, events, rest, text
from engines.composed.parts_kit import ScriptedEar, ScriptedMind, ScriptedMouth, spoken, typed


async def test_the_engine_says_that_it_is_composed() -> None:
    async with bench() as b:
        traits = b.engine.traits
        assert not traits.hears and not traits.speaks and not traits.duplex
        assert traits.tools and traits.rewinds and not traits.sees
        assert traits.voices == ("plain",)
        assert traits.context_tokens == b.mind.context_tokens


async def test_a_talk_too_many_is_refused_and_the_others_go_on() -> None:
    async with bench() as b:
        others = [await b.engine.open(Ask()) for _ in range(3)]
        with pytest.raises(EngineBusy):
            await b.engine.open(Ask())
        b.talk.put(typed("u", "Hello."))
        assert text(await events(b.talk.reply(Ask()))) == "Yes."
        await others[0].aclose()
        await b.engine.open(Ask())


async def test_talks_run_side_by_side_and_know_nothing_of_each_other() -> None:
    words = {f"I am {n}.": f"Hello, number {n}, how are you today?" for n in range(4)}
    async with bench(words) as b:
        talks = [b.talk, *[await b.engine.open(Ask()) for _ in range(3)]]
        for n, talk in enumerate(talks):
            talk.put(spoken(f"u{n}", f"I am {n}."))
        got = await asyncio.gather(*[events(talk.reply(Ask())) for talk in talks])
        assert [text(e) for e in got] == list(words.values())
        for n, lease in enumerate(b.mind.leases):
            assert all(f"I am {m}." not in lease.cache for m in range(4) if m != n)


async def test_a_guess_waits_while_a_reply_of_another_talk_is_thinking() -> None:
    async with bench() as b:
        other = await b.engine.open(Ask())
        b.mind.gate.shut()
        other.put(typed("v", "Hello."))
        reply = asyncio.ensure_future(events(other.reply(Ask())))
        await b.mind.gate.arrived()
        b.talk.expect(spoken("u", "Go on."))
        counted = b.mind.counted
        await b.mind.until(lambda: b.mind.counted > counted)  # its prompt is made
        await rest()
        assert b.prompts == []
        b.mind.gate.open()
        await reply
        await b.mind.gate.arrived()
        await b.mind.until(lambda: bool(b.prompts))
        b.talk.expect(None)


async def test_a_guess_that_waits_begins_at_once_when_it_comes_true() -> None:
    async with bench() as b:
        other = await b.engine.open(Ask())
        b.mouth.gate.shut()
        b.mind.gate.shut()
        other.put(typed("v", "Hello."))
        stuck = other.reply(Ask())
        await b.mind.gate.arrived()
        b.talk.expect(spoken("u", "Go on."))
        await b.ear.gate.arrived()
        b.talk.put(spoken("u", "Go on.", silence=9))
        reply = asyncio.ensure_future(events(b.talk.reply(Ask())))
        await b.mind.gate.arrived()
        assert len(b.prompts) == 1 and not reply.done()
        await stuck.aclose()
        b.mind.gate.open()
        b.mouth.gate.open()
        assert text(await reply) == "Yes."


async def test_closing_the_engine_ends_replies_guesses_and_transcriptions() -> None:
    outside = asyncio.all_tasks()
    ear, mind, mouth = ScriptedEar(), ScriptedMind("Hm, yes."), ScriptedMouth()
    engine = ComposedEngine(ear, PromptMind(mind), mouth)
    talks = [await engine.open(Ask()) for _ in range(3)]
    mouth.gate.shut()
    talks[0].put(typed("u", "Hello."))
    reading = asyncio.ensure_future(events(talks[0].reply(Ask())))
    await mouth.gate.arrived()
    ear.gate.shut()
    talks[1].expect(spoken("v", "Go on."))
    talks[2].put(spoken("w", "Go on."))
    await ear.gate.arrived()
    await engine.aclose()
    assert [type(event) for event in await reading] == [Began]
    assert asyncio.all_tasks() == outside
    assert mind.running == 0 and mind.leases == [] and mind.closed and mouth.closed


async def test_a_talk_may_be_closed_twice() -> None:
    async with bench() as b:
        await b.talk.aclose()
        await b.talk.aclose()
