"""One scripted server for the tests of a module that need no settings of their own."""

from collections.abc import AsyncIterator

import pytest

from live_server import scripted, serving


@pytest.fixture
async def base_url() -> AsyncIterator[str]:
    async with serving(scripted()) as url:
        yield url
