"""The weight of server events: nothing large is overlooked, and nothing is looked at for it."""

import sys
from importlib.util import module_from_spec

import msgspec
import pytest
from msgspec import structs

from duologue.errors import SHOWN_CHARACTERS, Refusal
from duologue.events import (
    SERVER_EVENTS,
    ConversationItemAdded,
    FunctionTool,
    InputText,
    MessageItem,
    ResponseOutputAudioDelta,
    SessionUpdated,
    weight,
)
from duologue.events.codec import encode_server_event
from duologue.events.translation import SessionOutputAudioDelta
from duologue.events.weight import EVENT_BYTES, MOST_PARTS, VAST_BYTES, weight_of
from events.examples import SERVER_EXAMPLES, SESSION

LARGE = 300_000
SOUND = (ResponseOutputAudioDelta, SessionOutputAudioDelta)


def inflated(value):
    """The same with one string in it made large, for each of its strings."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from ({**value, key: other} for other in inflated(inner))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from ([*value[:index], one, *value[index + 1 :]] for one in inflated(inner))
    elif isinstance(value, str):
        yield "A" * LARGE


@pytest.mark.parametrize("name", SERVER_EVENTS)
def test_whatever_is_large_in_an_event_is_weighed(name):
    kind, tried = SERVER_EVENTS[name], 0
    for event in SERVER_EXAMPLES[name]:
        assert EVENT_BYTES <= weight_of(event) < EVENT_BYTES + 10_000
        for raw in inflated(msgspec.json.decode(encode_server_event(event))):
            if kind in SOUND and len(raw["delta"]) < LARGE:
                continue  # its ids are our own
            try:
                heavy = msgspec.convert(raw, kind)
            except msgspec.ValidationError:
                continue  # a choice, or a string that has a bound
            tried += 1
            assert weight_of(heavy) >= LARGE * 3 // 4  # sound is base64
    assert tried


@pytest.mark.parametrize("kind", SOUND)
def test_sound_weighs_what_it_is_as_bytes(kind):
    fields = dict.fromkeys(kind.__struct_fields__, 0)
    assert weight_of(kind(**{**fields, "delta": bytes(4800)})) == EVENT_BYTES + 4800


def test_text_weighs_what_it_takes_in_memory():
    for text in ("x" * LARGE, "é" * LARGE, "語" * LARGE, "🙂" * LARGE):
        session = structs.replace(SESSION, instructions=text)
        weight = weight_of(SessionUpdated(event_id="e", session=session))
        assert 0 < weight - sys.getsizeof(text) < 5000


def added(*parts):
    item = MessageItem(id="i", role="user", status="completed", content=parts)
    return ConversationItemAdded(event_id="e", previous_item_id=None, item=item)


def test_an_event_of_too_many_parts_to_count_is_vast():
    few, many = [added(*[InputText(text="")] * count) for count in (100, MOST_PARTS)]
    assert weight_of(few) < 20_000
    assert weight_of(many) > VAST_BYTES


def test_tools_are_weighed_with_their_schemas():
    schema = {"type": "object", "properties": {"x": {"enum": ["x" * 1000] * 50}}}
    tools = (FunctionTool(name="f", parameters=schema),) * 10
    session = structs.replace(SESSION, tools=tools)
    assert weight_of(SessionUpdated(event_id="e", session=session)) > 500_000


# What of a client's text comes back to it in an error is bounded too


def test_an_error_repeats_a_long_value_with_its_middle_left_out():
    long = "x" * 5_000_000
    refusal = Refusal("invalid_value", f"Item '{long}' does not exist.", f"session.{long}.name")
    assert len(refusal.message) <= SHOWN_CHARACTERS + 1
    assert refusal.message.startswith("Item 'xxx") and refusal.message.endswith("' does not exist.")
    assert "x…x" in refusal.message
    assert len(refusal.param) <= SHOWN_CHARACTERS + 1 and refusal.param.endswith(".name")
    whole = Refusal("invalid_value", "x" * SHOWN_CHARACTERS, "a.b")
    assert (whole.message, whole.param) == ("x" * SHOWN_CHARACTERS, "a.b")


def test_no_event_is_the_first_of_its_kind_to_be_weighed():
    """Fields are looked up when the module is imported, not on the event loop."""
    fresh = module_from_spec(weight.__spec__)
    weight.__spec__.loader.exec_module(fresh)
    known = set(fresh._readers)
    for events in SERVER_EXAMPLES.values():
        for event in events:
            fresh.weight_of(event)
    assert set(fresh._readers) == known and len(known) > len(SERVER_EVENTS)
