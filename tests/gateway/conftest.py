"""A scripted server for the tests of a module that need no settings of their own."""

from collections.abc import AsyncIterator

import pytest

from live_server import Serve, scripted


@pytest.fixture
async def base_url(serve: Serve) -> AsyncIterator[str]:
    async with serve(scripted()) as url:
        yield url
