"""What is sent upstream: golden bodies for sound, images, tools and what was cut."""

import base64
import io
import json
import wave
from typing import Any

import pytest
from msgspec import structs

from duologue.core.talk import Ask, CallPart, Item, Part, Tool
from duologue.engines.chat.request import PENDING, Model, render
from duologue.engines.scripted import tone
from duologue.engines.sizes import (
    MESSAGE_TOKENS,
    audio_tokens_per_s,
    input_tokens,
    item_tokens,
    size,
)

OMNI = Model("qwen3-omni", ("ethan", "chelsie"))
WEATHER = Tool("get_weather", "Tells the weather.", {"type": "object", "properties": {}})


def body(ask: Ask, *items: Item, model: Model = OMNI) -> Any:
    return json.loads(render(ask, items, model))


def messages(*items: Item) -> Any:
    return body(Ask(), *items)["messages"]


def user(text: str) -> Item:
    return Item(text, "user", (Part(text),))


def said(text: str) -> Item:
    return Item(text, "assistant", (Part(text),))


def call(call_id: str, arguments: str = "{}") -> Item:
    return Item(f"item_{call_id}", "call", call=CallPart(call_id, "get_weather", arguments))


def result(call_id: str, text: str) -> Item:
    return Item(f"result_{call_id}", "result", (Part(text),), call_id=call_id)


def called(*call_ids: str, content: str | None = None) -> dict[str, Any]:
    function = {"name": "get_weather", "arguments": "{}"}
    calls = [{"id": one, "type": "function", "function": function} for one in call_ids]
    return {"role": "assistant", "content": content, "tool_calls": calls}


def answered(call_id: str, text: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": text}


def test_a_spoken_turn_is_a_wav_file_and_the_voice_is_named_where_the_dialect_wants_it() -> None:
    pcm = tone(100)
    item = Item("u", "user", (Part("never sent beside its sound", pcm), Part("and this")))
    ask = Ask(instructions="Be brief.", voice="chelsie", max_tokens=90)
    sent = body(ask, item)
    sound = sent["messages"][1]["content"][0]["input_audio"]["data"]
    with wave.open(io.BytesIO(base64.b64decode(sound))) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (24_000, 1, 2)
        assert file.readframes(file.getnframes()) == pcm
    assert sent == {
        "model": "qwen3-omni",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "input_audio", "input_audio": {"data": sound, "format": "wav"}},
                    {"type": "text", "text": "and this"},
                ],
            },
        ],
        "modalities": ["text", "audio"],
        "stream": True,
        "stream_options": {"include_usage": True},
        "audio": {"voice": "chelsie", "format": "wav"},
        "voice": "chelsie",
        "max_completion_tokens": 90,
    }
    hosted = body(ask, item, model=Model("gpt-audio", ("chelsie",), "openai"))
    assert hosted["audio"] == {"voice": "chelsie", "format": "pcm16"} and "voice" not in hosted


def test_a_voice_that_the_upstream_does_not_have_is_not_asked_for() -> None:
    sent = body(Ask(voice="marin"))
    assert sent["audio"] == {"format": "wav"} and "voice" not in sent


def test_a_text_reply_asks_for_no_sound() -> None:
    sent = body(Ask(speak=False, voice="ethan"), user("Hello"))
    assert sent["modalities"] == ["text"] and "audio" not in sent and "voice" not in sent
    assert sent["messages"] == [{"role": "user", "content": "Hello"}]


def test_an_image_goes_as_its_data_uri() -> None:
    item = Item("u", "user", (Part("What is it?"), Part(image_url="data:image/png;base64,AA==")))
    assert messages(item) == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is it?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
            ],
        }
    ]
    assert item_tokens(item)["image"] == 1000


