"""The settings of the engine `moshi`: what it needs, and what it does without."""

import pytest

from duologue.config import ServerConfig, load
from duologue.errors import ConfigFault
from duologue.gateway.compose_moshi import compose_moshi
from duologue.gateway.provision import provide, specs
from duologue.models import Store


def test_it_has_a_mind_of_its_own_and_no_voice_beside_it() -> None:
    own = specs(ServerConfig(engine="moshi", moshi_model="./weights"))
    assert own["mind"] == "./weights"
    assert set(own) == {"activity", "turn_end", "ear", "mind"}
    assert "mind" in own
    assert specs(ServerConfig())["mind"] != "./weights"


def test_voice_activity_and_turn_ends_need_no_model_if_loudness_will_do() -> None:
    own = specs(ServerConfig(engine="moshi", vad="loudness", turn_end="loudness"))
    assert set(own) == {"ear", "mind"}


def test_weights_of_a_hub_are_fetched_by_their_id(tmp_path: object) -> None:
    config = ServerConfig(engine="moshi", moshi_model="hf:kmhf/not-on-this-machine")
    asked: list[str] = []
    provide(config, Store(tmp_path), asked.extend, lambda _: None)  # type: ignore[arg-type]
    assert "hf:kmhf/not-on-this-machine" in asked


def test_a_device_is_one_of_three() -> None:
    assert load(environ={}, flags={"device": "cuda"}).device == "cuda"
    with pytest.raises(ConfigFault, match="--device: 'tpu' is not allowed"):
        load(environ={}, flags={"device": "tpu"})


async def test_without_the_extra_it_is_named() -> None:
    with pytest.raises(ConfigFault, match=r"needs no_such_torch, .* 'duologue\[moshi\]'"):
        await compose_moshi(ServerConfig(engine="moshi"), needed=("no_such_torch", "msgspec"))
