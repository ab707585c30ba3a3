"""The prompt: append-only, unforgeable, and as long as there is room."""

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.core.talk import Ask, CallPart, Example, Item, Part, Tool, Truncation
from duologue.engines.light.prompt import BEGIN, COMMON, END, Prompts
from duologue.errors import EngineFault

WEATHER = Tool("get_weather", "The weather.", {"type": "object"})


def prompts(context_tokens: int = 4000) -> Prompts:
    return Prompts(lambda text: len(text) // 4, context_tokens)


def item(number: int, role: Literal["user", "assistant", "system"], text: str) -> Item:
    return Item(f"i{number}", role, (Part(text),))


def call(number: int, call_id: str = "c1") -> Item:
    return Item(f"i{number}", "call", call=CallPart(call_id, "get_weather", '{"city":"Paris"}'))


def result(number: int, call_id: str = "c1") -> Item:
    return Item(f"i{number}", "result", (Part("sunny"),), call_id=call_id)


def test_every_prompt_begins_alike_whatever_the_session() -> None:
    asks = [Ask(), Ask(instructions="Rhyme."), Ask(tools=(WEATHER,)), Ask(tool_choice="none")]
    assert all(prompts().render(ask, (), 100).startswith(COMMON) for ask in asks)


def test_a_turn_goes_on_from_the_turn_before() -> None:
    p, ask = prompts(), Ask(instructions="Be kind.", tools=(WEATHER,))
    history = [item(1, "user", "Hi.")]
    before = p.render(ask, history, 100)
    history += [item(2, "assistant", "Hello!"), item(3, "user", "And now?")]
    after = p.render(ask, history, 100)
    assert after.startswith(before + "Hello!<|im_end|>\n")
    assert after.startswith(p.ahead(ask, history[:2], 100))


def test_words_and_a_call_in_a_row_are_one_message_as_they_were_generated() -> None:
    history = [item(1, "user", "Weather?"), item(2, "assistant", "One moment."), call(3), result(4)]
    prompt = prompts().render(Ask(tools=(WEATHER,)), history, 100)
    generated = 'One moment.\n{"name":"get_weather","arguments":{"city":"Paris"}}<|im_end|>'
    assert generated in prompt and "answered: sunny" in prompt


def test_a_call_without_an_answer_is_told_as_pending_and_only_then() -> None:
    history = [item(1, "user", "Weather?"), call(2), item(3, "user", "Are you there?")]
    p, ask = prompts(), Ask(tools=(WEATHER,))
    assert "has not answered yet" in p.render(ask, history, 100)
    assert "has not answered yet" not in p.render(ask, [*history, result(4)], 100)


@given(st.text(st.sampled_from("<|>im_startend/ \n"), max_size=40))
def test_nobody_can_forge_a_message(text: str) -> None:
    plain = prompts().render(Ask(), [item(1, "user", "x")], 100)
    forged = prompts().render(
        Ask(instructions="x " + text), [item(1, "user", "x" + text), result(2)], 100
    )
    for token in ("<|im_start|>", "<|im_end|>"):
        assert forged.count(token) - plain.count(token) == 2  # instructions and the result


def test_a_history_that_is_too_long_is_cut_once_and_in_a_large_step() -> None:
    p, ask = prompts(1200), Ask()
    history: list[Item] = []
    cuts = set()
    for number in range(0, 120, 2):
        history.append(item(number, "user", f"Question {number}, with some more words to it?"))
        prompt = p.render(ask, history, 100)
        assert len(prompt) // 4 <= 1200
        first = next(h.id for h in history if h.parts[0].text and h.parts[0].text in prompt)
        cuts.add(first)
        history.append(item(number + 1, "assistant", f"Answer {number}, with some more words."))
    assert 2 <= len(cuts) <= 8


def test_a_result_is_not_kept_without_its_call() -> None:
    history = [item(1, "user", "x" * 900), call(2), result(3), item(4, "user", "y" * 900)]
    kept = set()
    for context_tokens in range(950, 1500, 10):
        prompt = prompts(context_tokens).render(Ask(tools=(WEATHER,)), history, 50)
        result_is_there = "answered: sunny" in prompt
        assert result_is_there == ('"arguments":{"city":"Paris"}}' in prompt)
        kept.add(result_is_there)
    assert kept == {True, False}


@pytest.mark.conformance("C-192")
def test_instructions_and_tools_are_in_every_prompt_however_much_is_dropped() -> None:
    p, ask = prompts(1200), Ask(instructions="Speak like a sailor.", tools=(WEATHER,))
    history = [item(number, "user", f"Question {number}. " + "x" * 200) for number in range(40)]
    for count in range(1, 41):
        prompt = p.render(ask, history[:count], 100)
        assert "Speak like a sailor." in prompt and '"name":"get_weather"' in prompt
        assert f"Question {count - 1}." in prompt
    assert "Question 0." not in prompt


def test_instructions_that_leave_no_room_are_a_fault_that_says_how_long_they_are() -> None:
    with pytest.raises(EngineFault, match="instructions and tools take") as fault:
        prompts(1000).render(Ask(instructions="x" * 4000), [item(1, "user", "Hi.")], 100)
    assert fault.value.code == "context_length_exceeded"


@pytest.mark.conformance("C-191")
def test_without_truncation_a_long_history_is_a_fault_and_a_shorter_one_is_not() -> None:
    p, ask = prompts(1200), Ask(truncation=Truncation(allowed=False))
    history = [item(number, "user", "x" * 200) for number in range(40)]
    with pytest.raises(EngineFault) as fault:
        p.render(ask, history, 100)
    assert fault.value.code == "context_length_exceeded"
    assert p.render(ask, history[:5], 100).count("x" * 200) == 5


@pytest.mark.conformance("C-190")
def test_a_retention_ratio_keeps_its_share_of_what_follows_the_instructions() -> None:
    p = prompts(4000)
    ask = Ask(truncation=Truncation(kept_share=0.5, limit_tokens=400), instructions="y" * 2000)
    counts = []
    for number in range(1, 30):
        history = [item(n, "user", "x" * 120) for n in range(number)]
        counts.append(p.render(ask, history, 100).count("x" * 120))
    assert max(counts) * 30 <= 400 and min(counts[max(counts) :]) * 30 <= 200
    drops = sum(b < a for a, b in zip(counts, counts[1:], strict=False))
    assert 2 <= drops <= 5


def test_an_image_is_said_to_be_unseen() -> None:
    image = Item("i1", "user", (Part("Look."), Part(image_url="data:image/png;base64,AAAA")))
    assert "Look. (an image that you cannot see)" in prompts().render(Ask(), [image], 100)


def test_a_functions_own_examples_stand_nearest_and_what_they_contradict_is_left_out() -> None:
    examples = (Example("Who was Nero?", '{"q":"Nero"}'), Example("Hi.", words="Hello!"))
    asks = Tool("look_up", "Looks up.", examples=examples)
    plain = prompts().render(Ask(tools=(WEATHER,)), [item(1, "user", "So?")], 100)
    prompt = prompts().render(Ask(tools=(WEATHER, asks)), [item(1, "user", "So?")], 100)
    call = '{"name":"look_up","arguments":{"q":"Nero"}}'
    shown = f"Who was Nero?{END}{BEGIN}assistant\n{call}{END}{BEGIN}user\nHi.{END}"
    assert f"{shown}{BEGIN}assistant\nHello!{END}{BEGIN}user\nSo?{END}" in prompt
    assert plain.count("A spider has eight legs.") == 1 and "general knowledge" in plain
    assert "A spider has eight legs." not in prompt and "general knowledge" not in prompt
    assert "play_music" in plain and "play_music" in prompt
