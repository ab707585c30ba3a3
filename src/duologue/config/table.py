"""The table of the settings: what each is called where, and what it may be.

Names are mechanical: `silence_duration_ms` in the file is `DUOLOGUE_SILENCE_DURATION_MS` and
`--silence-duration-ms`. The fields of `ServerConfig` go in, a row for each comes out.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import msgspec.inspect

from duologue.config.settings import ServerConfig

PREFIX = "DUOLOGUE_"


class Setting(msgspec.Struct, frozen=True):
    """One field of `ServerConfig` as the layers, the command line and the docs see it."""

    key: str
    type: Any
    default: Any
    allowed: str
    description: str
    secret: bool
    has_option: bool

    @property
    def variable(self) -> str:
        return PREFIX + self.key.upper()

    @property
    def flag(self) -> str | None:
        """The command line option; None where a value would be seen in the process list."""
        return "--" + self.key.replace("_", "-") if self.has_option else None


def _allowed(kind: msgspec.inspect.Type) -> str:
    """The values of a type in words."""
    match kind:
        case msgspec.inspect.Metadata(type=inner):
            return _allowed(inner)
        case msgspec.inspect.UnionType(types=types):
            return _allowed(next(t for t in types if not isinstance(t, msgspec.inspect.NoneType)))
        case msgspec.inspect.LiteralType(values=values):
            return " or ".join(f'"{value}"' for value in values)
        case msgspec.inspect.BoolType():
            return "true or false"
        case msgspec.inspect.IntType(ge=low, le=high):
            return f"a whole number from {low}" + (f" to {high}" if high is not None else "")
        case msgspec.inspect.FloatType(gt=low):
            return f"a number above {low:g}" if low is not None else "a number"
        case msgspec.inspect.StrType(min_length=least):
            return "text, not empty" if least else "text"
    raise AssertionError(kind)


def _settings() -> Iterator[Setting]:
    described = msgspec.inspect.type_info(ServerConfig)
    assert isinstance(described, msgspec.inspect.StructType)
    types = {field.name: field.type for field in msgspec.structs.fields(ServerConfig)}
    for field in described.fields:
        extra: Mapping[str, Any] = {}
        description = ""
        kind: Any = field.type
        if isinstance(kind, msgspec.inspect.Metadata):
            extra = kind.extra or {}
            description = (kind.extra_json_schema or {}).get("description", "")
        yield Setting(
            key=field.name,
            type=types[field.name],
            default=field.default,
            allowed=_allowed(field.type),
            description=description,
            secret=bool(extra.get("secret")),
            has_option=bool(extra.get("option", not extra.get("secret"))),
        )


SETTINGS: tuple[Setting, ...] = tuple(_settings())
