"""Every way a wire struct can differ from its plainest instance, one field at a time.

Read off the type annotations: each literal, each member of a union, each limit, null and
absent where they are allowed.
"""

import types
import typing
from functools import cache
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from duologue import events as ev

_PLAIN: dict[Any, tuple[Any, ...]] = {
    str: ("x", "", 'é"\\\0\u2028😀'),
    int: (1, 0, 2**53 - 1),
    float: (0.5, 0.0, 3.0, 1e-7),
    bool: (False, True),
    bytes: (b"\0\1", b"", b"\xff\xfe\xfd"),
    types.NoneType: (None,),
    UnsetType: (UNSET,),
    Any: ({"a": [None, True, -(2**63), 2**64 - 1, 0.5, "é"]}, "x", []),
}
_PARTS: dict[str, Any] = {
    "system": ev.InputText,
    "user": ev.InputText | ev.InputAudio | ev.InputImage,
    "assistant": ev.OutputText | ev.OutputAudio,
}


@cache
def variants(hint: Any) -> tuple[Any, ...]:
    """Values of a type annotation, the plainest first."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint is ev.MessageItem:
        return _messages()
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return _structs(hint)
    if origin in (typing.Union, types.UnionType):
        return tuple(value for arg in args for value in variants(arg))
    if origin is typing.Literal:
        return args
    if origin is typing.Annotated:
        return tuple(value for value in variants(args[0]) if _allowed(value, args[1])) + tuple(
            limit for limit in (args[1].ge, args[1].le) if limit is not None
        )
    if origin is tuple:
        each = tuple((value,) for value in variants(args[0]))
        return (*each, (), each[0] * 2) if args[-1] is Ellipsis else each
    if origin is dict:
        return ({key: value for key in variants(args[0]) for value in variants(args[1])}, {})
    return _PLAIN[hint]


def _allowed(value: Any, meta: msgspec.Meta) -> bool:
    if isinstance(value, int | float):
        return (meta.ge is None or value >= meta.ge) and (meta.le is None or value <= meta.le)
    return len(value) >= (meta.min_length or 0)


def _structs(kind: type[msgspec.Struct]) -> tuple[Any, ...]:
    hints = typing.get_type_hints(kind, include_extras=True)
    fields = {name: variants(hints[name]) for name in kind.__struct_fields__}
    plainest = {name: values[0] for name, values in fields.items()}
    return (kind(**plainest),) + tuple(
        kind(**{**plainest, name: value})
        for name, values in fields.items()
        for value in values[1:]
        if not (name == "id" and value is UNSET)  # the server names everything it sends
    )


def _messages() -> tuple[ev.MessageItem, ...]:
    """Messages of each role with the parts it may have."""
    return tuple(
        ev.MessageItem(id=name, status=status, role=role, content=(part, part))  # type: ignore[arg-type]
        for role, hint in _PARTS.items()
        for part in variants(hint)
        for name in ("item_1", UNSET)
        for status in ("completed", UNSET)
    )
