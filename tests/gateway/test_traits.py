"""What an engine is: shown in the list of models and in `session.created`, and kept to."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from openai import AsyncOpenAI

from duologue.core.settings import SessionConfig
from duologue.engines.scripted import Script, ScriptedEngine
from duologue.gateway.session_start import SessionStart
from duologue.runtime.ports import Traits
from live_server import KEY, Serve, call, http_get, scripted, serving


@asynccontextmanager
async def created(
    serve: Serve, query: str = "model=gpt-realtime"
) -> AsyncIterator[tuple[str, Any, Any]]:
    async with serve(scripted()) as base_url, call(base_url, query) as client:
        yield base_url, client, (await client.next("session.created"))["session"]


async def test_a_session_says_what_its_engine_is_as_the_list_of_models_does(serve: Serve) -> None:
    async with created(serve) as (base_url, client, session):
        _, _, body = await http_get(base_url + "/models/gpt-realtime")
        assert session["duologue"] == body["duologue"]
        traits = body["duologue"]["traits"]
        assert traits["end_to_end"] is False
        assert traits["output_modalities"] == ["text", "audio"]
        await client.send("session.update", session={"type": "realtime"})
        assert "duologue" not in (await client.next("session.updated"))["session"]


async def test_a_session_that_can_be_resumed_says_both(serve: Serve) -> None:
    async with created(serve, "model=gpt-realtime&duologue_resume=1") as (_, _, session):
        assert set(session["duologue"]) == {"engine", "profile", "traits", "resume"}


async def test_a_stock_client_reads_the_traits_as_an_extra_key(serve: Serve) -> None:
    async with (
        serve(scripted()) as base_url,
        AsyncOpenAI(api_key=KEY, base_url=base_url) as client,
    ):
        async with client.realtime.connect(model="gpt-realtime") as connection:
            event = await connection.recv()
            assert event.type == "session.created"
            card = event.session.duologue  # type: ignore[union-attr]
            assert card["engine"] in ("scripted", "realtime") and card["traits"]["tools"] is True
        model = await client.models.retrieve("gpt-realtime")
        assert model.duologue == card  # type: ignore[attr-defined]


async def test_a_session_without_an_engine_does_not_speak_of_one() -> None:
    async with created(serving, "intent=transcription") as (_, _, session):
        assert "duologue" not in session


def test_only_what_hears_and_speaks_is_end_to_end() -> None:
    for hears, speaks in ((False, False), (True, False), (False, True), (True, True)):
        assert Traits(hears=hears, speaks=speaks).shown().end_to_end == (hears and speaks)
    seen = [Traits(**given).shown().input_modalities for given in ({}, {"sees": True})]
    assert seen == [("text", "audio"), ("text", "audio", "image")]


def test_nothing_is_refused_by_default() -> None:
    traits = ScriptedEngine(Script()).traits
    config = SessionStart(scripted(), traits, lambda: 0.0).running(None, None, "realtime")
    plain = SessionConfig(id="", model="")
    for name in ("calls_functions", "takes_images", "is_audible"):
        assert getattr(config, name) is getattr(plain, name) is True
