"""A front that asks a stronger model over real HTTP: what comes out is one reply."""

import asyncio
import logging
from contextlib import aclosing
from typing import Any

import pytest

from duologue.core.talk import Ask, CallPart, Done, Item, Part, Say, Tool
from duologue.engines.delegation import reply as delegation
from duologue.engines.delegation.tool import DESCRIPTION, NAME
from duologue.engines.scripted import ScriptedCall, ScriptedReply, tone
from duologue.testing.chat_stand_in import Answer
from engines.delegation.delegation_kit import (
    ASKING,
    ASKING_AT_ONCE,
    ASKS,
    EXPERT_SAYS,
    KEY,
    QUESTION,
    Front,
    asked,
    calls,
    delegating,
    done,
    read,
    replied,
    said,
    text,
    tokens,
    user,
)

WEATHER = Tool("get_weather", "The weather.")
ASK = Ask(instructions="Be brief.", tools=(WEATHER,))
SPOKEN = "user: How many ounces are there in a pound?"


async def test_the_front_asks_and_says_the_answer_in_the_same_message() -> None:
    front = Front(ASKING)
    async with asked(front) as (talk, expert):
        events = await replied(talk, ASK)
        assert text(events) == "Let me look. There are sixteen."
        assert not calls(events)
        assert done(events).reason == "completed"
        assert front.talk.told == [SPOKEN, "call ask_expert", f"result: {EXPERT_SAYS}"]
    assert [tool.name for tool in front.talk.asks[0].tools] == ["get_weather", NAME]
    assert front.talk.asks[0].tools[1].description == DESCRIPTION
    assert front.talk.asks[1].tools == front.talk.asks[0].tools  # so that its cache serves
    (request,) = expert.requests
    assert request["model"] == "big" and request["stream"] and "tools" not in request
    system, *_, last = request["messages"]
    assert "expert" in system["content"] and "Be brief." in system["content"]
    assert last["content"] == f"{QUESTION}\n(The assistant asks you: Ounces in a pound?)"
    assert expert.keys == [f"Bearer {KEY}"]


async def test_voiced_counts_the_characters_of_the_one_message() -> None:
    async with asked(Front(ASKING)) as (talk, _):
        events = await replied(talk)
    sent = ""
    for event in events:
        if isinstance(event, Say):
            sent += event.text
            assert event.pcm and event.voiced == len(sent)
    assert sent == "Let me look. There are sixteen."


async def test_an_answer_that_comes_at_once_needs_no_words_before_it() -> None:
    front = Front(ASKING_AT_ONCE)
    async with asked(front) as (talk, _):
        assert text(await replied(talk)) == "There are sixteen."
    assert len(front.talk.asks) == 2


async def test_a_front_that_has_said_nothing_says_a_few_words_while_it_waits() -> None:
    front = Front(ASKING_AT_ONCE)
    async with asked(front, said(first_delay_ms=800)) as (talk, _):
        events = await replied(talk, ASK)
        assert text(events) == "One moment. There are sixteen."
        aside = front.talk.asks[1]
        assert (aside.keep, aside.tools, aside.tool_choice) == (False, (), "none")
        assert aside.context and aside.context[0].parts[0].text == "Ounces in a pound?"
        assert front.talk.told == [SPOKEN, "call ask_expert", f"result: {EXPERT_SAYS}"]
    voiced = [event.voiced for event in events if isinstance(event, Say)]
    assert voiced == sorted(voiced) and voiced[-1] == len("One moment. There are sixteen.")


async def test_a_front_that_has_spoken_speaks_again_only_after_a_while() -> None:
    front = Front(ASKING, word_ms=20)
    async with asked(front, said(first_delay_ms=900), again_s=0.3) as (talk, _):
        events = await replied(talk)
    assert text(events).startswith("Let me look. One moment. ")
    assert text(events).endswith(" There are sixteen.")
    assert "still" in front.talk.asks[1].instructions


async def test_words_that_come_later_than_the_answer_are_not_said() -> None:
    slow = ScriptedReply(when="Ounces in", text="One moment.", first_delay_ms=5000)
    front = Front(ASKING_AT_ONCE, slow)
    async with asked(front, said(first_delay_ms=700)) as (talk, _), asyncio.timeout(3):
        assert text(await replied(talk)) == "There are sixteen."
    assert len(front.talk.asks) == 3


async def test_nothing_is_said_meanwhile_in_a_reply_that_is_not_spoken() -> None:
    front = Front(ASKING_AT_ONCE)
    async with asked(front, said(first_delay_ms=700)) as (talk, _):
        assert text(await replied(talk, Ask(speak=False))) == "There are sixteen."
    assert len(front.talk.asks) == 2


