"""The composition root: settings to parts."""

from pathlib import Path
from typing import Any

import pytest

from duologue.config import ServerConfig
from duologue.engines.scripted import Script
from duologue.errors import ConfigFault, ModelFault
from duologue.gateway.compose import compose, script
from live_server import UPSTREAM_KEY, call, front, scripted, serving, ws_url
from weights import weights

GREETING = 'replies = [{text = "Good day."}]'


def test_a_script_is_a_path_or_the_toml_itself(tmp_path: Path) -> None:
    (tmp_path / "script.toml").write_text(GREETING)
    assert script(GREETING) == script(str(tmp_path / "script.toml"))
    assert script(GREETING).replies[0].text == "Good day."
    assert script(None) == Script()


@pytest.mark.parametrize("text", ["nowhere.toml", "replies = 3", "replys = []", "= nonsense"])
def test_a_script_that_cannot_be_used_says_why(text: str) -> None:
    with pytest.raises(ConfigFault, match="script"):
        script(text)


async def test_the_scripted_engine_needs_nothing_else() -> None:
    parts = await compose(scripted())
    assert parts.engine.traits.voices == ("tone",)
    await parts.aclose()


async def test_a_server_says_what_its_script_says() -> None:
    async with serving(scripted(script=GREETING)) as base_url, call(base_url) as client:
        await client.send(
            "conversation.item.create",
            item={
                "type": "message",
                "role": "user",
                "content": [{"type": "input_text", "text": "Hello"}],
            },
        )
        await client.send("response.create")
        done = await client.next("response.output_audio_transcript.done")
        assert done["transcript"] == "Good day."


@pytest.mark.weights
async def test_the_scripted_engine_may_hear_with_a_real_model() -> None:
    weights("silero-vad")
    parts = await compose(scripted(vad="silero-vad"))
    assert type(parts.activity).__name__ == "SileroActivity"
    await parts.aclose()


async def test_a_model_of_voice_activity_that_is_not_there_is_named() -> None:
    with pytest.raises(ModelFault, match="nowhere.onnx"):
        await compose(scripted(vad="./nowhere.onnx"))


@pytest.mark.parametrize("upstream", ["", " , ", "nowhere", "ftp://a/v1"])
async def test_an_upstream_that_is_no_address_is_a_fault_of_the_settings(upstream: str) -> None:
    with pytest.raises(ConfigFault, match="upstream"):
        await compose(front(upstream))


async def test_a_front_that_needs_no_models_starts_without_its_upstream() -> None:
    parts = await compose(front("ws://127.0.0.1:1/v1/realtime", upstream_voices="ada, eve"))
    assert parts.engine.traits.voices == ("ada", "eve")
    assert parts.translator is None and parts.why_no_translator
    await parts.aclose()


@pytest.mark.parametrize(
    ("given", "is_whole", "tokens"),
    [
        ({}, False, 32_768),
        ({"upstream_end_to_end": True, "context_tokens": 8192}, True, 8192),
    ],
)
async def test_of_an_upstream_that_says_nothing_no_more_is_claimed_than_its_owner_does(
    given: dict[str, Any], is_whole: bool, tokens: int
) -> None:
    parts = await compose(front("ws://127.0.0.1:1/v1/realtime", **given))
    shown = parts.engine.traits.shown()
    assert (shown.end_to_end, shown.context_tokens) == (is_whole, tokens)
    await parts.aclose()


@pytest.mark.weights
async def test_a_front_may_listen_with_models_of_its_own() -> None:
    for name in ("silero-vad", "smart-turn-v3.2", "whisper-tiny.en"):
        weights(name)
    config = front("ws://127.0.0.1:1/v1", vad=None, turn_end=None, stt=None, profile="small")
    parts = await compose(config)
    assert type(parts.activity).__name__ == "SileroActivity"
    assert "whisper-tiny.en" in parts.transcriber.models.names
    await parts.aclose()


async def test_a_voice_that_another_duologue_does_not_have_stops_the_start() -> None:
    async with serving(scripted(api_key=UPSTREAM_KEY)) as upstream:
        with pytest.raises(ConfigFault, match="voice: 'nobody' is not allowed; allowed: tone"):
            async with serving(front(ws_url(upstream, ""), voice="nobody")):
                raise AssertionError("it started")


def children() -> set[str]:
    """The processes that this one has begun."""
    return set(Path("/proc/thread-self/children").read_text().split())


@pytest.mark.weights
@pytest.mark.skipif(not Path("/proc/thread-self/children").exists(), reason="Linux tells it so")
@pytest.mark.parametrize("engine", ["light", "chat", "realtime"])
async def test_a_start_that_fails_leaves_no_process_behind(engine: str, tmp_path: Path) -> None:
    """The voice activity is there already when the speech recognition cannot be read."""
    for name in ("silero-vad", "smart-turn-v3.2"):
        weights(name)
    before = children()
    upstream = {"upstream": "http://127.0.0.1:9/v1", "upstream_model": "m"}
    with pytest.raises(ModelFault):
        await compose(ServerConfig(engine=engine, stt=str(tmp_path), **upstream))
    assert children() == before
