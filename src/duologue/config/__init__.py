"""The server's settings: one frozen `ServerConfig` out of four layers.

`door.py`, `engine.py` and `settings.py` say what can be set, `layers.py` reads it.
"""

from duologue.config.engine import BUILT_IN_ENGINES
from duologue.config.layers import DEFAULT_FILE, FILE_VARIABLE, load
from duologue.config.settings import MIB, ServerConfig
from duologue.config.table import SETTINGS, Setting

__all__ = [
    "BUILT_IN_ENGINES", "DEFAULT_FILE", "FILE_VARIABLE", "MIB", "SETTINGS", "ServerConfig",
    "Setting", "load",
]  # fmt: skip
