"""The composition root: settings to parts."""

from pathlib import Path

import pytest

from duologue.engines.scripted import Script
from duologue.errors import ConfigFault, ModelFault
from duologue.gateway.compose import compose, script
from live_server import call, scripted, serving
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
