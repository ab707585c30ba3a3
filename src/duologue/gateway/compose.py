"""The composition root: settings in, the parts that sessions are made of out.

The one place that knows engines, ears and models by name. What an engine needs is imported
only when it is the one configured, so that `scripted` runs where no weights can.
"""

from dataclasses import dataclass
from pathlib import Path

import msgspec

from duologue.config import ServerConfig
from duologue.engines.scripted import (
    LoudnessActivity,
    Script,
    ScriptedEngine,
    ScriptedTranscriber,
    read_script,
)
from duologue.errors import ConfigFault
from duologue.runtime.ports import Engine, Transcriber, VoiceActivity


@dataclass(frozen=True)
class Parts:
    """What every session of a server shares."""

    engine: Engine
    transcriber: Transcriber
    activity: VoiceActivity

    async def aclose(self) -> None:
        """Stop all work and free the weights."""
        await self.engine.aclose()
        await self.activity.aclose()


async def compose(config: ServerConfig) -> Parts:
    """Load what `config` asks for, off the event loop. Raises `ConfigFault`, `ModelFault`."""
    return _scripted(config) if config.engine == "scripted" else await _light(config)


def _scripted(config: ServerConfig) -> Parts:
    engine = ScriptedEngine(script(config.script))
    return Parts(engine, ScriptedTranscriber(engine), LoudnessActivity())


async def _light(config: ServerConfig) -> Parts:
    raise ConfigFault('engine: "light" is not built in yet; "scripted" is')


def script(setting: str | None) -> Script:
    """The script of a setting: a path, or TOML itself, told apart by its `=`."""
    if setting is None:
        return Script()
    if "=" not in setting:
        return read_script(Path(setting).expanduser())
    try:
        return msgspec.toml.decode(setting, type=Script)
    except msgspec.MsgspecError as fault:
        raise ConfigFault(f"script: {fault}") from None
