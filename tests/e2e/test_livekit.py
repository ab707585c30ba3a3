"""LiveKit's stock RealtimeModel against a whole server: only the base URL is ours."""

from pathlib import Path

import pytest

from duologue.config import ServerConfig
from duologue.engines.scripted import tone
from e2e.stock_clients import run_python
from live_server import KEY, Serve, scripted
from pictures import data_uri, drawn, file
from recordings import recording
from weights import weights

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]
SILENCE = bytes(48_000)
SCRIPT = """
[[replies]]
when = "What is the weather"
calls = [{ name = "get_weather", arguments = '{"city":"Paris"}' }]
[[replies]]
when = "sunny"
text = "It is sunny."
[[replies]]
text = "You said: {heard}"
"""
VOICE_SCRIPT = """
transcripts = ["Tell me a story.", "Stop."]
[[replies]]
when = "story"
text = "Once upon a time there was a tone that went on and on."
word_delay_ms = 100
[[replies]]
text = "Fine."
"""


@pytest.mark.conformance("C-209")
@pytest.mark.client(
    "LiveKit", "connection", "text turn", "function call", "edits of the history", "image"
)
async def test_replies_tools_and_every_edit_of_the_history_succeed(serve: Serve) -> None:
    async with serve(scripted(script=SCRIPT)) as base_url:
        image = data_uri(file(drawn("Hello")))
        seen = await run_python("livekit_client.py", "texts", base_url=base_url, IMAGE=image)
    assert (seen["errors"], seen["complaints"]) == ([], [])
    replies = ["called", "answered", "inserted", "replaced", "deleted", "forced"]
    assert all(seen[name]["waited_s"] < 10 and seen[name]["user_initiated"] for name in replies)
    assert seen["called"]["calls"][0][:2] == ["get_weather", {"city": "Paris"}]
    assert seen["answered"]["text"] == "It is sunny."
    assert seen["answered"]["modalities"] == ["audio", "text"]
    assert seen["answered"]["sound_ms"] == 3 * 240
    beginning = [["system", "You are Ava."], ["user", "What is the weather in Paris?"]]
    tool = [["function_call", ""], ["function_call_output", ""], ["assistant", "It is sunny."]]
    assert seen["after_the_tool"] == [*beginning, *tool]
    assert seen["inserted"]["text"] == "You said: Good day"
    assert seen["after_replacing"] == [
        ["system", "You are Ava."],
        ["user", "Early bird"],
        ["user", "What is the weather in Paris?"],
        *tool,
        ["user", "Good night"],
        ["assistant", "You said: Good day"],
    ]
    assert seen["replaced"]["text"] == "You said: Good night"
    assert seen["after_deleting"] == [["user", "Early bird"]]
    assert seen["deleted"]["text"] == "You said: Early bird"
    assert seen["forced"]["calls"][0][0] == "get_weather"
    assert seen["shown"]["text"] == "You said: What do you see?"


@pytest.mark.conformance("C-209")
@pytest.mark.client("LiveKit", "voice turn", "transcript", "interruption")
async def test_a_voice_turn_is_interrupted_truncated_and_followed_by_the_next(
    tmp_path: Path,
    serve: Serve,
) -> None:
    first, second = tmp_path / "first.pcm", tmp_path / "second.pcm"
    first.write_bytes(SILENCE + tone(800) + SILENCE)
    second.write_bytes(tone(400) + SILENCE)
    async with serve(scripted(script=VOICE_SCRIPT)) as base_url:
        seen = await run_python("livekit_client.py", "voice", first, second, base_url=base_url)
    assert (seen["errors"], seen["complaints"]) == ([], [])
    assert seen["speech"] == ["started", "stopped"] * 2
    assert seen["transcripts"] == ["Tell me a story.", "Stop."]
    story = "Once upon a time there was a tone that went on and on."
    assert seen["interrupted"]["text"] and story.startswith(seen["interrupted"]["text"])
    assert 0 < seen["interrupted"]["sound_ms"] < 13 * 240
    assert "conversation.item.truncated" in seen["events"]
    assert seen["next"]["text"] == "Fine." and not seen["next"]["user_initiated"]
    assert [role for role, _ in seen["history"]] == ["user", "assistant"] * 2


@pytest.mark.client("LiveKit", "reconnection of its own")
async def test_the_history_survives_the_clients_own_reconnection(serve: Serve) -> None:
    async with serve(scripted()) as base_url:
        seen = await run_python("livekit_client.py", "reconnect", base_url=base_url)
    assert (seen["errors"], seen["complaints"]) == ([], [])
    assert seen["before"]["text"] == seen["after"]["text"] == "You said: Remember me"
    said = ["assistant", "You said: Remember me"]
    assert seen["history"] == [["user", "Remember me"], said, said]
    assert seen["events"].count("session.created") == 2


@pytest.mark.weights
@pytest.mark.client("LiveKit", "connection", "voice turn", "transcript", "function call")
async def test_a_real_engine_answers_and_calls_a_tool(tmp_path: Path, serve_weights: Serve) -> None:
    for name in ("silero-vad", "whisper-tiny.en", "smollm2-135m-instruct-q4_1"):
        weights(name)
    question = tmp_path / "question.pcm"
    question.write_bytes(recording("06_af_nova.wav").pcm + SILENCE + SILENCE)
    config = ServerConfig(engine="light", profile="small", port=0, api_key=KEY, max_sessions=1)
    async with serve_weights(config) as base_url:
        seen = await run_python("livekit_client.py", "question", question, base_url=base_url)
    assert (seen["errors"], seen["complaints"]) == ([], [])
    assert "ounces" in seen["transcript"]
    assert seen["spoken"]["text"] and seen["spoken"]["sound_ms"] > 200
    name, arguments, _ = seen["forced"]["calls"][0]
    assert name == "get_weather" and isinstance(arguments["city"], str)
    assert seen["forced"]["waited_s"] < 10