async def test_a_front_that_cannot_speak_meanwhile_is_silent_meanwhile() -> None:
    broken = ScriptedReply(when="Ounces in", fail="no breath")
    async with asked(Front(ASKING_AT_ONCE, broken), said(first_delay_ms=800)) as (talk, _):
        assert text(await replied(talk)) == "There are sixteen."


async def test_a_front_that_needs_no_help_asks_nobody() -> None:
    async with asked(Front()) as (talk, expert):
        assert text(await replied(talk)) == f"You said: {QUESTION}"
    assert not expert.requests


@pytest.mark.parametrize(
    "ask",
    [
        Ask(tool_choice="none"),
        Ask(tools=(WEATHER,), tool_choice="required"),
        Ask(tools=(WEATHER,), tool_choice="function:get_weather"),
        Ask(keep=False),
        Ask(keep=False, context=(user(),)),
    ],
)
async def test_where_it_may_not_call_or_must_call_the_clients_it_has_no_tool(ask: Ask) -> None:
    front = Front(ASKING)
    async with asked(front) as (talk, expert):
        events = await replied(talk, ask)
        talk.configure(ask)
    assert front.talk.asks == [ask] and front.talk.configured == [ask]
    assert [call.name for call in calls(events) if call.name] == [
        "get_weather" for _ in range(ask.tool_choice in ("required", "function:get_weather"))
    ]
    assert not expert.requests


async def test_a_tool_of_the_client_keeps_its_name() -> None:
    own = Tool(NAME, "The client's own.")
    theirs = ScriptedCall(NAME, '{"of": "the client"}')
    ours = ScriptedCall(f"{NAME}_2", ASKS.arguments)
    asks = ScriptedReply(when="ounces", text="Well.", calls=(ours, theirs))
    async with asked(Front(asks)) as (talk, expert):
        events = await replied(talk, Ask(tools=(own,)))
    (first, last) = calls(events)
    assert (first.name, first.delta, first.index) == (NAME, '{"of": "the client"}', 0)
    assert last.final and len(expert.requests) == 1


async def test_beside_a_call_of_the_client_the_answer_waits_for_its_result() -> None:
    asks = ScriptedReply(
        when="ounces", text="Let me look.", calls=(ASKS, ScriptedCall("get_weather"))
    )
    front = Front(asks, ScriptedReply(when="rainy", text="Both are known."))
    async with asked(front) as (talk, _):
        events = await replied(talk, ASK)
        assert text(events) == "Let me look."
        assert [call.index for call in calls(events)] == [0, 0]
        assert done(events).reason == "completed" and len(front.talk.asks) == 1
        # What the core puts then, each behind the newest item that it knows:
        talk.put(Item("said", "assistant", (Part("Let me look."),)), "user")
        talk.put(Item("theirs", "call", call=CallPart("call_1", "get_weather", "{}")), "said")
        talk.put(Item("result", "result", (Part("rainy"),), call_id="call_1"), "theirs")
        assert front.talk.told == [
            SPOKEN,
            "call ask_expert",
            f"result: {EXPERT_SAYS}",
            "assistant: Let me look.",
            "call get_weather",
            "result: rainy",
        ]
        assert text(await replied(talk, ASK)) == "Both are known."


async def test_two_questions_at_once_are_asked_side_by_side() -> None:
    twice = ScriptedReply(when="ounces", calls=(ASKS, ScriptedCall(NAME, '{"question": "b?"}')))
    front = Front(twice)
    answers = (said(first_delay_ms=300), said("Sixteen again.", first_delay_ms=300))
    async with asked(front, *answers) as (talk, expert), asyncio.timeout(2):
        began = asyncio.get_running_loop().time()
        assert text(await replied(talk)) == "There are sixteen."
        assert asyncio.get_running_loop().time() - began < 0.55
        assert [line.split(":")[0] for line in front.talk.told[1:]] == [
            "call ask_expert",
            "result",
        ] * 2
    assert len(expert.requests) == 2


async def test_a_front_that_asks_again_and_again_is_stopped() -> None:
    again = ScriptedReply(when="", text="Hm.", calls=(ASKS,))
    front = Front(again)
    async with asked(front) as (talk, expert):
        assert text(await replied(talk)) == "Hm. Hm. Hm."
    offers = [[tool.name for tool in ask.tools] for ask in front.talk.asks]
    assert offers == [[NAME], [NAME], []]
    assert len(expert.requests) == delegation.MOST_LOOKUPS


async def test_a_call_without_a_question_gives_the_expert_the_conversation() -> None:
    weak = ScriptedReply(when="ounces", calls=(ScriptedCall(NAME, '{"what": 1}'),))
    async with asked(Front(weak)) as (talk, expert):
        assert text(await replied(talk)) == "There are sixteen."
    assert QUESTION in expert.requests[0]["messages"][-1]["content"]


