"""What an engine is: shown in the list of models and in `session.created`, and kept to."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from openai import AsyncOpenAI

from duologue.core.settings import SessionConfig, Settings
from duologue.engines.scripted import Script, ScriptedEngine
from duologue.events import Error
from duologue.gateway.session_start import SessionStart
from duologue.runtime.ports import Traits
from duologue.testing.timeline import Timeline
from live_server import KEY, call, http_get, scripted, serving
from pictures import data_uri, drawn, file
from session_kit import update

PLAIN = Traits(audible=False, tools=False, voices=("plain",))
"""An engine that only writes."""


def limited() -> Timeline:
    """A session of that engine."""
    start = SessionStart(scripted(), PLAIN, lambda: 0.0)
    return Timeline(start.running("gpt-realtime", None, "realtime"))


def refused(*events: dict[str, Any]) -> list[tuple[str | None, str | None]]:
    t = limited()
    for number, event in enumerate(events):
        t.client_sends(0.1 * (number + 1), event)
    t.run(0.1 * (len(events) + 2))
    return [(event.error.code, event.error.param) for event in t.events(Error)]


@asynccontextmanager
async def created(query: str = "model=gpt-realtime") -> AsyncIterator[tuple[str, Any, Any]]:
    async with serving(scripted()) as base_url, call(base_url, query) as client:
        yield base_url, client, (await client.next("session.created"))["session"]


async def test_a_session_says_what_its_engine_is_as_the_list_of_models_does() -> None:
    async with created() as (base_url, client, session):
        _, _, body = await http_get(base_url + "/models/gpt-realtime")
        assert session["duologue"] == body["duologue"]
        traits = body["duologue"]["traits"]
        assert traits["end_to_end"] is False
        assert traits["output_modalities"] == ["text", "audio"]
        await client.send("session.update", session={"type": "realtime"})
        assert "duologue" not in (await client.next("session.updated"))["session"]


async def test_a_session_that_can_be_resumed_says_both() -> None:
    async with created("model=gpt-realtime&duologue_resume=1") as (_, _, session):
        assert set(session["duologue"]) == {"engine", "profile", "traits", "resume"}


async def test_a_stock_client_reads_the_traits_as_an_extra_key() -> None:
    async with (
        serving(scripted()) as base_url,
        AsyncOpenAI(api_key=KEY, base_url=base_url) as client,
    ):
        async with client.realtime.connect(model="gpt-realtime") as connection:
            event = await connection.recv()
            assert event.type == "session.created"
            card = event.session.duologue  # type: ignore[union-attr]
            assert card["engine"] == "scripted" and card["traits"]["tools"] is True
        model = await client.models.retrieve("gpt-realtime")
        assert model.duologue == card  # type: ignore[attr-defined]


@pytest.mark.parametrize("intent", ["transcription"])
async def test_a_session_without_an_engine_does_not_speak_of_one(intent: str) -> None:
    async with created(f"intent={intent}") as (_, _, session):
        assert "duologue" not in session


def test_only_what_hears_and_speaks_is_end_to_end() -> None:
    for hears, speaks in ((False, False), (True, False), (False, True), (True, True)):
        assert Traits(hears=hears, speaks=speaks).shown().end_to_end == (hears and speaks)
    seen = [Traits(**given).shown().input_modalities for given in ({}, {"sees": True})]
    assert seen == [("text", "audio"), ("text", "audio", "image")]


def test_tools_are_refused_where_the_engine_calls_none() -> None:
    tools = [{"type": "function", "name": "f"}]
    assert refused(update(tools=tools), update(tools=[])) == [("invalid_value", "session.tools")]
    create = {"type": "response.create", "response": {"tools": tools}}
    assert refused(create) == [("invalid_value", "response.tools")]


def test_sound_is_refused_where_the_engine_has_no_voice_and_text_is_what_it_begins_with() -> None:
    assert Settings(msgspec.structs.replace(limited().config)).session.output_modalities == (
        "text",
    )
    assert refused(update(output_modalities=["audio"]), update(output_modalities=["text"])) == [
        ("invalid_value", "session.output_modalities")
    ]
    create = {"type": "response.create", "response": {"output_modalities": ["audio"]}}
    assert refused(create) == [("invalid_value", "response.output_modalities")]


def test_an_image_is_refused_where_the_engine_makes_nothing_of_it() -> None:
    content = [
        {"type": "input_text", "text": "What is it?"},
        {"type": "input_image", "image_url": data_uri(file(drawn("A")))},
    ]
    item = {"type": "message", "role": "user", "content": content}
    assert refused({"type": "conversation.item.create", "item": item}) == [
        ("invalid_value", "item.content[1].type")
    ]
    create = {"type": "response.create", "response": {"conversation": "none", "input": [item]}}
    assert refused(create) == [("invalid_value", "response.input[0].content[1].type")]


def test_a_voice_that_the_engine_lacks_is_refused_with_those_it_has() -> None:
    wrong = update(audio={"output": {"voice": "basso"}})
    assert refused(wrong) == [("invalid_value", "session.audio.output.voice")]


def test_nothing_is_refused_by_default() -> None:
    traits = ScriptedEngine(Script()).traits
    config = SessionStart(scripted(), traits, lambda: 0.0).running(None, None, "realtime")
    plain = SessionConfig(id="", model="")
    for name in ("calls_functions", "takes_images", "is_audible"):
        assert getattr(config, name) is getattr(plain, name) is True
