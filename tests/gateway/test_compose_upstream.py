"""What the owner has an upstream told beside the protocol, and what is wrong with it."""

import base64
import io
import json
import wave
from pathlib import Path
from typing import Any

import pytest

from duologue.config import ServerConfig
from duologue.engines.completions import wav
from duologue.engines.scripted import tone
from duologue.errors import ConfigFault
from duologue.gateway.compose import compose
from duologue.gateway.compose_chat import chat_engine
from duologue.gateway.compose_upstream import LONGEST_SAMPLE_S, further_fields, opening_fields
from duologue.testing.duplex_stand_in import DuplexStandIn
from live_server import UPSTREAM_KEY, call, front, scripted, serving, ws_url

CHAT: dict[str, Any] = {"engine": "chat", "upstream": "http://one", "upstream_model": "m"}


def voice(directory: Path, pcm: bytes = tone(1000)) -> str:
    path = directory / "voice.wav"
    path.write_bytes(wav(pcm))
    return str(path)


def test_a_voice_sample_is_sent_as_a_data_uri_of_mono_wav(tmp_path: Path) -> None:
    extra = json.dumps({"extra_body": {"force_listen_count": 0}})
    config = ServerConfig(upstream_voice_sample=voice(tmp_path), upstream_extra=extra)
    fields = opening_fields(config)
    head, _, data = fields["ref_audio"].partition(",")
    assert head == "data:audio/wav;base64"
    with wave.open(io.BytesIO(base64.b64decode(data))) as sound:
        assert (sound.getnchannels(), sound.getframerate()) == (1, 24_000)
        assert sound.readframes(sound.getnframes()) == tone(1000)
    assert fields["extra_body"] == {"force_listen_count": 0}
    assert opening_fields(ServerConfig()) == {}


@pytest.mark.parametrize("extra", ["[1]", "temperature = 1", "{", "3"])
def test_further_fields_that_are_no_object_are_refused(extra: str) -> None:
    with pytest.raises(ConfigFault, match="^upstream_extra: that is no JSON object"):
        further_fields(ServerConfig(upstream_extra=extra))


def test_a_voice_that_is_none_is_refused(tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text("No sound at all.")
    wrong = {
        str(tmp_path / "none.wav"): "cannot be read: No such file",
        str(words): "no sound file",
        voice(tmp_path, b""): "holds 0 s",
    }
    for path, why in wrong.items():
        with pytest.raises(ConfigFault, match=f"^upstream_voice_sample: .*{why}"):
            opening_fields(ServerConfig(upstream_voice_sample=path))
    path = voice(tmp_path, bytes((LONGEST_SAMPLE_S + 1) * 48_000))
    with pytest.raises(ConfigFault, match="holds 61 s of sound; allowed"):
        opening_fields(ServerConfig(upstream_voice_sample=path))


async def test_the_engine_chat_says_that_it_has_no_place_for_a_voice(tmp_path: Path) -> None:
    with pytest.raises(ConfigFault, match="^upstream_voice_sample: .* may stand in upstream_extra"):
        await compose(ServerConfig(**CHAT, upstream_voice_sample=voice(tmp_path)))
    with pytest.raises(ConfigFault, match="^upstream_extra: "):
        chat_engine(ServerConfig(**CHAT, upstream_extra="nothing"))


async def test_a_model_that_wants_a_voice_gets_it_with_each_session(tmp_path: Path) -> None:
    stand_in = DuplexStandIn(needs_voice=True)
    async with stand_in.serving() as address:
        config = front(address, upstream_voice_sample=voice(tmp_path))
        async with serving(config) as base_url:
            for _ in range(2):
                async with call(base_url) as client:
                    session = await stand_in.sessions.get()
                    update = {"type": "realtime", "instructions": "Be brief."}
                    await client.send("session.update", session=update)
                    first, *others = await session.until("session.update", 3)
                    assert first["session"]["ref_audio"].startswith("data:audio/wav;base64,")
                    assert not any("ref_audio" in event["session"] for event in others)
                    sound = base64.b64encode(tone(400) + bytes(48_000)).decode()
                    await client.send("input_audio_buffer.append", audio=sound)
                    done = (await client.next("response.done"))["response"]
                    assert done["status"] == "completed"


@pytest.mark.parametrize(
    ("given", "tools", "reads", "sees"),
    [
        ({}, True, True, False),
        ({"upstream_tools": False, "upstream_sees": "no"}, False, False, False),
        ({"upstream_sees": "yes"}, True, True, True),
    ],
)
async def test_what_a_realtime_upstream_can_do_is_what_its_owner_says(
    given: dict[str, Any], tools: bool, reads: bool, sees: bool
) -> None:
    for address in ("ws://127.0.0.1:1/v1/realtime", "ws://127.0.0.1:1/v1/realtime?duplex=1"):
        parts = await compose(front(address, **given))
        traits = parts.engine.traits
        assert (traits.tools, traits.reads_images, traits.sees) == (tools, reads, sees)
        await parts.aclose()


async def test_another_duologue_knows_itself_what_it_can_do() -> None:
    async with serving(scripted(api_key=UPSTREAM_KEY)) as upstream:
        address = ws_url(upstream, "")
        asked = await compose(front(address))
        told = await compose(front(address, upstream_tools=False, upstream_sees="no"))
        assert told.engine.traits == asked.engine.traits and told.engine.traits.tools
        await asked.aclose()
        await told.aclose()


async def test_tools_that_a_model_cannot_call_are_refused_by_path() -> None:
    tool = {"type": "function", "name": "look", "parameters": {"type": "object"}}
    async with DuplexStandIn().serving() as address:
        async with serving(front(address, upstream_tools=False)) as base_url:
            async with call(base_url) as client:
                await client.next("session.created")
                await client.send("session.update", session={"type": "realtime", "tools": [tool]})
                error = (await client.receive())["error"]
    assert error["param"] == "session.tools"


async def test_a_client_is_told_which_settings_a_model_refuses() -> None:
    stand_in = DuplexStandIn(
        refuses=lambda update: "tools_not_supported" if update["session"].get("tools") else None
    )
    async with stand_in.serving() as address, serving(front(address)) as base_url:
        async with call(base_url) as client:
            session = await stand_in.sessions.get()
            tool = {"type": "function", "name": "look", "parameters": {"type": "object"}}
            settings = {"type": "realtime", "instructions": "Speak only French.", "tools": [tool]}
            await client.send("session.update", session=settings)
            while (event := await client.receive())["type"] != "error":
                pass
            assert "without tools: tools_not_supported" in event["error"]["message"]
            assert event["error"]["code"] == "tools_not_supported"
            last = (await session.until("session.update", 4))[-1]["session"]
            assert last["instructions"] == "Speak only French." and "tools" not in last
            await client.append(tone(400) + bytes(48_000))
            done = (await client.next("response.done"))["response"]
            assert done["status"] == "completed"


async def test_a_client_is_told_why_a_model_without_its_voice_does_not_begin() -> None:
    async with DuplexStandIn(needs_voice=True).serving() as address:
        async with serving(front(address)) as base_url, call(base_url) as client:
            while (event := await client.receive())["type"] != "error":
                pass
    assert "requires ref_audio" in event["error"]["message"]
    assert event["error"]["code"] == "ref_audio_required"
