"""What we send, the official clients accept; what they can send, we have a field for."""

import types
import typing
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from openai.types.realtime import RealtimeServerEvent
from openai.types.realtime.realtime_client_event_param import RealtimeClientEventParam
from openai.types.realtime.response_create_event_with_references_param import (
    ResponseCreateEventWithReferencesParam,
)
from pydantic import BaseModel, ValidationError

from duologue.events import CLIENT_EVENTS, SERVER_EVENTS, encode_server_event
from events.examples import SERVER_EXAMPLES
from events.variants import variants
from oracle import KNOWN_SERVER_EVENTS, validate_server_event


@pytest.mark.parametrize("name", SERVER_EVENTS)
def test_the_sdk_accepts_the_examples_of_every_server_event(name):
    assert SERVER_EXAMPLES.get(name), f"tests/events/examples.py has no example of {name}"
    for event in SERVER_EXAMPLES[name]:
        validate_server_event(encode_server_event(event))


@pytest.mark.conformance("C-206")
@pytest.mark.parametrize("name", SERVER_EVENTS)
def test_the_sdk_accepts_whatever_the_types_of_a_server_event_allow(name):
    for event in variants(SERVER_EVENTS[name]):
        validate_server_event(encode_server_event(event))


def test_every_server_event_of_the_sdk_has_a_class_except_the_old_name_of_item_added():
    assert set(SERVER_EVENTS) == KNOWN_SERVER_EVENTS - {"conversation.item.created"}


def test_every_client_event_of_the_sdk_has_a_class():
    assert set(CLIENT_EVENTS) == {
        typing.get_args(typing.get_type_hints(param)["type"])[0]
        for param in typing.get_args(RealtimeClientEventParam)
    }


def test_class_names_are_the_wire_names_in_camel_case():
    for name, kind in (CLIENT_EVENTS | SERVER_EVENTS).items():
        words = name.replace(".", "_").split("_")
        assert kind.__name__ == "".join(word.capitalize() for word in words)


def test_there_is_a_field_for_every_key_the_sdk_can_send():
    theirs = dict(_keys(RealtimeClientEventParam | ResponseCreateEventWithReferencesParam))
    ours = dict(_keys(typing.Union[tuple(CLIENT_EVENTS.values())]))  # noqa: UP007
    # What only the server may put into a conversation is refused by its `type`.
    servers = {"output", "error", "server_label", "tools", "arguments"}
    missing = {
        path
        for path in theirs
        if path not in ours and not (path.startswith("item.") and servers & {*path.split(".")})
    }
    assert missing == set()


def test_every_choice_the_sdk_offers_a_client_is_one_of_ours():
    ours = dict(_keys(typing.Union[tuple(CLIENT_EVENTS.values())]))  # noqa: UP007
    for path, choices in _keys(RealtimeClientEventParam | ResponseCreateEventWithReferencesParam):
        if path == "item.type":
            choices = choices - {"mcp_list_tools", "mcp_call", "mcp_approval_request"}
        if ours.get(path):
            assert choices <= ours[path], path


def test_the_server_sends_no_key_the_sdk_does_not_know_beyond_those_listed():
    sdk = dict(_keys(typing.get_args(RealtimeServerEvent)[0]))
    ours = {path for path, _ in _keys(typing.Union[tuple(SERVER_EVENTS.values())])}  # noqa: UP007
    # Keys of the published session object that the SDK's event models leave to its extras,
    # and the keys of our own.
    extras = {"session.id", "session.object", "session.expires_at"}
    extras |= {"session.duologue", "response.duologue"}
    assert {path for path in ours - set(sdk) if path.count(".") < 2} == extras


def test_the_oracle_rejects_what_strict_clients_reject():
    good = msgspec.json.decode(encode_server_event(SERVER_EXAMPLES["response.done"][1]))
    for change in (
        {"status": "interrupted"},
        {"status_details": {"type": "cancelled", "reason": "because"}},
        {"output_modalities": ["speech"]},
        {"output": [{"type": "message", "role": "assistant", "content": [{"type": "audio"}]}]},
    ):
        bad = {**good, "response": {**good["response"], **change}}
        with pytest.raises(ValidationError):
            validate_server_event(msgspec.json.encode(bad).decode())


def _keys(hint: Any, path: str = "") -> Iterator[tuple[str, frozenset[Any]]]:
    """Every key path below a type, with the literals allowed there; list indices left out."""
    found: dict[str, set[Any]] = {}
    _walk(hint, path, found, ())
    yield from ((key, frozenset(values)) for key, values in found.items())


def _walk(hint: Any, path: str, found: dict[str, set[Any]], seen: tuple[Any, ...]) -> None:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        found.setdefault(path, set()).update(args)
        return
    if origin is dict or hint in seen:
        return
    if origin is typing.Annotated or origin in (typing.Required, typing.NotRequired):
        args = args[:1]
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        if tag := hint.__struct_config__.tag:
            found.setdefault(f"{path}.type".lstrip("."), set()).add(tag)
    fields = isinstance(hint, type) and (
        typing.is_typeddict(hint) or issubclass(hint, msgspec.Struct | BaseModel)
    )
    if fields:
        names = hint.model_fields if issubclass(hint, BaseModel) else typing.get_type_hints(hint)
        for name in names:
            inner = (
                hint.model_fields[name].annotation if issubclass(hint, BaseModel) else names[name]
            )
            below = f"{path}.{name}".lstrip(".")
            found.setdefault(below, set())
            _walk(inner, below, found, (*seen, hint))
        return
    for inner in args:
        if not isinstance(inner, types.EllipsisType):
            _walk(inner, path, found, seen)
