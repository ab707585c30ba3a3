"""Reads the settings: defaults, one TOML file, `DUOLOGUE_…` variables, the command line.

The later layer wins. A value that cannot be raises `ConfigFault`, which names where it stood,
the key, the value and what is allowed.
"""

import difflib
import logging
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from duologue.config.settings import ServerConfig
from duologue.config.table import PREFIX, SETTINGS, Setting
from duologue.errors import ConfigFault

log = logging.getLogger(__name__)

DEFAULT_FILE = "duologue.toml"
FILE_VARIABLE = "DUOLOGUE_CONFIG"

_BY_KEY = {setting.key: setting for setting in SETTINGS}


def load(
    *,
    file: str | None = None,
    environ: Mapping[str, str],
    flags: Mapping[str, str] | None = None,
) -> ServerConfig:
    """The settings out of all layers.

    `file` is what `--config` says; `flags` maps keys to the command line's values, as text.
    Raises `ConfigFault`.
    """
    values: dict[str, Any] = {}
    path = file or environ.get(FILE_VARIABLE)
    if path or Path(DEFAULT_FILE).is_file():
        values |= _from_file(Path(path or DEFAULT_FILE))
    values |= _from_environ(environ)
    for key, text in (flags or {}).items():
        setting = _BY_KEY[key]
        values[key] = _value(setting, text, f"command line: {setting.flag}", strict=False)
    return ServerConfig(**values)


def _from_file(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            table = tomllib.load(stream)
    except OSError as fault:
        raise ConfigFault(f"{path}: cannot be read: {fault.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
        raise ConfigFault(f"{path}: is not TOML: {fault}") from None
    values = {}
    for key, value in table.items():
        if key not in _BY_KEY:
            raise ConfigFault(f"{path}: unknown key {key}{_nearest(key, _BY_KEY)}")
        values[key] = _value(_BY_KEY[key], value, f"{path}: {key}", strict=True)
    return values


def _from_environ(environ: Mapping[str, str]) -> dict[str, Any]:
    """An empty variable counts as unset; an unknown one may belong to another program."""
    values = {}
    known = {setting.variable: setting for setting in SETTINGS}
    for name, text in environ.items():
        if not name.startswith(PREFIX) or name == FILE_VARIABLE or not text:
            continue
        if name in known:
            values[known[name].key] = _value(known[name], text, name, strict=False)
        elif close := _nearest(name.removeprefix(PREFIX).lower(), _BY_KEY):
            log.warning("%s is not a setting%s", name, close)
    return values


def _value(setting: Setting, value: Any, where: str, *, strict: bool) -> Any:
    try:
        return msgspec.convert(value, setting.type, strict=strict)
    except msgspec.ValidationError:
        shown = "that value" if setting.secret else repr(value)
        raise ConfigFault(f"{where}: {shown} is not allowed; allowed: {setting.allowed}") from None


def _nearest(name: str, known: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]}?" if close else ""
