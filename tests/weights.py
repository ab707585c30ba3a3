"""Model weights for tests: where they are, and what to do when they are not there.

Outside CI a test that needs them is skipped and says so; in CI it fails.
"""

import os
from pathlib import Path

import pytest

from duologue.errors import ModelFault
from duologue.models import Store, resolve

STORE = Path(os.environ.get("DUOLOGUE_MODELS_DIR", Path.home() / ".cache" / "duologue" / "models"))


def weights(name: str) -> Path:
    """The verified path of a catalogue entry."""
    try:
        return resolve(name, Store(STORE))
    except ModelFault as fault:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"{name}: {fault}")
