"""The settings of the engine `chat`: what it needs, and what it does without."""

import logging
from typing import Any

import pytest
from msgspec import structs

from duologue.config import ServerConfig, load
from duologue.core.talk import Ask, Began, Item, Part
from duologue.engines.scripted import LoudnessActivity, LoudnessTurnEnd
from duologue.errors import ConfigFault
from duologue.gateway.compose import compose
from duologue.gateway.compose_chat import chat_engine
from duologue.gateway.compose_parts import make_mind
from duologue.gateway.provision import specs
from duologue.testing.chat_stand_in import Answer, ChatStandIn, standing_in

GOOD: dict[str, Any] = {
    "engine": "chat",
    "upstream": "http://one:8000/v1, https://two",
    "upstream_model": "qwen3-omni",
    "upstream_voices": "ethan, chelsie,",
}


def test_an_engine_is_made_of_its_settings_and_no_language_model_or_voice_is_fetched() -> None:
    config = ServerConfig(**GOOD, context_tokens=9000)
    traits = chat_engine(config).traits
    assert (traits.voices, traits.context_tokens) == (("ethan", "chelsie"), 9000)
    assert set(specs(config)) == {"activity", "turn_end", "ear"}
    assert "mind" in specs(ServerConfig())


@pytest.mark.parametrize(
    ("model", "setting", "per_s"),
    [("Qwen/Qwen2.5-Omni-7B", None, 25.0), ("m", None, 12.5), ("Qwen2.5-Omni", 10.0, 10.0)],
)
async def test_a_second_of_sound_counts_by_the_setting_or_the_name_of_the_model(
    model: str, setting: float | None, per_s: float
) -> None:
    upstream = ChatStandIn(Answer(sound_ms=100))
    item = Item("u", "user", (Part(pcm=bytes(48_000 * 2)),))
    async with standing_in(upstream) as url:
        config = ServerConfig(
            engine="chat", upstream=url, upstream_model=model, audio_tokens_per_s=setting
        )
        llm = {"engine": "light", "llm": f"{url}#{model}", "llm_hears": True}
        engine = chat_engine(config)
        mind = await make_mind(structs.replace(config, **llm), None)
        talk, thinking = await engine.open(Ask()), mind.open()
        talk.put(item)
        first = await anext(aiter(talk.reply(Ask())))
        think = await thinking.prepare(Ask(), [item])
        second = await anext(aiter(think()))
        await engine.aclose()
        await mind.aclose()
    assert isinstance(first, Began) and isinstance(second, Began)
    assert first.input["audio"] == second.input["audio"] == 2 * per_s


@pytest.mark.parametrize(
    ("settings", "sees", "tools"),
    [
        ({}, True, True),
        ({"upstream_dialect": "openai"}, False, True),
        ({"upstream_dialect": "openai", "upstream_sees": "yes"}, True, True),
        ({"upstream_sees": "no", "upstream_tools": False}, False, False),
    ],
)
def test_what_the_model_cannot_do_is_a_setting(
    settings: dict[str, Any], sees: bool, tools: bool
) -> None:
    traits = chat_engine(ServerConfig(**GOOD, **settings)).traits
    assert (traits.sees, traits.tools) == (sees, tools)


async def test_without_models_of_its_own_it_judges_turns_by_loudness() -> None:
    """Words are written down on another server; nothing is on this disk."""
    plain = {"vad": "loudness", "turn_end": "loudness", "stt": "http://ear/v1#whisper"}
    config = ServerConfig(**GOOD, **plain, models_dir="/nowhere")
    assert specs(config) == {}
    parts = await compose(config)
    assert isinstance(parts.activity, LoudnessActivity)
    assert isinstance(parts.turn_end, LoudnessTurnEnd)
    await parts.aclose()


@pytest.mark.parametrize("engine", ["chat", "light"])
async def test_an_upstream_that_writes_nothing_down_cannot_be_asked_to(engine: str) -> None:
    config = ServerConfig(**{**GOOD, "engine": engine, "stt": "upstream"})
    with pytest.raises(ConfigFault, match="^stt: 'upstream' is not allowed; only the engine real"):
        await compose(config)


@pytest.mark.parametrize("key", ["upstream", "upstream_model"])
async def test_what_is_missing_is_named_before_any_model_is_loaded(key: str) -> None:
    with pytest.raises(ConfigFault, match=f"^{key}: "):
        await compose(ServerConfig(**{**GOOD, key: None}))


@pytest.mark.parametrize("url", ["one:8000", "http://me:secret@one", "http://one/v1?key=secret"])
async def test_an_upstream_that_is_no_url_is_refused_without_its_secrets(url: str) -> None:
    with pytest.raises(ConfigFault, match="^upstream: ") as fault:
        await compose(ServerConfig(**{**GOOD, "upstream": f"http://good,{url}"}))
    assert "secret" not in str(fault.value)


def test_the_key_is_never_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    config = load(environ={"DUOLOGUE_UPSTREAM_KEY": "sk-secret"})
    assert config.upstream_key == "sk-secret"
    assert "secret" not in repr(config) + caplog.text
