"""Stock clients against the real `light` engine, interrupted by their users.

All do the same when the server tells of speech: they fall silent and tell the server how much of
the answer was played, or their application does (`openai`). The answer is then cut to the words
that were heard. The Agents SDKs are interrupted through a chain, too; the other three alone,
since through the chain they are with the scripted engine.
"""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from agents.realtime import RealtimeAgent, RealtimeRunner
from msgspec import structs

from authority import Authority
from duologue.config import ServerConfig
from duologue.core import inputs
from duologue.events import ConversationItemTruncate
from duologue.runtime.recorder import read_tape
from e2e.microphone import paced
from e2e.stock_clients import run_node, run_python
from live_server import KEY, Serve, serving, ws_url
from recordings import recording
from weights import weights

pytestmark = [pytest.mark.weights, pytest.mark.slow, pytest.mark.timeout(150)]
SILENCE = bytes(48_000)
QUESTION = recording("06_af_nova.wav").pcm + bytes(28_800)
"""With the 0.6 s of silence that end the turn, and no more: the answer may come soon."""
INTERRUPTION = bytes(9600) + recording("05_am_puck.wav").pcm + SILENCE
"""Begins 0.2 s after the answer: noticed when a word or two of it were played, and not all seven
of a short one."""


STORY = recording("librivox_0880.wav").speech + bytes(28_800)
STORYTELLER = "You are a storyteller. Tell a long story about what the user says."


@pytest.fixture
def spoken(tmp_path: Path) -> tuple[Path, Path]:
    """What a long answer follows, and the interruption of it."""
    story, interruption = tmp_path / "story.pcm", tmp_path / "interruption.pcm"
    story.write_bytes(STORY)
    interruption.write_bytes(INTERRUPTION)
    return story, interruption


@pytest.fixture
def small() -> ServerConfig:
    for name in ("silero-vad", "whisper-tiny.en", "smollm2-135m-instruct-q4_1"):
        weights(name)
    return ServerConfig(engine="light", profile="small", port=0, api_key=KEY, max_sessions=1)


@pytest.mark.conformance("C-207")
@pytest.mark.client("openai-agents Python", "voice turn", "transcript", "interruption")
async def test_the_python_agents_sdk_is_interrupted_and_keeps_the_heard_words(
    small: ServerConfig,
    serve_weights: Serve,
) -> None:
    agent = RealtimeAgent(name="Ava", instructions="Tell long stories.")
    kinds: list[str] = []
    truncated: list[Any] = []
    said: dict[str, str] = {}
    async with serve_weights(small) as base_url:
        model_config: Any = {
            "api_key": KEY,
            "url": ws_url(base_url),
            "initial_model_settings": {"model_name": "gpt-realtime", "max_output_tokens": 96},
        }
        session = await RealtimeRunner(agent).run(model_config=model_config)
        async with session, asyncio.TaskGroup() as tasks, asyncio.timeout(120):
            asking = tasks.create_task(paced(QUESTION, session.send_audio))
            async for event in session:
                assert event.type != "error", event
                kinds.append(event.type)
                if event.type == "audio" and kinds.count("audio") == 1:
                    tasks.create_task(interrupt(session, asking))
                raw = server_event(event)
                if raw.get("type") == "conversation.item.truncated":
                    truncated.append(raw)
                elif raw.get("type") == "response.output_audio_transcript.delta":
                    said[raw["item_id"]] = said.get(raw["item_id"], "") + raw["delta"]
                if kinds.count("agent_end") == 2:
                    break
            items: list[Any] = [item for item in session._history if item.type == "message"]
            roles = [item.role for item in items]
            texts = [item.content[0].transcript for item in items]
    assert roles == ["user", "assistant"] * 2
    assert "ounces" in texts[0] and "Stop" in texts[2] and texts[3]
    assert "audio_interrupted" in kinds
    _only_the_heard_words_are_left(
        items[1].item_id,
        texts[1],
        [(event["item_id"], event["audio_end_ms"]) for event in truncated],
        said,
    )


@pytest.mark.conformance("C-208")
@pytest.mark.client("agents-realtime Node", "voice turn", "transcript", "interruption")
async def test_the_node_agents_sdk_is_interrupted_and_keeps_the_heard_words(
    small: ServerConfig, serve_weights: Serve, tmp_path: Path
) -> None:
    question, interruption = tmp_path / "question.pcm", tmp_path / "interruption.pcm"
    question.write_bytes(QUESTION)
    interruption.write_bytes(INTERRUPTION)
    async with serve_weights(small) as base_url:
        seen = await run_node("barge_in.mjs", question, interruption, base_url=base_url)
    assert (seen["errors"], seen["dropped"]) == ([], [])
    history = seen["history"]
    assert [item["role"] for item in history] == ["user", "assistant"] * 2
    texts = [item["text"] for item in history]
    assert "ounces" in texts[0] and "Stop" in texts[2] and texts[3]
    assert seen["interruptions"] >= 1
    _only_the_heard_words_are_left(
        history[1]["id"], texts[1], [tuple(one) for one in seen["truncated"]], seen["said"]
    )


