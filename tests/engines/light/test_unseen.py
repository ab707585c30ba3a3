"""What is said of pictures where the model is too small to be asked: what was read, no more."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

import pytest

from duologue.core.talk import Ask, Done, Item, Part, ReplyEvent, Tool
from duologue.engines.composed.sights import MOST_CHARACTERS
from duologue.engines.light.unseen import LEAST_PARAMETERS
from duologue.errors import EngineFault
from engines.composed.engine_kit import Bench, began, bench, events, text, tokens
from engines.composed.parts_kit import said, sound, typed

BLIND = "I can't see pictures, I can only read text in them"
READ = f"{BLIND}. What I read is: "
INVENTED = "A red car in front of a house."


def shown(item_id: str, *texts: str, say: str = "") -> Item:
    images = [
        Part(image_url=f"data:image/png;base64,{text}", media_id=f"{text} {number}")
        for number, text in enumerate(texts)
    ]
    return Item(item_id, "user", (*images, *([Part(say)] if say else ())))


def small(script: str) -> AbstractAsyncContextManager[Bench]:
    """A talk with a model that is too small."""
    return bench(script, parameters=LEAST_PARAMETERS - 1)


async def answers(b: Bench, items: Sequence[Item], ask: Ask | None = None) -> list[ReplyEvent]:
    for item in items:
        b.talk.put(item)
    return await events(b.talk.reply(ask or Ask()))


@pytest.mark.parametrize(
    ("texts", "answer"),
    [
        (["GATE 12\nBoarding"], f"{READ}GATE 12 Boarding."),
        (["Stop!"], f"{READ}Stop!"),
        (["GATE 12", "", "Stop!"], f"{READ}GATE 12; Stop!"),
        ([""], f"{BLIND}, and there is none in this one."),
        (["", ""], f"{BLIND}, and there is none in these."),
        (["word " * 100], f"{READ}{'word ' * 59}word and more."),
        (["x" * 400], f"{READ}{'x' * 300} and more."),
        (["y " * MOST_CHARACTERS], f"{READ}{'y ' * 149}y and more."),
    ],
)
@pytest.mark.parametrize("question", ["", "What does it say?", "How many cats are there?"])
async def test_an_image_is_answered_with_what_was_read_in_it(
    texts: list[str], answer: str, question: str
) -> None:
    async with small(INVENTED) as b:
        assert text(await answers(b, [shown("i", *texts, say=question)])) == answer


async def test_a_large_model_answers_itself() -> None:
    async with bench("Gate twelve.", parameters=LEAST_PARAMETERS) as b:
        assert text(await answers(b, [shown("i", "GATE 12", say="Where?")])) == "Gate twelve."


async def test_an_image_and_the_words_spoken_to_it_may_be_items_of_their_own() -> None:
    async with small(INVENTED) as b:
        spoken = Item("u", "user", (Part(pcm=sound("Tell me more."), media_id="u"),))
        assert text(await answers(b, [shown("i", "GATE 12"), spoken])) == f"{READ}GATE 12."


async def test_an_image_that_could_not_be_read_is_said_to_be_so() -> None:
    async with small(INVENTED) as b:
        b.eye.fault = EngineFault("no light")
        got = await answers(b, [shown("i", "GATE 12")])
        assert text(got) == f"{BLIND}, and this one I could not read."


@pytest.mark.parametrize(
    ("later", "is_of_picture"),
    [
        ([typed("q", "What animal is beside Anna?")], True),
        ([typed("q", "Describe him")], True),
        ([typed("q", "Tell me a joke.")], False),
        ([typed("q", "Tell me a joke."), said("a", "Ha."), typed("r", "Who is he?")], False),
        ([typed("q", "Tell me a joke."), said("a", "Ha."), typed("r", "What colour?")], True),
        ([typed("q", "Hi."), said("a", "Hi."), typed("r", "What's in the picture?")], True),
    ],
)
async def test_a_later_question_of_a_picture_is_known_by_its_words(
    later: list[Item], is_of_picture: bool
) -> None:
    async with small("Well.") as b:
        told = [typed("z", "Hello."), said("h", "Hi."), shown("i", "GATE 12"), said("s", READ)]
        got = await answers(b, [*told, *later])
        assert text(got) == (f"{READ}GATE 12." if is_of_picture else "Well.")


async def test_without_a_picture_the_words_mean_something_else() -> None:
    async with small("Blue.") as b:
        assert text(await answers(b, [typed("q", "What colour is the sky?")])) == "Blue."


@pytest.mark.parametrize(
    ("image", "kept"), [("GATE 12", "GATE 12."), ("", "I can't see.")]
)  # fmt: skip
async def test_the_model_reads_what_was_read_and_not_how_it_was_said(image: str, kept: str) -> None:
    async with small("Well.") as b:
        first = text(await answers(b, [shown("i", image, say="What is it?")]))
        b.talk.put(said("a", first))
        b.talk.put(typed("q", "Tell me a joke."))
        await events(b.talk.reply(Ask()))
        (prompt,) = b.prompts
        assert f"assistant\n{kept}<|im_end|>" in prompt
        assert BLIND not in prompt and "You are blind" not in prompt


async def test_what_is_said_costs_its_own_tokens_and_the_images_are_the_input() -> None:
    async with small(INVENTED) as b:  # one character is one token there
        got = await answers(b, [shown("i", "GATE 12", say="Where?")])
        assert began(got).input == {"image": len('(an image; text read in it: "GATE 12")')}
        assert tokens(got) == len(f"{READ}GATE 12.") and b.mind.leases[0].prompts == []


async def test_a_limit_ends_it_between_words() -> None:
    async with small(INVENTED) as b:
        got = await answers(b, [shown("i", "GATE 12")], Ask(max_tokens=48))
        assert text(got) == "I can't see"
        assert isinstance(got[-1], Done) and got[-1].reason == "length"


@pytest.mark.parametrize(("choice", "calls"), [("required", True), ("auto", False)])
async def test_a_call_that_is_required_is_made(choice: str, calls: bool) -> None:
    async with small('{"name":"look","arguments":{}}') as b:
        ask = Ask(tools=(Tool("look"),), tool_choice=choice)
        got = await answers(b, [shown("i", "GATE 12")], ask)
        assert text(got) == ("" if calls else f"{READ}GATE 12.")
