"""`serve` as everywhere, but that the chain is slow only where the engine has weights."""

import pytest

from live_server import ALONE_AND_SLOWLY_CHAINED, Serve, chained, serving


@pytest.fixture(params=[serving, chained], ids=["alone", "chained"])
def serve(request: pytest.FixtureRequest) -> Serve:
    """`serving` of `live_server`, or `chained`: what clients see must be the same."""
    chosen: Serve = request.param
    return chosen


@pytest.fixture(params=ALONE_AND_SLOWLY_CHAINED)
def serve_weights(request: pytest.FixtureRequest) -> Serve:
    """The same where the engine is a real one, which takes longer."""
    chosen: Serve = request.param
    return chosen
