"""What a chunk of a streamed chat completion says of its model."""

import pytest

from duologue.core.talk import Ask, Tool
from duologue.engines.remote.chat_stream import ChatStream

CALL = {"index": 0, "id": "a", "function": {"name": "look", "arguments": ""}}


@pytest.mark.parametrize(
    ("choice", "got_on"),
    [
        ({"delta": {"content": "Well"}}, True),
        ({"delta": {"refusal": "No"}}, True),
        ({"delta": {"reasoning": "Hm"}}, True),
        ({"delta": {"reasoning_content": "Hm"}}, True),
        ({"delta": {"tool_calls": [CALL]}}, True),
        ({"delta": {}, "finish_reason": "stop"}, True),
        ({"delta": {"role": "assistant", "content": ""}}, False),
        ({"delta": None}, False),
        (None, False),
    ],
)
def test_a_model_gets_on_where_a_chunk_says_something(choice: object, got_on: bool) -> None:
    stream = ChatStream(Ask(tools=(Tool("look"),)))
    list(stream.take({"choices": [choice] if choice else []}))
    assert stream.got_on is got_on


def test_an_end_that_is_said_again_is_no_getting_on() -> None:
    stream = ChatStream(Ask())
    end = {"choices": [{"delta": {}, "finish_reason": "stop"}]}
    list(stream.take(end))
    list(stream.take(end))
    assert not stream.got_on
