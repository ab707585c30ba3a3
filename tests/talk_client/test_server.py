import sys

import pytest

from duologue.talk_client.faults import ServerFault
from duologue.talk_client.server import answers, fresh


async def test_a_fresh_server_is_ready_and_gone_afterwards() -> None:
    command = (sys.executable, "-m", "duologue", "serve", "--port", "0", "--engine", "scripted")
    async with fresh(command) as server:
        assert server.key
        assert await answers(server.url)
    assert not await answers(server.url)


async def test_a_server_that_cannot_start_is_named() -> None:
    command = (sys.executable, "-m", "duologue", "serve", "--port", "70000")
    with pytest.raises(ServerFault, match="exit code 1"):
        async with fresh(command):
            pass


@pytest.mark.parametrize("url", ["nowhere", "http://127.0.0.1:99999/v1", "http:///v1"])
async def test_what_is_no_address_is_said_so(url: str) -> None:
    with pytest.raises(ServerFault, match="is not an address"):
        await answers(url)
