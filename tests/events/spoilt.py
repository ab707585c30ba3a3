"""Frames of client events and their places, each of which a wrong value can be put in.

The frames are read off the types of the events (`variants.py`), so that no field is forgotten.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from events.variants import variants

Path = tuple[str | int, ...]


def nested(levels: int) -> Any:
    value: Any = "x"
    for _ in range(levels):
        value = [value]
    return value


SPOILT: list[Any] = [
    None, True, -1, 0, 2**53, 10**30, 0.5, 1e300, "", "nothing of the kind", "x" * 70_000,
    [], [None], {}, {"type": "nothing of the kind"}, nested(100), {"a": {"a": nested(100)}},
]  # fmt: skip


def frames(kind: type[msgspec.Struct]) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Each place of an event, by path and the classes on the way, with a frame that has it."""
    seen = set()
    for event in variants(kind):
        frame = msgspec.json.decode(msgspec.json.encode(event))
        frame["event_id"] = "event_of_mine"
        for path, classes in places(frame, ()):
            if (path, classes) not in seen:
                seen.add((path, classes))
                yield path, frame


def places(value: Any, path: Path) -> Iterator[tuple[Path, tuple[Any, ...]]]:
    """Every path below a value, and the `type`s of the objects that it leads through."""
    inner: Any = ()
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = enumerate(value)
    kind = value.get("type") if isinstance(value, dict) else None
    for key, one in inner:
        yield (*path, key), (kind,)
        for below, classes in places(one, (*path, key)):
            yield below, (kind, *classes)


def with_value(frame: Any, path: Path, value: Any) -> Any:
    """`frame` with another value at `path`."""
    if not path:
        return value
    copy = list(frame) if isinstance(frame, list) else dict(frame)
    copy[path[0]] = with_value(frame[path[0]], path[1:], value)  # type: ignore[call-overload]
    return copy


def shown(path: Path) -> str:
    """A path as an error names it."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text
