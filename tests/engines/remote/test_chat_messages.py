from duologue.core.talk import Ask, CallPart, Item, Part
from duologue.engines.remote.chat_messages import PENDING, request
from engines.composed.parts_kit import said, typed

TEXT = Ask(speak=False)


def call(item_id: str, call_id: str) -> Item:
    return Item(item_id, "call", call=CallPart(call_id, "f", ""))


def result(item_id: str, call_id: str, text: str) -> Item:
    return Item(item_id, "result", (Part(text=text),), call_id=call_id)


def test_calls_in_a_row_are_one_message_and_each_has_its_result_after_it() -> None:
    items = [typed("u", "Hi."), call("c", "1"), call("d", "2"), result("s", "2", "b")]
    user, calls, one, two = request(TEXT, items)["messages"]
    assert user == {"role": "user", "content": "Hi."}
    assert [c["id"] for c in calls["tool_calls"]] == ["1", "2"]
    assert [c["function"]["arguments"] for c in calls["tool_calls"]] == ["{}", "{}"]
    assert one == {"role": "tool", "tool_call_id": "1", "content": PENDING}
    assert two == {"role": "tool", "tool_call_id": "2", "content": "b"}


def test_a_late_result_is_told_in_words_where_it_came() -> None:
    items = [call("c", "1"), typed("u", "And?"), result("r", "1", "sun"), result("x", "9", "?")]
    *_, last = request(TEXT, items)["messages"]
    assert last == {
        "role": "user",
        "content": "And?\n(The function f answered: sun)\n(The function function answered: ?)",
    }


def test_what_one_side_says_in_a_row_is_one_message() -> None:
    items = [typed("u", "One."), typed("v", "Two."), said("a", "Well."), call("c", "1")]
    user, assistant, tool = request(TEXT, items)["messages"]
    assert user["content"] == "One.\nTwo."
    assert assistant["content"] == "Well." and assistant["tool_calls"][0]["id"] == "1"
    assert tool["role"] == "tool"


def test_an_image_that_nobody_read_is_said_to_be_unseen() -> None:
    items = [Item("u", "user", (Part(text="Look:"), Part(image_url="data:…")))]
    (user,) = request(TEXT, items)["messages"]
    assert user["content"] == "Look: (an image that you cannot see)"


def test_without_instructions_and_sound_there_is_no_system_message() -> None:
    assert request(TEXT, [])["messages"] == []
    assert "spoken" in request(Ask(), [])["messages"][0]["content"]


def test_how_hard_to_think_is_said_only_where_somebody_has_said_it() -> None:
    assert request(Ask(reasoning="high"), [])["reasoning_effort"] == "high"
    assert "reasoning_effort" not in request(Ask(), [])
