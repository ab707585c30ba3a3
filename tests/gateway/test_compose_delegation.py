"""The setting `delegate`: it wraps whatever engine there is, or says why it cannot."""

import dataclasses
from typing import Any

import pytest

from duologue.config import ServerConfig
from duologue.core.talk import Ask
from duologue.engines.delegation.engine import DelegatingEngine
from duologue.engines.delegation.heard import hearing
from duologue.engines.remote.chat_mind import ChatMind
from duologue.engines.scripted import Script, ScriptedEngine, ScriptedTranscriber
from duologue.errors import ConfigFault
from duologue.gateway.compose import Parts, compose
from duologue.gateway.compose_delegation import compose_delegation
from duologue.remote.server import RemoteServer
from duologue.runtime.ports import Traits
from live_server import http_get, scripted, serving

NOWHERE = "http://127.0.0.1:1/v1#big"


def mind() -> ChatMind:
    return ChatMind(RemoteServer(NOWHERE, "delegate", "the expert"), context_tokens=4096)


async def test_the_engine_is_what_it_was_and_its_server_need_not_be_there_yet() -> None:
    plain = await compose(scripted())
    parts = await compose(scripted(delegate=NOWHERE))
    assert isinstance(parts.engine, DelegatingEngine)
    assert parts.engine.traits == plain.engine.traits
    await parts.aclose()
    await plain.aclose()


async def test_clients_see_no_other_engine_and_no_key() -> None:
    async with serving(scripted()) as base_url:
        _, _, plain = await http_get(f"{base_url}/models")
    config = scripted(delegate=NOWHERE, delegate_key="sk-hush")
    async with serving(config) as base_url:
        _, _, models = await http_get(f"{base_url}/models")
    for listed in (plain, models):
        for model in listed["data"]:
            model.pop("created", None)
    assert models == plain


@pytest.mark.parametrize(
    "setting",
    [
        "",
        "smollm2",
        "ftp://host/v1#m",
        "http://host/v1",
        "http://me:sk-hush@host/v1#m",
        "http://#m",
    ],
)
async def test_what_is_no_address_of_a_model_is_refused_by_name(setting: str) -> None:
    with pytest.raises(ConfigFault, match="^delegate: ") as fault:
        await compose(scripted(delegate=setting))
    assert "hush" not in str(fault.value)


@pytest.mark.parametrize("traits", [Traits(tools=False), Traits(duplex=True)])
async def test_an_engine_that_cannot_ask_is_refused_and_closed(
    traits: Traits,
) -> None:
    closed: list[str] = []

    class Other(ScriptedEngine):
        async def aclose(self) -> None:
            closed.append("engine")

    async def other_parts(config: ServerConfig) -> Parts:
        engine = Other(Script())
        engine.traits = traits
        return dataclasses.replace(await compose(scripted()), engine=engine)

    with pytest.raises(ConfigFault, match="^delegate: "):
        await compose_delegation(scripted(delegate=NOWHERE), other_parts)
    assert closed == ["engine"]


async def test_places_are_those_of_the_engine_in_front() -> None:
    front = ScriptedEngine(Script(places=1))
    engine: Any = DelegatingEngine(front, mind(), hearing(ScriptedTranscriber(front)))
    talk = await engine.open(Ask())
    assert front.open_talks == 1
    await talk.aclose()
    await talk.aclose()
    assert front.open_talks == 0
    await engine.aclose()
