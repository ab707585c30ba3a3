"""Engines of others: found by entry point, given their settings, served like our own."""

import base64
import importlib
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from openai import AsyncOpenAI

from duologue.core.talk import TranscriptionAsk
from duologue.engines.scripted import LoudnessActivity
from duologue.errors import ConfigFault, EngineFault
from duologue.gateway.compose import compose
from duologue.gateway.compose_plugin import NoTranscriber, engine_settings
from duologue.testing.engine_conformance import RULES, Rule
from live_server import KEY, call, scripted, serving
from weights import STORE, weights

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "engine_echo"

OTHERS = """
from duologue.engines.plugin import EngineParts
from duologue.engines.scripted import Script, ScriptedEngine, ScriptedTranscriber

async def make(setup):
    engine = ScriptedEngine(Script(transcripts=("What the engine heard.",)))
    return EngineParts(engine, ScriptedTranscriber(engine))

async def breaks(setup):
    raise OSError("no such device")
"""


def install(folder: Path, package: str, points: dict[str, str]) -> None:
    """What an installer leaves of a package's entry points."""
    info = folder / f"{package}-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 0.1.0\n")
    lines = [f"{name} = {target}" for name, target in points.items()]
    (info / "entry_points.txt").write_text("[duologue.engines]\n" + "\n".join(lines) + "\n")


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The example and another package, as if they were installed; no model is on the disk."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    install(tmp_path, "duologue_engine_echo", project["entry-points"]["duologue.engines"])
    (tmp_path / "engines_of_others.py").write_text(OTHERS)
    points = {"other": "make", "broken": "breaks", "absent": "nothing"}
    targets = {name: f"engines_of_others:{attribute}" for name, attribute in points.items()}
    install(tmp_path, "others", targets)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.syspath_prepend(EXAMPLE)
    monkeypatch.delitem(sys.modules, "engines_of_others", raising=False)
    return tmp_path


def config(plugins: Path, engine: str, **settings: Any) -> Any:
    return scripted(engine=engine, models_dir=str(plugins / "models"), **settings)


def echo() -> ModuleType:
    sys.path.insert(0, str(EXAMPLE))
    try:
        return importlib.import_module("duologue_engine_echo")
    finally:
        sys.path.remove(str(EXAMPLE))


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_the_example_engine_keeps_the_rule(rule: Rule) -> None:
    excused = ("it calls no functions", "it tells when it replies")
    assert rule.check(echo().EchoEngine) in (None, *excused)


async def test_a_stock_client_hears_its_own_voice_from_the_example_engine(plugins: Path) -> None:
    spoken = bytes(range(256)) * 225  # 1.2 s
    async with (
        serving(config(plugins, "echo")) as base_url,
        AsyncOpenAI(api_key=KEY, base_url=base_url) as client,
    ):
        models = await client.models.list()
        traits = models.data[0].duologue["traits"]  # type: ignore[attr-defined]
        assert traits["end_to_end"] is True and traits["tools"] is False
        async with client.realtime.connect(model="gpt-realtime") as connection:
            audio = base64.b64encode(spoken).decode()
            content: Any = [{"type": "input_audio", "audio": audio}]
            await connection.conversation.item.create(
                item={"type": "message", "role": "user", "content": content}
            )
            await connection.response.create()
            heard, words = b"", ""
            async for event in connection:
                assert event.type != "error", event
                if event.type == "response.output_audio.delta":
                    heard += base64.b64decode(event.delta)
                elif event.type == "response.output_audio_transcript.delta":
                    words += event.delta
                elif event.type == "response.done":
                    break
        assert (heard, words) == (spoken, "(your own voice)")
        assert event.response.usage.input_token_details.audio_tokens == 24  # type: ignore[union-attr]


async def test_the_settings_of_a_plugin_reach_it_and_its_limits_hold(plugins: Path) -> None:
    settings = {"engine_config": 'says = "(you)"', "max_sessions": 1}
    async with serving(config(plugins, "echo", **settings)) as base_url, call(base_url) as client:
        created = await client.next("session.created")
        assert created["session"]["duologue"]["engine"] == "echo"
        await client.send(
            "session.update",
            session={
                "type": "realtime",
                "tools": [{"type": "function", "name": "f"}],
            },
        )
        assert (await client.receive())["error"]["param"] == "session.tools"
        await client.send("response.create", response={"output_modalities": ["text"]})
        assert (await client.next("response.output_text.done"))["text"] == "(you)"


