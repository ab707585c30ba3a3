"""What a server event weighs: the bytes it holds, found without encoding it.

    ServerEvent ─► weight_of ─► bytes, true enough to bound a queue or to choose a thread

Strings and sound are asked for their size and not looked at, so a text of 20 MiB costs no more
than one of three letters. JSON Schemas of tools are the one thing of any shape, and are encoded.
An event of so many parts that counting them would hold up the event loop is called vast.
"""

from collections.abc import Callable, Sequence
from functools import partial
from operator import attrgetter
from sys import getsizeof
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import UnsetType

from duologue.events.replies import ResponseOutputAudioDelta
from duologue.events.translation import AnyServerEvent, SessionOutputAudioDelta

EVENT_BYTES = 512
"""What any event weighs, besides the text and the sound in it."""

MOST_PARTS = 2000
"""Fields and elements that are counted, in some 100 us; hardly an event has as many."""

VAST_BYTES = 16 * 1024 * 1024
"""What an event of more parts is taken to weigh: as much as a frame that made it can have held."""

_encoder = msgspec.json.Encoder()
_readers: dict[type, Callable[[Any], Sequence[Any]]] = {}
"""By class of struct: what reads those of its fields that can weigh something."""

_WEIGHTLESS = (int, float, bool, type(None), UnsetType)


def weight_of(event: msgspec.Struct) -> int:
    """The bytes that an event, or an item, holds: of sound and text as they lie in memory."""
    kind = type(event)
    if kind is ResponseOutputAudioDelta or kind is SessionOutputAudioDelta:
        return EVENT_BYTES + len(event.delta)  # type: ignore[attr-defined]
    total, parts = EVENT_BYTES, 0
    waiting: list[Any] = [event]
    for one in waiting:  # which grows meanwhile
        kind = type(one)
        if kind is str or kind is bytes:
            total += getsizeof(one)
            continue
        if kind in _WEIGHTLESS:
            continue
        if kind is dict or kind is list:
            total += len(_encoder.encode(one))
            continue
        within = one if kind is tuple else (_readers.get(kind) or _reader(kind))(one)
        parts += len(within)
        if parts > MOST_PARTS:
            return total + VAST_BYTES
        waiting.extend(within)
    return total


def _reader(kind: type[msgspec.Struct]) -> Callable[[Any], Sequence[Any]]:
    hints = get_type_hints(kind)
    names = [name for name in kind.__struct_fields__ if not _is_weightless(hints[name])]
    read: Callable[[Any], Sequence[Any]]
    if len(names) > 1:
        read = attrgetter(*names)
    else:  # `attrgetter` would give no tuple of one, and none of none
        read = partial(_read, names)
    _readers[kind] = read
    return read


def _read(names: list[str], one: msgspec.Struct) -> list[Any]:
    return [getattr(one, name) for name in names]


def _is_weightless(hint: Any) -> bool:
    if get_origin(hint) in (Union, UnionType):
        return all(map(_is_weightless, get_args(hint)))
    return hint in _WEIGHTLESS or get_origin(hint) is Literal


def _warm() -> None:
    """Make the readers of all there can be in an event: one alone takes up to a millisecond."""
    waiting: list[Any] = [AnyServerEvent]
    for hint in waiting:  # which grows meanwhile
        if not (isinstance(hint, type) and issubclass(hint, msgspec.Struct)):
            waiting.extend(get_args(hint))
        elif hint not in _readers:
            _reader(hint)
            waiting.extend(get_type_hints(hint).values())


_warm()
