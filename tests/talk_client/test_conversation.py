import pytest

from duologue.talk_client.conversation import connect, hold
from duologue.talk_client.faults import ServerFault, TalkFault
from duologue.talk_client.recording import Recording
from duologue.talk_client.server import Server, fresh
from talk_client.signals import tone


@pytest.fixture(autouse=True)
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUOLOGUE_ENGINE", "scripted")


async def test_a_wrong_key_is_explained() -> None:
    async with fresh() as server:
        with pytest.raises(ServerFault, match="refuses the key"):
            async with connect(Server(server.url, "wrong"), "gpt-realtime") as connection:
                await hold(connection, [Recording("x", tone(300))])


async def test_an_engine_that_fails_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUOLOGUE_SCRIPT", 'replies = [{text = "Well", fail = "out of words"}]')
    async with fresh() as server:
        with pytest.raises(TalkFault, match="out of words"):
            async with connect(server, "gpt-realtime") as connection:
                await hold(connection, [Recording("x", tone(600))])
