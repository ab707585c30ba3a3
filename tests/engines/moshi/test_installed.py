"""In CI the tests of the real model must not be skipped for want of torch."""

import os

import pytest

from duologue.gateway.compose_moshi import check_installed


@pytest.mark.slow
def test_torch_is_there_in_ci() -> None:
    if not os.environ.get("CI"):
        pytest.skip("not in CI: torch may be missing")
    check_installed()