async def test_the_expert_reads_what_the_user_said_aloud() -> None:
    front = Front(ASKING, transcripts=("How many ounces, please?", "And ounces in two?"))
    async with asked(front) as (talk, expert):
        for number in range(2):
            talk.put(
                Item(f"spoken{number}", "user", (Part(pcm=tone(200), media_id=f"spoken{number}"),))
            )
            assert text(await replied(talk)) == "Let me look. There are sixteen."
    told = [str(request["messages"]) for request in expert.requests]
    assert "How many ounces, please?" in told[0] and "And ounces in two?" not in told[0]
    assert "How many ounces, please?" in told[1] and "And ounces in two?" in told[1]


async def test_a_context_of_its_own_goes_on_with_what_was_looked_up() -> None:
    front = Front(ASKING)
    async with asked(front) as (talk, expert):
        ask = Ask(context=(user("How many ounces, I ask?", "other"),))
        assert text(await replied(talk, ask)) == "Let me look. There are sixteen."
    context = front.talk.asks[1].context
    assert context and [item.role for item in context] == ["user", "call", "result"]
    words = str(expert.requests[0]["messages"])
    assert "I ask" in words and QUESTION not in words


# What it costs


async def test_all_that_was_read_and_written_is_counted() -> None:
    front = Front(ASKING_AT_ONCE)
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 9,
        "prompt_tokens_details": {"cached_tokens": 40},
    }
    async with asked(front, said(usage=usage, first_delay_ms=800)) as (talk, _):
        events = await replied(talk, Ask(instructions="Be brief."))
    # Instructions, the tool's name and the question; the aside's question; the expert; then all
    # of the first again with call and result, of which the first 11 words are cached.
    aside = len(front.talk.asks[1].instructions.split()) + 4
    again = 11 + len(("ask_expert", *ASKS.arguments.split(), *EXPERT_SAYS.split()))
    assert read(events).input == {"text": 11 + aside + 100 + again}
    assert read(events).cached == {"text": 40 + 11}
    assert tokens(events) == 1 + len(["One", "moment."]) + 9 + len("There are sixteen.".split())


async def test_a_limit_holds_for_everything_that_is_written() -> None:
    front = Front(ASKING)
    async with asked(front, said(usage={"prompt_tokens": 9, "completion_tokens": 5})) as (
        talk,
        expert,
    ):
        events = await replied(talk, Ask(max_tokens=14))
        assert expert.requests[0]["max_tokens"] == 5  # half of what three words and a call left
        assert front.talk.asks[1].max_tokens == 5
        assert done(events).reason == "completed" and tokens(events) == 3 + 1 + 5 + 3
        talk.put(user(item_id="user2"))
        events = await replied(talk, Ask(max_tokens=5))
        assert done(events).reason == "length" and text(events) == "Let me look."
        assert tokens(events) == 5


async def test_the_stages_are_those_of_the_first_words() -> None:
    class Staged(Front):
        async def open(self, ask: Ask) -> Any:
            talk = await super().open(ask)
            reply = talk.reply
            count = iter(range(1, 9))

            async def staged(ask: Ask) -> Any:
                async for event in reply(ask):
                    if isinstance(event, Done):
                        number = float(next(count))
                        event = Done(stages={"first_token": number, f"only_{number:g}": number})
                    yield event

            talk.reply = staged  # type: ignore[method-assign]
            return talk

    async with asked(Staged(ASKING)) as (talk, _):
        stages = done(await replied(talk)).stages
    assert stages == {"first_token": 1.0, "only_1": 1.0, "only_2": 2.0}


# Interruption


async def test_closing_the_reply_closes_the_experts_request_at_once() -> None:
    loop = asyncio.get_running_loop()
    front = Front(ASKING)
    async with asked(front, said(first_delay_ms=60_000)) as (talk, expert), asyncio.timeout(5):
        async with aclosing(talk.reply(Ask())) as events:  # type: ignore[type-var]
            async with asyncio.TaskGroup() as group:
                reading = group.create_task(_drain(events))
                await expert.until(lambda it: bool(it.requests))
                reading.cancel()
                await asyncio.wait([reading])
            at = loop.time()
        await expert.until(lambda it: bool(it.abort_times))
        assert expert.abort_times[0] - at < 0.05
        assert front.talk.told == [SPOKEN]


async def test_an_answer_that_is_half_there_is_aborted_too() -> None:
    slow = said("one two three four five six seven eight nine ten", chunk_delay_ms=200)
    async with asked(Front(ASKING_AT_ONCE), slow) as (talk, expert), asyncio.timeout(5):
        async with aclosing(talk.reply(Ask())) as events:  # type: ignore[type-var]
            async for event in events:
                if isinstance(event, Say):
                    break  # the aside
            at = asyncio.get_running_loop().time()
        await expert.until(lambda it: bool(it.abort_times))
        assert expert.abort_times[0] - at < 0.05


