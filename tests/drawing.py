"""Anything a type allows, drawn: client events, engine events, every input of a session.

A type annotation goes in, a Hypothesis strategy comes out. Names of items, responses, calls and
jobs are drawn from the few that a `Timeline` gives out, so that events often meet what is there.
"""

import types
import typing
from collections.abc import Mapping
from functools import cache
from typing import Any

import msgspec
from hypothesis import strategies as st
from msgspec import UNSET, UnsetType

NAMES = {
    "item_id": "item",
    "previous_item_id": "item",
    "id": "mine",
    "response_id": "resp",
    "call_id": "call",
    "job": "job",
}
"""Fields that name something, and the prefix of such names."""

_SIMPLE: dict[Any, st.SearchStrategy[Any]] = {
    str: st.sampled_from(
        ["", "one two", "alloy", "cedar", "whisper-1", "{", '{"a": 1}', "é\u2028"]
    ),
    int: st.sampled_from([0, 1, 2, 40, 1000]),
    float: st.sampled_from([0.0, 0.25, 1.0, 3.5]),
    bool: st.booleans(),
    bytes: st.sampled_from([0, 2, 960, 4800, 50_000]).map(bytes),
    types.NoneType: st.none(),
    UnsetType: st.just(UNSET),
    Any: st.sampled_from([{}, {"a": [None, True, 0.5]}]),
}


@cache
def drawn(hint: Any) -> st.SearchStrategy[Any]:
    """Values of a type annotation."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return _structs(hint)
    if origin in (typing.Union, types.UnionType):
        return st.one_of([drawn(one) for one in args])
    if origin is typing.Literal:
        return st.sampled_from(args)
    if origin is typing.Annotated:
        return _bounded(args[0], args[1])
    if origin is tuple:
        each = drawn(args[0])
        return st.lists(each, max_size=2).map(tuple) if args[-1] is Ellipsis else st.tuples(each)
    if origin in (dict, Mapping):
        keys = st.sampled_from(["text", "audio", "image"])
        return st.dictionaries(keys, drawn(args[1]), max_size=3)
    return _SIMPLE[hint]


def _bounded(hint: Any, meta: msgspec.Meta) -> st.SearchStrategy[Any]:
    bounds = [limit for limit in (meta.ge, meta.le) if limit is not None]
    if bounds and hint in (int, float):
        inside = _SIMPLE[hint].filter(lambda value: _is_inside(value, meta))
        return st.sampled_from(bounds) | inside
    return drawn(hint)


def _is_inside(value: float, meta: msgspec.Meta) -> bool:
    return (meta.ge is None or value >= meta.ge) and (meta.le is None or value <= meta.le)


def _structs(kind: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    hints = typing.get_type_hints(kind, include_extras=True)
    must: dict[str, st.SearchStrategy[Any]] = {}
    may: dict[str, st.SearchStrategy[Any]] = {}
    for field in msgspec.structs.fields(kind):
        values = drawn(hints[field.name])
        if prefix := NAMES.get(field.name):
            values = (
                _names(prefix) | st.none() if _takes_none(hints[field.name]) else _names(prefix)
            )
        (must if field.required else may)[field.name] = values
    return st.fixed_dictionaries(must, optional=may).map(lambda fields: kind(**fields))


def _names(prefix: str) -> st.SearchStrategy[str]:
    prefixes = ("item", "mine") if prefix == "item" else (prefix,)
    return st.builds(
        lambda first, number: f"{first}_{number}" if number else "root",
        st.sampled_from(prefixes),
        st.integers(0, 8),
    )


def _takes_none(hint: Any) -> bool:
    return types.NoneType in typing.get_args(hint)
