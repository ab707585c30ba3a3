"""The stock Node clients, `openai` and `@openai/agents-realtime`, against a whole server."""

from pathlib import Path

import pytest

from authority import Authority
from duologue.config import ServerConfig
from duologue.engines.scripted import tone
from e2e.stock_clients import run_node
from live_server import KEY, Serve, scripted
from pictures import data_uri, drawn, file
from recordings import recording
from weights import weights

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]
SILENCE = bytes(48_000)
SMALL = ("silero-vad", "whisper-tiny.en", "smollm2-135m-instruct-q4_1")
SCRIPT = """
transcripts = ["What is the weather in Paris?", "Stop."]
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


@pytest.fixture
def spoken(tmp_path: Path) -> tuple[Path, Path]:
    """A question and an interruption."""
    question, interruption = tmp_path / "question.pcm", tmp_path / "interruption.pcm"
    question.write_bytes(SILENCE + tone(800) + SILENCE)
    interruption.write_bytes(tone(400) + SILENCE)
    return question, interruption


@pytest.mark.client(
    "openai Node",
    "connection over TLS",
    "text turn",
    "voice turn",
    "transcript",
    "function call",
    "interruption",
    "out of band",
    "mistake",
)
async def test_the_openai_package_talks_over_tls(
    spoken: tuple[Path, Path], tmp_path: Path, serve: Serve
) -> None:
    authority = Authority(tmp_path)
    config = scripted(script=SCRIPT, tls_certificate=authority.certificate, tls_key=authority.key)
    async with serve(config) as base_url:
        seen = await run_node(
            "openai.mjs", *spoken, base_url=base_url, NODE_EXTRA_CA_CERTS=authority.trusted
        )
    assert seen["url"].startswith("wss://127.0.0.1:")
    assert seen["transcripts"] == ["What is the weather in Paris?", "Stop."]
    assert seen["responses"] == [
        ["completed", "function_call"],
        ["cancelled", "message"],
        ["completed", "message"],
        ["completed", "message"],
        ["completed", "message"],
    ]
    assert seen["arguments"] == {"city": "Paris"} and seen["kept"] == "It"
    assert seen["aside"] == [{"topic": "aside"}, "You said: Stop."]
    assert seen["typed"] == "You said: Good day"
    assert [(e["code"], e["event_id"]) for e in seen["errors"]] == [
        ("item_delete_invalid_item_id", "mine")
    ]
    assert seen["closed"] == 1000


@pytest.mark.conformance("C-208")
@pytest.mark.client(
    "agents-realtime Node",
    "connection",
    "text turn",
    "voice turn",
    "transcript",
    "function call",
    "interruption",
    "image",
)
async def test_the_agents_package_talks_over_websocket_without_one_dropped_event(
    spoken: tuple[Path, Path],
    serve: Serve,
) -> None:
    async with serve(scripted(script=SCRIPT)) as base_url:
        image = data_uri(file(drawn("Hello")))
        seen = await run_node("agents.mjs", *spoken, base_url=base_url, IMAGE=image)
    assert (seen["errors"], seen["dropped"]) == ([], [])
    # The client sends images, but knows none in what it reads: its history is without them.
    assert seen["dropped_of_image"] == ["conversation.item.added", "conversation.item.done"]
    assert seen["tools"] == ["Paris"]
    assert seen["interruptions"] == 2  # told at every onset; the first answer was played by then
    said = [(item["role"], item["text"]) for item in seen["history"]]
    assert said == [
        ("user", "Good day"),
        ("assistant", "You said: Good day"),
        ("user", "What is the weather in Paris?"),
        ("function_call", "sunny in Paris"),
        ("assistant", "It"),
        ("user", "Stop."),
        ("assistant", "You said: Stop."),
        ("assistant", "You said:"),
    ]


@pytest.mark.weights
@pytest.mark.client("agents-realtime Node", "connection", "text turn", "voice turn", "transcript")
async def test_the_agents_package_talks_with_a_real_engine(
    tmp_path: Path, serve_weights: Serve
) -> None:
    for name in SMALL:
        weights(name)
    question = tmp_path / "question.pcm"
    question.write_bytes(recording("06_af_nova.wav").pcm + SILENCE + SILENCE)
    config = ServerConfig(engine="light", profile="small", port=0, api_key=KEY, max_sessions=1)
    async with serve_weights(config) as base_url:
        seen = await run_node("agents.mjs", question, base_url=base_url)
    assert (seen["errors"], seen["dropped"]) == ([], [])
    assert [item["role"] for item in seen["history"]] == ["user", "assistant"] * 2
    assert "ounces" in seen["history"][2]["text"]
    assert seen["history"][3]["text"] and seen["sound_bytes"] > 48 * 200


@pytest.mark.weights
@pytest.mark.client("openai Node", "connection over TLS", "voice turn", "transcript")
async def test_the_openai_package_asks_a_real_engine_aloud_over_tls(
    tmp_path: Path, serve_weights: Serve
) -> None:
    for name in SMALL:
        weights(name)
    authority = Authority(tmp_path)
    question = tmp_path / "question.pcm"
    question.write_bytes(recording("06_af_nova.wav").pcm + SILENCE + SILENCE)
    config = ServerConfig(
        engine="light",
        profile="small",
        port=0,
        api_key=KEY,
        max_sessions=1,
        tls_certificate=authority.certificate,
        tls_key=authority.key,
    )
    async with serve_weights(config) as base_url:
        seen = await run_node(
            "openai_aloud.mjs", question, base_url=base_url, NODE_EXTRA_CA_CERTS=authority.trusted
        )
    assert seen["url"].startswith("wss://127.0.0.1:")
    assert seen["errors"] == []
    assert "ounces" in seen["heard"]
    assert seen["status"] in ("completed", "incomplete")  # the limit of tokens may cut it
    assert seen["said"] and seen["sound_bytes"] > 48 * 200
    assert seen["usage"]["output_token_details"]["audio_tokens"] > 0
    assert seen["closed"] == 1000