async def test_what_nobody_heard_of_is_not_remembered() -> None:
    late = ScriptedReply(when="Sixteen", text="There are sixteen.", first_delay_ms=60_000)
    front = Front(ASKING_AT_ONCE, late)
    async with asked(front) as (talk, _), asyncio.timeout(5):
        async with aclosing(talk.reply(Ask())) as events:  # type: ignore[type-var]
            async with asyncio.TaskGroup() as group:
                reading = group.create_task(_drain(events))
                while len(front.talk.told) < 3:  # noqa: ASYNC110 - until the answer is noted
                    await asyncio.sleep(0)
                reading.cancel()
        assert front.talk.told == [SPOKEN]


async def test_what_was_looked_up_is_known_after_an_interruption_of_the_answer() -> None:
    front = Front(ASKING)
    async with asked(front) as (talk, _):
        async with aclosing(talk.reply(Ask())) as events:  # type: ignore[type-var]
            async for event in events:
                if isinstance(event, Say) and "sixteen" in event.text:
                    break
        talk.put(Item("said", "assistant", (Part("Let me look. There are sixteen."),)), "user")
        talk.cut("said", 900, "Let me look.")
        talk.put(user("And in two?", "user2"), "said")
        assert front.talk.told == [
            SPOKEN,
            "call ask_expert",
            f"result: {EXPERT_SAYS}",
            "assistant: Let me look.",
            "user: And in two?",
        ]


async def test_closing_a_reply_that_was_never_read_leaves_nothing() -> None:
    async with asked(Front(ASKING)) as (talk, expert):
        reply = talk.reply(Ask())
        await reply.aclose()  # type: ignore[attr-defined]
        await reply.aclose()  # type: ignore[attr-defined]
        assert [event async for event in reply] == []
        assert not expert.requests


async def test_closing_the_talk_ends_a_reply_that_waits() -> None:
    async with asked(Front(ASKING), said(first_delay_ms=60_000)) as (talk, expert):
        async with asyncio.timeout(5), asyncio.TaskGroup() as group:
            group.create_task(_fails(talk))
            await expert.until(lambda it: bool(it.requests))
            await talk.aclose()
        await expert.until(lambda it: bool(it.abort_times))


async def _drain(events: Any) -> None:
    async for _ in events:
        pass


async def _fails(talk: Any) -> None:
    with pytest.raises(Exception, match="over"):
        await replied(talk)


# Faults of the expert

ILL = {
    "wrong key": said(status=401, raw=f"no such key: {KEY}".encode()),
    "over quota": said(status=429, raw=b'{"error": {"message": "quota"}}'),
    "no such model": said(status=404, raw=b"{}"),
    "broken": said(status=500, raw=b"{}"),
    "a page": said(raw=b"<html>Welcome</html>", headers=(("content-type", "text/html"),)),
    "a redirect": said(status=302, raw=b"", headers=(("location", "http://127.0.0.1:1/"),)),
    "no JSON": said(raw=b"data: what?\n\n", headers=(("content-type", "text/event-stream"),)),
    "cut in the middle": said(drop_after=2),
    "withheld": said(finish="content_filter"),
    "silent": said(""),
    "slow": said(first_delay_ms=60_000),
}


@pytest.mark.parametrize("answer", ILL.values(), ids=ILL)
async def test_a_front_whose_expert_is_ill_says_so_and_asks_again_the_next_time(
    answer: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    front = Front(ASKING)
    answer_s = 0.4 if answer.first_delay_ms else 30.0
    with caplog.at_level(logging.DEBUG):
        async with asked(front, answer, said(), answer_s=answer_s) as (talk, _):
            assert text(await replied(talk)) == "Let me look. Sorry, I cannot find out."
            assert KEY not in str(front.talk.history)
            talk.put(user(f"{QUESTION} Again.", "user2"))
            assert text(await replied(talk)) == "Let me look. There are sixteen."
    assert any("expert" in record.message for record in caplog.records)
    assert not any(KEY in record.getMessage() for record in caplog.records)


async def test_an_expert_that_is_absent_is_told_of() -> None:
    async with delegating(Front(ASKING), "http://127.0.0.1:1/v1") as talk:
        talk.put(user())
        assert text(await replied(talk)) == "Let me look. Sorry, I cannot find out."


async def test_an_expert_that_never_comes_to_an_end_is_stopped() -> None:
    endless = said(" ".join(["Sixteen"] * 2000))
    front = Front(ASKING)
    async with asked(front, endless) as (talk, _):
        assert text(await replied(talk)) == "Let me look. There are sixteen."
        (result,) = (item for item in front.talk.history if item.role == "result")
        assert len(result.parts[0].text or "") == 6001
