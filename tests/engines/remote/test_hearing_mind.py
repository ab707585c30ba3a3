"""A mind on another server that takes sound: it gets what the user said as sound, not in words."""

import asyncio
import base64
import gc
import io
import json
import sys
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from duologue.core.talk import Ask, Began, Call, CallPart, Item, Part, Tool, Truncation
from duologue.engines.composed.engine import ComposedEngine
from duologue.engines.composed.talk import ComposedTalk
from duologue.engines.remote.chat_messages import FRAME_TOKENS, request, size, sizes
from duologue.engines.remote.chat_mind import ChatMind
from duologue.errors import EngineFault
from duologue.remote.server import RemoteServer
from duologue.testing.chat_stand_in import Answer, ChatStandIn, standing_in
from engines.composed.engine_kit import events, rest, text
from engines.composed.parts_kit import (
    ScriptedEar,
    ScriptedEye,
    ScriptedMouth,
    said,
    sound,
    spoken,
    typed,
)

SECOND = b"\1\0" * 24_000
TOOLS = (Tool("weather", "The weather.", {"type": "object", "properties": {}}),)
USAGE = {"prompt_tokens": 60, "completion_tokens": 4}


def saying(words: str, **more: Any) -> Answer:
    return Answer(text=words, sound_ms=0, usage=USAGE, **more)


@asynccontextmanager
async def talking(
    upstream: ChatStandIn, *, context_tokens: int = 4096
) -> AsyncIterator[tuple[ComposedTalk, ScriptedEar]]:
    """A conversation whose ear never comes to an end: whoever waits for it hangs."""
    ear = ScriptedEar()
    ear.gate.shut()
    async with standing_in(upstream) as url, asyncio.timeout(20):
        server = RemoteServer(f"{url}#ultravox", "llm", "the language model's server")
        mind = ChatMind(server, context_tokens=context_tokens, hears=True)
        engine = ComposedEngine(ear, mind, ScriptedMouth(), ScriptedEye())
        assert engine.traits.hears and not engine.traits.speaks
        assert not engine.traits.shown().end_to_end
        try:
            yield await engine.open(Ask()), ear
        finally:
            await engine.aclose()


def pcm_of(part: dict[str, Any]) -> bytes:
    """The sound of a part of a message."""
    assert part["type"] == "input_audio" and part["input_audio"]["format"] == "wav"
    with wave.open(io.BytesIO(base64.b64decode(part["input_audio"]["data"]))) as file:
        form = file.getframerate(), file.getnchannels(), file.getsampwidth()
        assert form == (24_000, 1, 2)
        return file.readframes(file.getnframes())


async def test_what_the_user_says_is_sent_as_sound_and_no_ear_is_waited_for() -> None:
    upstream = ChatStandIn(saying("Yes."))
    async with talking(upstream) as (talk, ear):
        talk.put(typed("t", "Good day."))
        talk.put(said("a", "Hello."))
        talk.put(spoken("u", "Is it sunny?"))
        got = await events(talk.reply(Ask(instructions="Be kind.")))
        assert not ear.heard
    assert text(got) == "Yes."
    (asked,) = upstream.requests
    system, first, answer, last = asked["messages"]
    assert system["content"].endswith("Be kind.")
    assert first == {"role": "user", "content": "Good day."}
    assert answer == {"role": "assistant", "content": "Hello."}
    assert last["role"] == "user"
    assert [pcm_of(part) for part in last["content"]] == [sound("Is it sunny?")]
    assert "sunny" not in json.dumps(asked)
    assert asked["modalities"] == ["text"]


async def test_a_guess_is_sent_with_its_sound_and_is_asked_for_once() -> None:
    upstream = ChatStandIn(saying("Yes."))
    async with talking(upstream) as (talk, ear):
        talk.expect(spoken("u", "Is it?"))
        await upstream.until(lambda it: len(it.requests) == 1)
        talk.put(spoken("u", "Is it?", silence=100))
        assert text(await events(talk.reply(Ask()))) == "Yes."
        assert not ear.heard
    (asked,) = upstream.requests
    assert pcm_of(asked["messages"][-1]["content"][0]) == sound("Is it?")


async def test_a_guess_is_dropped_when_speech_goes_on() -> None:
    upstream = ChatStandIn(saying("No.", first_delay_ms=60_000), saying("Yes."))
    async with talking(upstream) as (talk, _):
        talk.expect(spoken("u", "Is it"))
        await upstream.until(lambda it: len(it.requests) == 1)
        talk.expect(None)
        await upstream.until(lambda it: len(it.abort_times) == 1)
        talk.put(spoken("u", "Is it sunny?"))
        assert text(await events(talk.reply(Ask()))) == "Yes."
    assert pcm_of(upstream.requests[1]["messages"][-1]["content"][0]) == sound("Is it sunny?")


