"""Pipecat's stock OpenAIRealtimeLLMService against a whole server: only the URL is ours."""

from pathlib import Path

import pytest

from duologue.config import ServerConfig
from duologue.engines.scripted import tone
from e2e.stock_clients import run_python
from live_server import KEY, Serve, scripted
from recordings import recording
from weights import weights

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]
SILENCE = bytes(48_000)
SCRIPT = """
transcripts = ["What is the weather in Paris?", "Stop.", "Goodbye."]
[[replies]]
when = "hello"
text = "Hello."
[[replies]]
when = "What is the weather"
calls = [{ name = "get_weather", arguments = '{"city":"Paris"}' }]
[[replies]]
when = "sunny"
text = "It is sunny in Paris today and it will stay so for the whole week."
word_delay_ms = 100
[[replies]]
text = "You said: {heard}"
"""


@pytest.mark.conformance("C-210")
@pytest.mark.client(
    "Pipecat",
    "connection",
    "text turn",
    "voice turn",
    "transcript",
    "function call",
    "interruption",
    "late commit of nothing",
)
async def test_it_listens_on_after_a_tool_an_interruption_and_an_empty_commit(
    tmp_path: Path,
    serve: Serve,
) -> None:
    question, interruption = tmp_path / "question.pcm", tmp_path / "interruption.pcm"
    question.write_bytes(SILENCE + tone(800) + SILENCE)
    # Silence to the end of the turn and hardly longer: the late commit finds under 100 ms.
    interruption.write_bytes(tone(400) + bytes(740 * 48))
    async with serve(scripted(script=SCRIPT)) as base_url:
        seen = await run_python(
            "pipecat_client.py", "voice", question, interruption, base_url=base_url
        )
    assert (seen["errors"], seen["complaints"]) == ([], [])
    assert seen["listens_after_the_tool"] and seen["listens_after_the_interruption"]
    assert seen["listens"] and "stuck" not in seen
    assert seen["transcripts"] == ["What is the weather in Paris?", "Stop.", "Goodbye."]
    assert seen["frames"].count("Interruption") >= 1
    assert seen["frames"].count("FunctionCallResult") == 1
    said = [[role, text] for role, text in seen["context"] if text and role != "tool"]
    assert said == [
        ["user", "Say hello!"],
        ["assistant", "Hello."],
        ["user", "What is the weather in Paris?"],
        ["assistant", "It"],
        ["user", "Stop."],
        ["assistant", "You said: Stop."],
        ["user", "Goodbye."],
        ["assistant", "You said: Goodbye."],
    ]


@pytest.mark.client("Pipecat", "push to talk", "transcript")
async def test_turns_that_the_application_drives_itself_work(tmp_path: Path, serve: Serve) -> None:
    speech = tmp_path / "speech.pcm"
    speech.write_bytes(tone(600))
    async with serve(scripted(script=SCRIPT)) as base_url:
        seen = await run_python("pipecat_client.py", "manual", speech, base_url=base_url)
    assert seen["errors"] == []
    assert all("is not emitting turn frames" in advice for advice in seen["complaints"])
    assert seen["listens"] and "stuck" not in seen
    assert seen["transcripts"] == ["What is the weather in Paris?", "Stop."]


@pytest.mark.weights
@pytest.mark.client("Pipecat", "connection", "text turn", "voice turn", "transcript")
async def test_a_real_engine_greets_and_answers(tmp_path: Path, serve_weights: Serve) -> None:
    for name in ("silero-vad", "whisper-tiny.en", "smollm2-135m-instruct-q4_1"):
        weights(name)
    question = tmp_path / "question.pcm"
    question.write_bytes(recording("06_af_nova.wav").pcm + SILENCE + SILENCE)
    config = ServerConfig(engine="light", profile="small", port=0, api_key=KEY, max_sessions=1)
    async with serve_weights(config) as base_url:
        seen = await run_python("pipecat_client.py", "question", question, base_url=base_url)
    assert (seen["errors"], seen["complaints"]) == ([], [])
    assert seen["listens"] and "stuck" not in seen
    assert "ounces" in seen["transcripts"][0]
    assert seen["greeting_bytes"] > 48 * 200
    assert seen["sound_bytes"] > seen["greeting_bytes"] + 48 * 200