@pytest.mark.parametrize("detail", ["low", "high"])
def test_how_closely_an_image_is_to_be_looked_at_goes_along(detail: Any) -> None:
    part = Part(image_url="data:image/png;base64,AA==", image_detail=detail)
    (message,) = messages(Item("u", "user", (part,)))
    assert message["content"][0]["image_url"] == {
        "url": "data:image/png;base64,AA==",
        "detail": detail,
    }


def test_tools_go_with_their_choice_and_the_limit_to_one_call() -> None:
    ask = Ask(tools=(WEATHER,), tool_choice="function:get_weather", parallel_calls=False)
    sent = body(ask, user("Weather?"))
    assert sent["tools"] == [
        {
            "type": "function",
            "function": {
                "name": "get_weather",
                "description": "Tells the weather.",
                "parameters": {"type": "object", "properties": {}},
            },
        }
    ]
    assert sent["tool_choice"] == {"type": "function", "function": {"name": "get_weather"}}
    assert sent["parallel_tool_calls"] is False
    assert "parallel_tool_calls" not in body(Ask(tools=(WEATHER,)))


def test_calls_stand_in_one_message_with_what_was_said_and_their_results_behind() -> None:
    items = (user("?"), said("Let me look."), call("a"), call("b"), result("b", "wet"))
    assert messages(*items, result("a", "dry"))[1:] == [
        called("a", "b", content="Let me look."),
        answered("a", "dry"),
        answered("b", "wet"),
    ]


def test_a_call_without_a_result_has_a_place_held_for_it() -> None:
    assert messages(call("a"), user("And?")) == [
        called("a"),
        answered("a", PENDING),
        {"role": "user", "content": "And?"},
    ]


def test_a_late_result_stands_last_with_its_call_so_that_it_is_news() -> None:
    items = (said("I look."), call("a"), user("Hurry"), said("Soon."), result("a", "dry"))
    assert messages(*items) == [
        {"role": "assistant", "content": "I look."},
        {"role": "user", "content": "Hurry"},
        {"role": "assistant", "content": "Soon."},
        called("a"),
        answered("a", "dry"),
    ]


def test_a_result_whose_call_is_not_there_is_told_in_words() -> None:
    assert messages(result("x", "dry")) == [
        {"role": "user", "content": "(A function answered: dry)"}
    ]


def test_an_item_of_which_nothing_was_heard_is_left_out() -> None:
    assert messages(user("Hello"), said(""), user("Again")) == [
        {"role": "user", "content": "Hello"},
        {"role": "user", "content": "Again"},
    ]


def test_sizes_are_counted_by_modality() -> None:
    item = Item("u", "user", (Part(None, tone(800)), Part("12345678")))
    assert item_tokens(item) == {"text": 4 + 2, "audio": 10}
    assert input_tokens(Ask(instructions="1234"), [item]) == {"text": 5 + 6, "audio": 10}


def test_how_hard_to_think_is_said_only_where_somebody_has_said_it() -> None:
    assert body(Ask(reasoning="low"))["reasoning_effort"] == "low"
    assert "reasoning_effort" not in body(Ask())


def test_further_fields_of_the_owner_are_sent_and_change_nothing_of_ours() -> None:
    extra = {"chat_template_kwargs": {"use_tts_template": True}, "stream": False}
    sent = body(Ask(), model=structs.replace(OMNI, extra=extra))
    assert sent["chat_template_kwargs"] == {"use_tts_template": True} and sent["stream"] is True


def test_a_second_of_sound_is_what_the_model_makes_of_it() -> None:
    item = Item("u", "user", (Part(pcm=tone(1010)),))
    assert item_tokens(item)["audio"] == 13
    assert item_tokens(item, 25.0)["audio"] == size(item, 25.0) - MESSAGE_TOKENS == 26
    assert input_tokens(Ask(), [item], 25.0)["audio"] == 26
    assert audio_tokens_per_s("Qwen/Qwen2.5-Omni-7B") == 25.0
    assert audio_tokens_per_s("Qwen/Qwen3-Omni-30B-A3B-Instruct") == 12.5
