"""Other engines in front: the composed one, and a model that hears and speaks on a server."""

import json

import pytest
from msgspec import structs

from duologue.core.talk import Ask, Item, Part, Say
from duologue.engines.chat.engine import ChatEngine
from duologue.engines.chat.request import Model
from duologue.engines.composed.engine import ComposedEngine
from duologue.engines.delegation.engine import DelegatingEngine
from duologue.engines.light.prompt_mind import PromptMind
from duologue.engines.remote.chat_mind import ChatMind
from duologue.engines.scripted import Script, ScriptedEngine, tone
from duologue.errors import EngineBusy
from duologue.remote.server import RemoteServer
from duologue.testing.chat_stand_in import Answer, ChatStandIn, standing_in
from engines.composed.parts_kit import (
    ScriptedEar,
    ScriptedEye,
    ScriptedMind,
    ScriptedMouth,
    spoken,
)
from engines.delegation.delegation_kit import ARGUMENTS, calls, done, expert_at, replied, said, text


async def heard(item_id: str, pcm: bytes) -> str:
    return "How many ounces?"


async def test_the_chat_engine_asks_and_reads_the_answer_as_the_result_of_its_call() -> None:
    front = ChatStandIn(
        Answer(text="Let me look.", sound_ms=400, calls=(("ask_expert", ARGUMENTS),)),
        Answer(text="There are sixteen.", sound_ms=600),
        Answer(text="You are welcome.", sound_ms=200),
    )
    expert = ChatStandIn(said("Sixteen."))
    async with standing_in(front) as front_url, standing_in(expert) as url:
        engine = DelegatingEngine(
            ChatEngine((front_url,), Model("m", ("ethan",))), expert_at(url), heard
        )
        talk = await engine.open(Ask())
        talk.put(Item("u1", "user", (Part(pcm=tone(500), media_id="u1"),)))
        ask = Ask(instructions="Be brief.")
        events = await replied(talk, ask)  # type: ignore[arg-type]
        assert text(events) == "Let me look. There are sixteen." and not calls(events)
        assert done(events).reason == "completed"
        assert sum(len(e.pcm) for e in events if isinstance(e, Say)) == 1000 * 48
        voiced = [event.voiced for event in events if isinstance(event, Say) and event.pcm]
        assert voiced == sorted(voiced) and voiced[-1] == len("Let me look. There are sixteen.")
        talk.put(Item("a1", "assistant", (Part("Let me look. There are sixteen."),)), "u1")
        talk.put(Item("u2", "user", (Part("Thanks."),)), "a1")
        assert text(await replied(talk, ask)) == "You are welcome."  # type: ignore[arg-type]
        await talk.aclose()
        await engine.aclose()
    first, second, third = front.requests
    assert first["tools"] == second["tools"] == third["tools"]
    assert "How many ounces?" in str(expert.requests[0]["messages"])
    told = second["messages"][len(first["messages"]) :]
    assert [message["role"] for message in told] == ["assistant", "tool"]
    (call,) = told[0]["tool_calls"]
    assert json.loads(call["function"]["arguments"]) == json.loads(ARGUMENTS)
    assert told[1]["tool_call_id"] == call["id"] and told[1]["content"] == "Sixteen."
    assert third["messages"][: len(second["messages"])] == second["messages"]  # its cache serves


async def test_a_mind_that_hears_asks_and_the_expert_reads_what_was_written_down() -> None:
    front = ChatStandIn(
        Answer(text="Let me look.", sound_ms=0, calls=(("ask_expert", ARGUMENTS),)),
        Answer(text="There are sixteen.", sound_ms=0),
    )
    expert = ChatStandIn(said("Sixteen."))
    async with standing_in(front) as front_url, standing_in(expert) as url:
        server = RemoteServer(f"{front_url}#ultravox", "llm", "the language model's server")
        mind = ChatMind(server, context_tokens=4096, hears=True)
        engine = DelegatingEngine(
            ComposedEngine(ScriptedEar(), mind, ScriptedMouth()), expert_at(url), heard
        )
        talk = await engine.open(Ask())
        talk.put(spoken("u", "Ounces in a pound?"))
        events = await replied(talk, Ask())  # type: ignore[arg-type]
        assert text(events) == "Let me look. There are sixteen." and not calls(events)
        await talk.aclose()
        await engine.aclose()
    first, second = front.requests
    assert first["messages"][-1]["content"][0]["type"] == "input_audio"
    assert second["messages"][: len(first["messages"])] == first["messages"]
    assert second["messages"][-1]["content"] == "Sixteen."
    asked = str(expert.requests[0])
    assert "How many ounces?" in asked and "input_audio" not in asked


def mind_in_front(prompt: str) -> str:
    """What a small model might say to each of its prompts."""
    if "Sixteen" in prompt:
        return "There are sixteen."
    if "you are finding it out right now" in prompt:
        return "One moment."
    return f'{{"name":"ask_expert","arguments":{ARGUMENTS}}}'


async def test_the_light_engine_begins_on_a_guess_and_reads_nothing_twice() -> None:
    expert = ChatStandIn(said("Sixteen.", first_delay_ms=800))
    mind = ScriptedMind(mind_in_front)
    front = ComposedEngine(ScriptedEar(), PromptMind(mind), ScriptedMouth(), ScriptedEye())
    ask = Ask(instructions="Be brief.")
    async with standing_in(expert) as url:
        engine = DelegatingEngine(front, expert_at(url), heard)
        talk = await engine.open(ask)
        talk.configure(ask)
        talk.expect(spoken("u1", "How many ounces?", silence=30))
        await mind.gate.arrived()
        talk.put(spoken("u1", "How many ounces?", silence=500))
        events = await replied(talk, ask)  # type: ignore[arg-type]
        assert text(events) == "One moment. There are sixteen." and not calls(events)
        (lease,) = mind.leases
        first, second = lease.prompts  # the guess was good: one for the call, one for the answer
        assert "ask_expert" in first and second.startswith(first)
        assert "(The function ask_expert answered: Sixteen.)" in second
        (aside,) = mind.outside
        assert "Ounces in a pound?" in aside and "ask_expert" not in aside
        await talk.aclose()
        await engine.aclose()
    assert mind.running == 0 and mind.closed


async def test_a_front_that_turns_out_full_duplex_is_refused_by_name_and_holds_no_place() -> None:
    """As an upstream that was away at the start."""
    front = ScriptedEngine(Script())
    engine = DelegatingEngine(front, expert_at("http://127.0.0.1:9/v1"), heard)
    engine.traits = structs.replace(front.traits, duplex=True)
    with pytest.raises(EngineBusy, match="full-duplex, and asks nobody"):
        await engine.open(Ask())
    assert front.open_talks == 0
    await engine.aclose()