@pytest.mark.client(
    "openai Node", "connection over TLS", "voice turn", "transcript", "interruption"
)
async def test_the_openai_node_package_truncates_to_what_was_played(
    small: ServerConfig, spoken: tuple[Path, Path], tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    config = structs.replace(small, tls_certificate=authority.certificate, tls_key=authority.key)
    trusted = {"NODE_EXTRA_CA_CERTS": authority.trusted, "INSTRUCTIONS": STORYTELLER}
    async with serving(config) as base_url:
        seen = await run_node("openai_barge_in.mjs", *spoken, base_url=base_url, **trusted)
    assert (seen["errors"], seen["closed"]) == ([], 1000)
    assert [item_id for _, item_id in seen["responses"]] == list(seen["said"])
    _was_interrupted(seen)


@pytest.mark.conformance("C-209")
@pytest.mark.client("LiveKit", "voice turn", "transcript", "interruption")
async def test_livekit_is_interrupted_and_keeps_the_heard_words(
    small: ServerConfig, spoken: tuple[Path, Path]
) -> None:
    async with serving(small) as base_url:
        seen = await run_python(
            "livekit_client.py", "barge_in", *spoken, base_url=base_url, INSTRUCTIONS=STORYTELLER
        )
    assert (seen["errors"], seen["complaints"]) == ([], [])
    assert seen["truncated"][0][1] == seen["played_ms"] and seen["next_ms"] > 0
    _was_interrupted(seen)


@pytest.mark.conformance("C-210")
@pytest.mark.client("Pipecat", "voice turn", "transcript", "interruption")
async def test_pipecat_is_interrupted_and_keeps_the_heard_words(
    small: ServerConfig, spoken: tuple[Path, Path], tmp_path: Path
) -> None:
    _, interruption = spoken
    tapes = tmp_path / "tapes"
    async with serving(structs.replace(small, record_dir=str(tapes))) as base_url:
        seen = await run_python(
            "pipecat_client.py",
            "barge_in",
            interruption,
            base_url=base_url,
            INSTRUCTIONS=STORYTELLER,
        )
    assert (seen["errors"], seen["complaints"]) == ([], [])
    assert seen["listens"] and "stuck" not in seen
    assert seen["frames"].count("Interruption") >= 1 and len(seen["said"]) == 2
    (heard,) = seen["transcripts"]
    assert "Stop" in heard
    (tape,) = tapes.glob("*.jsonl")
    entries = [one.event for _, one in read_tape(tape)[1] if isinstance(one, inputs.Received)]
    (told,) = (one for one in entries if isinstance(one, ConversationItemTruncate))
    kept = seen["kept"]
    assert (kept["item_id"], kept["audio_ms"]) == (told.item_id, told.audio_end_ms)
    _is_a_part(kept["transcript"], seen["said"][0], kept["audio_ms"])


def _was_interrupted(seen: dict[str, Any]) -> None:
    """The question and the interruption were heard, and the first answer was cut between."""
    asked, interrupted = seen["transcripts"]
    assert "young man" in asked and "Stop" in interrupted
    ((item_id, audio_end_ms),), kept = seen["truncated"], seen["kept"]
    assert kept["audio_ms"] == audio_end_ms
    _is_a_part(kept["transcript"], seen["said"][item_id], audio_end_ms)


def _only_the_heard_words_are_left(
    item_id: str, kept: str, truncated: list[tuple[str, int]], said: dict[str, str]
) -> None:
    assert [cut for cut, _ in truncated] == [item_id]
    (_, audio_end_ms), *_ = truncated
    _is_a_part(kept, said[item_id], audio_end_ms)
    assert len(kept) < len(said[item_id])


def _is_a_part(kept: str, said: str, heard_ms: float) -> None:
    assert 200 < heard_ms < 10_000
    assert kept and said.startswith(kept)
    assert len(kept.split()) <= heard_ms / 1000 * 6  # nobody says more words in that time


async def interrupt(session: Any, asking: asyncio.Task[None]) -> None:
    """There is one microphone: it says first what it still has to say."""
    await asking
    await paced(INTERRUPTION, session.send_audio)


def server_event(event: Any) -> dict[str, Any]:
    """The server's own event, where the SDK passes one on."""
    if event.type != "raw_model_event" or event.data.type != "raw_server_event":
        return {}
    raw: dict[str, Any] = event.data.data
    return raw
