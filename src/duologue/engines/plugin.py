"""Engines of others: what an installed package registers, what it is given, what it gives back.

    [project.entry-points."duologue.engines"]
    parrot = "my_package:make"

`duologue serve --engine parrot` then calls `await make(setup)` and serves the engine. Turn
detection, transcripts, sound formats and everything else that is not the engine the server has.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from duologue.errors import ConfigFault
from duologue.runtime.ports import Engine, Transcriber

GROUP = "duologue.engines"
"""The entry point group."""

S = TypeVar("S")


@dataclass(frozen=True)
class EngineSetup:
    """What a plugin is made from.

    `settings` is the TOML table of the setting `engine_config`; it belongs to the plugin alone.
    `max_sessions`: so many talks are open at the same time at most.
    """

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict, repr=False)
    max_sessions: int = 4

    def read(self, kind: type[S]) -> S:
        """The settings as a msgspec Struct or dataclass; raises `ConfigFault` that says where."""
        try:
            return msgspec.convert(self.settings, kind)
        except msgspec.ValidationError as fault:
            raise ConfigFault(f"engine_config of {self.name}: {fault}") from None


@dataclass(frozen=True)
class EngineParts:
    """An engine that knows better than the server what the user said.

    Without a `transcriber` the server's own is used, where its model is there.
    """

    engine: Engine
    transcriber: Transcriber | None = None


Made = Engine | EngineParts
MakeEngine = Callable[[EngineSetup], Awaitable[Made]]
"""The signature behind an entry point. It may raise `ConfigFault` and `ModelFault`."""
