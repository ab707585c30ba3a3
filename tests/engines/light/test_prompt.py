"""The prompt: append-only, unforgeable, and as long as there is room."""

from typing import Literal

from hypothesis import given
from hypothesis import strategies as st

from duologue.core.talk import Ask, CallPart, Item, Part, Tool
from duologue.engines.light.prompt import COMMON, Prompts

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
    p = prompts(600)
    history = [item(1, "user", "x" * 900), call(2), result(3), item(4, "user", "y" * 900)]
    prompt = p.render(Ask(tools=(WEATHER,)), history, 50)
    assert ("answered: sunny" in prompt) == ('"arguments":{"city":"Paris"}}' in prompt)


def test_an_image_is_said_to_be_unseen() -> None:
    image = Item("i1", "user", (Part("Look."), Part(image_url="data:image/png;base64,AAAA")))
    assert "Look. (an image that you cannot see)" in prompts().render(Ask(), [image], 100)