async def test_an_interruption_closes_the_request_and_only_what_was_heard_is_history() -> None:
    upstream = ChatStandIn(
        saying("One is here now. Two is not, and so it goes on.", chunk_delay_ms=100),
        saying("Fine."),
    )
    async with talking(upstream) as (talk, _):
        talk.put(spoken("u", "Go on."))
        reply = talk.reply(Ask())
        heard = ""
        while "now." not in heard:
            heard += text([await anext(reply)])
        assert not upstream.abort_times
        await reply.aclose()
        await upstream.until(lambda it: len(it.abort_times) == 1)
        talk.put(said("a", "One is here now."))
        talk.cut("a", 200, "One is")
        talk.put(spoken("v", "Stop."))
        assert text(await events(talk.reply(Ask()))) == "Fine."
    _, first, answer, second = upstream.requests[1]["messages"]
    assert pcm_of(first["content"][0]) == sound("Go on.")  # the history stays as it was sent
    assert answer == {"role": "assistant", "content": "One is"}
    assert pcm_of(second["content"][0]) == sound("Stop.")


async def test_a_call_and_its_result_stand_between_sounds() -> None:
    upstream = ChatStandIn(
        saying("", calls=(("weather", '{"city":"Rome"}'),)), saying("Sunny."), saying("Bye.")
    )
    async with talking(upstream) as (talk, _):
        talk.put(spoken("u", "Weather?"))
        ask = Ask(tools=TOOLS)
        calls = [event for event in await events(talk.reply(ask)) if isinstance(event, Call)]
        assert calls[0].name == "weather" and calls[-1].final
        assert "".join(call.delta for call in calls) == '{"city":"Rome"}'
        talk.put(Item("c", "call", call=CallPart("id1", "weather", '{"city":"Rome"}')))
        talk.put(Item("r", "result", (Part(text="sun"),), call_id="id1"))
        assert text(await events(talk.reply(ask))) == "Sunny."
        talk.put(said("a", "Sunny."))
        talk.put(spoken("v", "Thanks."))
        await events(talk.reply(ask))
    assert [tool["function"]["name"] for tool in upstream.requests[0]["tools"]] == ["weather"]
    messages = upstream.requests[2]["messages"]
    roles = ["system", "user", "assistant", "tool", "assistant", "user"]
    assert [message["role"] for message in messages] == roles
    assert upstream.requests[1]["messages"] == messages[:4]
    assert messages[3]["content"] == "sun" and messages[2]["tool_calls"][0]["id"] == "id1"
    assert [pcm_of(messages[n]["content"][0]) for n in (1, 5)] == [
        sound("Weather?"),
        sound("Thanks."),
    ]


async def test_a_call_that_is_required_is_asked_for_as_json_of_the_same_sound() -> None:
    forced = saying('{"name": "weather", "arguments": {"city": "Rome"}}')
    upstream = ChatStandIn(saying("I would rather chat."), forced)
    async with talking(upstream) as (talk, _):
        talk.put(spoken("u", "Weather?"))
        got = await events(talk.reply(Ask(tools=TOOLS, tool_choice="required")))
    assert [event.name for event in got if isinstance(event, Call)][0] == "weather"
    asked, again = upstream.requests
    assert "tools" in asked and "response_format" in again
    assert asked["messages"][-1] == again["messages"][-1]
    assert pcm_of(again["messages"][-1]["content"][0]) == sound("Weather?")


async def test_a_reply_out_of_band_hears_its_own_context_only() -> None:
    upstream = ChatStandIn(saying("Yes."))
    async with talking(upstream) as (talk, _):
        talk.put(spoken("u", "A secret."))
        ask = Ask(context=(spoken("c", "Is it?"),), keep=False, speak=False, instructions="Judge.")
        await events(talk.reply(ask))
    system, heard = upstream.requests[0]["messages"]
    assert system == {"role": "system", "content": "Judge."}
    assert [pcm_of(part) for part in heard["content"]] == [sound("Is it?")]


