"""`serve` as everywhere, but that the chain is slow only where the engine has weights."""

import pytest

from live_server import Serve, chained, serving


@pytest.fixture(params=[serving, chained], ids=["alone", "chained"])
def serve(request: pytest.FixtureRequest) -> Serve:
    """`serving` of `live_server`, or `chained`: what clients see must be the same."""
    chosen: Serve = request.param
    return chosen


@pytest.fixture(
    params=[
        pytest.param(serving, id="alone"),
        pytest.param(chained, id="chained", marks=pytest.mark.slow),
    ]
)
def serve_weights(request: pytest.FixtureRequest) -> Serve:
    """The same where the engine is a real one, which takes longer."""
    chosen: Serve = request.param
    return chosen