async def test_a_plugin_may_bring_a_transcriber(plugins: Path) -> None:
    async with serving(config(plugins, "other")) as base_url, call(base_url) as client:
        await client.send(
            "session.update",
            session={
                "type": "realtime",
                "audio": {"input": {"transcription": {"model": "whisper-1"}}},
            },
        )
        content = [{"type": "input_audio", "audio": base64.b64encode(b"\1\1" * 4800).decode()}]
        item = {"type": "message", "role": "user", "content": content}
        await client.send("conversation.item.create", item=item)
        done = await client.next("conversation.item.input_audio_transcription.completed")
        assert done["transcript"] == "What the engine heard."


@pytest.mark.parametrize(
    ("engine", "said"),
    [
        (
            "ekho",
            "'ekho' is not allowed; built in: light, .*; installed: .*echo.*other",
        ),
        ("broken", "'broken' could not be made: OSError: no such device"),
        ("absent", "'absent' .* could not be loaded: AttributeError"),
    ],
)
async def test_an_engine_that_cannot_be_had_is_named_before_serving(
    plugins: Path, engine: str, said: str
) -> None:
    with pytest.raises(ConfigFault, match=said):
        await compose(config(plugins, engine))


async def test_settings_that_a_plugin_does_not_know_are_refused(plugins: Path) -> None:
    with pytest.raises(ConfigFault, match="engine_config of echo: .*unknown field `volume`"):
        await compose(config(plugins, "echo", engine_config="volume = 11"))


async def test_a_model_that_was_set_must_be_there(plugins: Path) -> None:
    with pytest.raises(Exception, match="silero-vad"):
        await compose(config(plugins, "echo", vad="silero-vad"))


async def test_without_models_plainer_parts_stand_in_and_say_so(
    plugins: Path, caplog: pytest.LogCaptureFixture
) -> None:
    parts = await compose(config(plugins, "echo"))
    assert isinstance(parts.activity, LoudnessActivity)
    assert "voice activity is judged by loudness alone" in caplog.text
    with pytest.raises(EngineFault, match="no speech recognition"):
        async for _ in parts.transcriber.transcribe("a", b"\1\1", TranscriptionAsk("whisper-1")):
            pass
    silent = NoTranscriber().transcribe("a", b"", TranscriptionAsk("whisper-1"))
    assert [transcript.text async for transcript in silent] == [""]  # type: ignore[union-attr]
    await parts.aclose()


@pytest.mark.weights
async def test_models_that_are_on_the_disk_stand_beside_a_plugin(plugins: Path) -> None:
    for name in ("silero-vad", "smart-turn-v3.2", "whisper-tiny.en"):
        weights(name)
    parts = await compose(scripted(engine="echo", profile="small", models_dir=str(STORE)))
    kinds = [type(part).__name__ for part in (parts.activity, parts.turn_end, parts.transcriber)]
    assert kinds == ["SileroActivity", "SmartTurnEnd", "WhisperTranscriber"]
    await parts.aclose()


async def test_a_plugin_may_be_heard_by_an_ear_on_another_server(plugins: Path) -> None:
    parts = await compose(config(plugins, "echo", stt="http://ear/v1#whisper", vad="loudness"))
    assert "http://ear/v1#whisper" in parts.transcriber.models.names
    await parts.aclose()


def test_engine_config_is_a_file_or_toml(tmp_path: Path) -> None:
    (tmp_path / "e.toml").write_text("[a]\nb = 1\n")
    assert engine_settings(str(tmp_path / "e.toml")) == {"a": {"b": 1}}
    assert engine_settings("b = 1") == {"b": 1} and engine_settings(None) == {}
    for wrong in (str(tmp_path / "none.toml"), "b = = 1"):
        with pytest.raises(ConfigFault, match="engine_config"):
            engine_settings(wrong)
