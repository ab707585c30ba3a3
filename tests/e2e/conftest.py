"""`serve` starts the server of a test: by itself, and as the front of a chain of two."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest

from duologue.config import ServerConfig
from live_server import chained, serving

Serve = Callable[[ServerConfig], AbstractAsyncContextManager[str]]


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
