"""One scripted server for the tests of a module that need no settings of their own.

`serve` starts one with settings: by itself, and as the front of a chain of two, for which the
whole protocol must be the same.
"""

from collections.abc import AsyncIterator

import pytest

from e2e.conftest import Serve
from live_server import chained, scripted, serving


@pytest.fixture(
    params=[
        pytest.param(serving, id="alone"),
        pytest.param(chained, id="chained", marks=pytest.mark.slow),
    ]
)
def serve(request: pytest.FixtureRequest) -> Serve:
    """`serving` of `live_server`, or `chained`."""
    chosen: Serve = request.param
    return chosen


@pytest.fixture
async def base_url() -> AsyncIterator[str]:
    async with serving(scripted()) as url:
        yield url
