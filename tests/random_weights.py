"""PyTorch for tests of real models with random weights, and what to do when it is not there.

Outside CI such a test is skipped and says so; in CI it fails.
"""

import importlib.util
import os

import pytest


def missing() -> list[str]:
    return [name for name in ("torch", "transformers") if not importlib.util.find_spec(name)]


def skip_module_without_torch() -> None:
    """To be called by a module that imports PyTorch, before it does.

    It is skipped in CI, too, where fast tests run before PyTorch is installed; that it then is
    there `tests/engines/moshi/test_installed.py` sees.
    """
    if names := missing():
        reason = f"no {' and no '.join(names)}: run scripts/install_torch.py"
        pytest.skip(reason, allow_module_level=True)


def need_torch() -> None:
    """To be called by a fixture before it imports what needs PyTorch."""
    names = missing()
    if not names:
        return
    reason = f"no {' and no '.join(names)}: run scripts/install_torch.py"
    if os.environ.get("CI"):
        raise ModuleNotFoundError(reason)
    pytest.skip(reason)
