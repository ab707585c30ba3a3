"""What an engine cannot do is refused by path, and changes nothing."""

from typing import Any

from duologue.core.settings import SessionConfig
from duologue.events import Error, SessionCreated
from pictures import data_uri, drawn, file
from session_kit import played, update, user

PLAIN = SessionConfig(
    id="sess_plain", model="plain", calls_functions=False, takes_images=False, is_audible=False
)
"""An engine that only reads and writes."""


def refused(*events: dict[str, Any]) -> list[tuple[str | None, str | None]]:
    t = played(*events, config=PLAIN)
    return [(event.error.code, event.error.param) for event in t.events(Error)]


def test_tools_are_refused_where_the_engine_calls_none() -> None:
    tools = [{"type": "function", "name": "f"}]
    assert refused(update(tools=tools), update(tools=[])) == [("invalid_value", "session.tools")]
    create = {"type": "response.create", "response": {"tools": tools}}
    assert refused(create) == [("invalid_value", "response.tools")]


def test_sound_is_refused_where_the_engine_has_no_voice_and_text_is_what_it_begins_with() -> None:
    (created,) = played(config=PLAIN).events(SessionCreated)
    assert created.session.output_modalities == ("text",)  # type: ignore[union-attr]
    assert refused(update(output_modalities=["audio"]), update(output_modalities=["text"])) == [
        ("invalid_value", "session.output_modalities")
    ]
    create = {"type": "response.create", "response": {"output_modalities": ["audio"]}}
    assert refused(create) == [("invalid_value", "response.output_modalities")]


def test_an_image_is_refused_where_the_engine_makes_nothing_of_it() -> None:
    content = [
        {"type": "input_text", "text": "What is it?"},
        {"type": "input_image", "image_url": data_uri(file(drawn("A")))},
    ]
    item = {"type": "message", "role": "user", "content": content}
    assert refused({"type": "conversation.item.create", "item": item}) == [
        ("invalid_value", "item.content[1].type")
    ]
    create = {"type": "response.create", "response": {"conversation": "none", "input": [item]}}
    assert refused(create) == [("invalid_value", "response.input[0].content[1].type")]


def test_a_message_without_an_image_is_taken() -> None:
    call = {"type": "function_call", "name": "f", "arguments": "{}", "call_id": "c"}
    items = [{"type": "conversation.item.create", "item": item} for item in (user("Hi"), call)]
    assert refused(*items) == []


def test_a_voice_that_the_engine_lacks_is_refused_with_those_it_has() -> None:
    wrong = update(audio={"output": {"voice": "basso"}})
    assert refused(wrong) == [("invalid_value", "session.audio.output.voice")]
