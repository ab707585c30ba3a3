"""Tiny random weights, written once for all tests of the real model."""

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from duologue.testing.tiny_moshi import build

    return build(tmp_path_factory.mktemp("moshi"))


@pytest.fixture(scope="session")
def weights(directory: Path) -> Any:
    from duologue.engines.moshi.weights import load_weights

    return load_weights(directory, "cpu", threads=1)  # tiny layers, and a machine that others use
