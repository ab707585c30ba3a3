"""PyTorch for tests of real models with random weights, and what to do when it is not there.

Outside CI such a test is skipped and says so; in CI it fails.
"""

import importlib.util
import os

import pytest


def need_torch() -> None:
    """To be called by a fixture before it imports what needs PyTorch."""
    missing = [name for name in ("torch", "transformers") if not importlib.util.find_spec(name)]
    if not missing:
        return
    reason = f"no {' and no '.join(missing)}: run scripts/install_torch.py"
    if os.environ.get("CI"):
        raise ModuleNotFoundError(reason)
    pytest.skip(reason)