async def test_of_sound_beside_words_and_images_each_is_sent_in_its_place() -> None:
    upstream = ChatStandIn(saying("Yes."))
    parts = (
        Part(text="Listen:"),
        Part(text="known words", pcm=SECOND),
        Part(image_url="data:image/png;base64,SALE", media_id="u"),
    )
    async with talking(upstream) as (talk, _):
        talk.put(typed("t", "Well."))
        talk.put(Item("u", "user", parts))
        await events(talk.reply(Ask()))
    _, user, note = upstream.requests[0]["messages"]
    first, second, heard, image = user["content"]
    assert first == {"type": "text", "text": "Well."}
    assert second == {"type": "text", "text": "Listen:"}
    assert pcm_of(heard) == SECOND
    assert image == {"type": "text", "text": '(an image; text read in it: "SALE")'}
    assert note["role"] == "system"
    assert "known words" not in json.dumps(upstream.requests[0])


async def test_old_sound_that_has_no_room_is_left_out_or_the_reply_fails() -> None:
    upstream = ChatStandIn(saying("Yes."))
    async with talking(upstream, context_tokens=1024) as (talk, _):
        for number in range(8):
            pcm = SECOND * 10 + bytes([number, 1])
            talk.put(Item(f"u{number}", "user", (Part(pcm=pcm),)))
            talk.put(said(f"a{number}", f"Answer {number}."))
        talk.put(typed("last", "So?"))
        with pytest.raises(EngineFault) as fault:
            await events(talk.reply(Ask(truncation=Truncation(allowed=False))))
        assert fault.value.code == "context_length_exceeded" and not upstream.requests
        await events(talk.reply(Ask()))
    users = [m for m in upstream.requests[0]["messages"] if m["role"] == "user"]
    kept = [pcm_of(m["content"][0])[-2] for m in users if isinstance(m["content"], list)]
    assert 0 < len(kept) < 4 and kept == list(range(8 - len(kept), 8))


async def test_sound_that_has_no_room_any_more_is_not_kept_either() -> None:
    upstream = ChatStandIn(saying("Yes."))
    sounds = [SECOND * 10 + bytes([number, 1]) for number in range(8)]
    async with talking(upstream, context_tokens=1024) as (talk, _):
        for number, pcm in enumerate(sounds):
            talk.put(Item(f"u{number}", "user", (Part(pcm=pcm),)))
            talk.put(said(f"a{number}", f"Answer {number}."))
        await events(talk.reply(Ask()))
        del pcm
        await rest()
        gc.collect()  # replies and their tasks refer to each other
        held = [sys.getrefcount(pcm) > 3 for pcm in sounds]
        await events(talk.reply(Ask()))
    assert 0 < sum(held) < 4 and held == sorted(held)
    first, second = (request["messages"] for request in upstream.requests)
    assert first == second


@pytest.mark.parametrize(
    ("details", "expected", "cached"),
    [
        pytest.param(None, {"text": 35, "audio": 25}, {"text": 0, "audio": 0}, id="our split"),
        pytest.param(
            {"audio_tokens": 40, "cached_tokens": 30},
            {"text": 20, "audio": 40},
            {"text": 20, "audio": 10},
            id="the server's split",
        ),
        pytest.param(
            {"audio_tokens": 999, "cached_tokens": 999},
            {"text": 0, "audio": 60},
            {"text": 0, "audio": 60},
            id="one that cannot be",
        ),
    ],
)
async def test_usage_is_the_upstreams_and_an_estimate_with_sound_until_then(
    details: dict[str, int] | None, expected: dict[str, int], cached: dict[str, int]
) -> None:
    told = USAGE | ({"prompt_tokens_details": details} if details else {})
    upstream = ChatStandIn(Answer(text="Yes.", sound_ms=0, usage=told))
    async with talking(upstream) as (talk, _):
        talk.put(Item("u", "user", (Part(pcm=SECOND * 2),)))
        got = await events(talk.reply(Ask()))
    first, *_, last = [event for event in got if isinstance(event, Began)]
    assert first.input["audio"] == 25 and first.input["text"] > FRAME_TOKENS
    assert last == Began(input=expected, cached=cached)


def test_a_model_that_reads_gets_words_only() -> None:
    item = Item("u", "user", (Part(text="Is it?", pcm=SECOND),))
    asked = request(Ask(speak=False), [item])
    assert asked == {"messages": [{"role": "user", "content": "Is it?"}]}
    assert size(item) == FRAME_TOKENS + 2
    assert sizes(item, hears=True) == {"text": FRAME_TOKENS, "audio": 13}
    assert size(item, hears=True, per_s=25.0) == FRAME_TOKENS + 25


def test_sound_of_the_assistant_is_sent_as_its_words() -> None:
    item = Item("a", "assistant", (Part(text="It is.", pcm=SECOND),))
    assert request(Ask(speak=False), [item], hears=True)["messages"] == [
        {"role": "assistant", "content": "It is."}
    ]
    assert set(sizes(item, hears=True)) == {"text"}
