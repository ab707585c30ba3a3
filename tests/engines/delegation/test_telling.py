"""What each side is told, and how the parts of a reply are joined: all of it without I/O."""

import pytest

from duologue.core.talk import Ask, Began, Call, CallPart, Done, Item, Part, Say, Tool
from duologue.engines.delegation.brief import MOST_ASIDE_TOKENS, aside_ask, expert_ask, expert_items
from duologue.engines.delegation.joined import Joined
from duologue.engines.delegation.tool import NAME, name_beside, offered, question_of


def test_the_tool_is_offered_beside_those_of_the_client() -> None:
    ask = offered(Ask(tools=(Tool("a"),), instructions="Be kind."))
    assert [tool.name for tool in ask.tools] == ["a", NAME]
    assert ask.tools[1].parameters["required"] == ["question"]
    assert offered(Ask()) == offered(Ask())  # a guess on the one is good for the other


def test_a_name_is_found_that_the_client_has_not_taken() -> None:
    assert name_beside(()) == NAME
    assert name_beside((Tool(f"{NAME}_2"), Tool(NAME))) == f"{NAME}_3"


@pytest.mark.parametrize(
    ("arguments", "question"),
    [
        ('{"question": " why? ", "more": 1}', "why?"),
        ("{}", ""),
        ('{"question": 7}', ""),
        ('"why?"', ""),
        ("why?", ""),
        ("", ""),
    ],
)
def test_the_question_of_a_call(arguments: str, question: str) -> None:
    assert question_of(arguments) == question


def test_the_expert_reads_words_and_no_messages_about_tools() -> None:
    items = expert_items(
        (
            Item("s", "system", (Part("Be quick."),)),
            Item("u", "user", (Part(pcm=b"\0\0"), Part("and this"))),
            Item("c", "call", call=CallPart("1", "get_weather", '{"city":"Oslo"}')),
            Item("r", "result", (Part("rain"),), call_id="1"),
            Item("x", "result", (Part("late"),), call_id="gone"),
            Item("e", "assistant", ()),
            Item("a", "assistant", (Part("It rains."),)),
        ),
        "And tomorrow?",
    )
    assert [(item.role, item.parts[0].text) for item in items] == [
        ("system", "Be quick."),
        ("user", "(The user said something that was not written down.) and this"),
        ("user", '(The assistant called get_weather {"city":"Oslo"} and was told: rain)'),
        ("user", "(The assistant called and was told: late)"),
        ("assistant", "It rains."),
        ("user", "(The assistant asks you: And tomorrow?)"),
    ]


def test_the_expert_is_asked_for_words_and_calls_nothing() -> None:
    ask = expert_ask(Ask(instructions="You sell shoes.", tools=(Tool("a"),), voice="eve"), 100)
    assert "You sell shoes." in ask.instructions and not ask.tools
    assert (ask.speak, ask.keep, ask.context, ask.max_tokens) == (False, False, (), 100)


def test_the_few_words_meanwhile_are_in_the_same_voice_and_apart() -> None:
    ask = Ask(voice="eve", speed=1.2, tools=(Tool("a"),), instructions="Be kind.", max_tokens=99)
    aside = aside_ask(ask, "", still=False, max_tokens=5)
    assert (aside.voice, aside.speed, aside.keep) == ("eve", 1.2, False)
    assert not aside.tools and aside.max_tokens == 5
    assert aside.instructions.startswith("Be kind.")
    assert aside.context and aside.context[0].parts[0].text
    longer = aside_ask(ask, "", still=True, max_tokens=None)
    assert longer.instructions != aside.instructions and longer.max_tokens == MOST_ASIDE_TOKENS


def test_parts_of_a_message_are_set_apart_and_counted_on() -> None:
    joined = Joined()
    says = [joined.say(Say("So. ", b"\0\0", 4)), joined.say(Say("Well", b"\0\0", 8))]
    joined.hidden()
    says.append(joined.say(Say("!", b"\0\0", 1)))
    joined.next_part()
    says += [joined.say(Say("", b"\0\0", 0)), joined.say(Say(" Yes", b"\0\0", 4))]
    assert joined.messages == ["So. Well ! Yes"]
    assert [say.voiced for say in says] == [4, 8, 10, 10, 14]
    assert joined.say(Say("?")).voiced == 0  # no sound yet


def test_text_after_a_call_of_the_clients_is_a_new_message() -> None:
    joined = Joined()
    joined.say(Say("One.", b"\0\0", 4))
    joined.call(Call(0, "a"))
    joined.next_part()
    say = joined.say(Say("Two.", b"\0\0", 4))
    assert joined.messages == ["One.", "Two."] and say == Say("Two.", b"\0\0", 4)


def test_calls_of_several_parts_are_numbered_on() -> None:
    joined = Joined()
    indices = [joined.call(Call(3, "a")).index, joined.call(Call(3, final=True)).index]
    joined.next_part()
    indices += [joined.call(Call(0, "b")).index, joined.call(Call(1, "c")).index]
    assert indices == [0, 0, 1, 2]


def test_counts_are_sums_and_hidden_tokens_come_with_what_is_seen_next() -> None:
    joined = Joined()
    assert joined.began(Began({"text": 5, "audio": 7}, {"text": 1})).input["audio"] == 7
    assert joined.began(Began({"text": 6, "audio": 7}, {"text": 1})).input["text"] == 6
    joined.owe(4)
    joined.pause(Done(tokens=2, stages={"first_token": 1.0}))
    total = joined.read(Began({"text": 100}, {"text": 50}), 9)
    assert total == Began({"text": 106, "audio": 7}, {"text": 51})
    joined.next_part()
    assert joined.began(Began({"text": 10, "image": 3})).input == {
        "text": 116,
        "audio": 7,
        "image": 3,
    }
    assert joined.say(Say("Hm", tokens=1)).tokens == 4 + 2 + 9 + 1
    end = joined.end(Done(tokens=3, stages={"first_token": 9.0, "first_clause": 9.0}))
    assert end.tokens == 3 and joined.tokens == 19
    assert end.stages == {"first_token": 1.0, "first_clause": 9.0}
