"""A full-duplex model in a real WebRTC call: stock aiortc, speech both ways, an interruption.

In a call the server plays: what the caller heard is measured, and the model is told.
"""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from duologue.audio import pcm as audio
from duologue.core import inputs
from duologue.events import ConversationItemTruncate
from duologue.runtime.recorder import read_tape
from duologue.testing.duplex_answer import Answer
from duologue.testing.duplex_stand_in import MINICPM, DuplexStandIn
from live_server import UPSTREAM_KEY, front, scripted, serving, ws_url
from peer_client import PeerCaller, dial, on_loopback, voice_like
from pictures import data_uri, drawn, file

LONG = "It is sunny in Paris today and it will stay so for a very long time I am told."
SCRIPT = f"""
duplex = true
transcripts = ["What is the weather?", "Stop."]
replies = [{{ when = "weather", text = "{LONG}" }}, {{ text = "Fine." }}]
"""


async def barge_in(caller: PeerCaller) -> dict[str, Any]:
    """A turn, and another in the middle of its answer; returns what was cut off."""
    await caller.next("session.created")
    caller.microphone.say(voice_like(0.8))
    started = await caller.next("output_audio_buffer.started")
    await caller.until(lambda: caller.loud_s() > 1.0)
    caller.microphone.say(voice_like(0.5))
    cut = await caller.next("conversation.item.truncated")
    kinds = caller.kinds()
    barge_in = len(kinds) - 1 - kinds[::-1].index("input_audio_buffer.speech_started")
    assert "output_audio_buffer.cleared" in kinds[barge_in:]
    assert "output_audio_buffer.stopped" not in kinds
    cleared = next(e for e in caller.seen if e["type"] == "output_audio_buffer.cleared")
    assert cleared["response_id"] == started["response_id"]
    assert cut["audio_end_ms"] / 1000 == pytest.approx(caller.loud_s(), abs=0.3)
    return cut


async def kept_words(caller: PeerCaller, item_id: str) -> str:
    """The words of an item as the conversation has them, heard to their end."""
    await caller.send("conversation.item.retrieve", item_id=item_id)
    item = (await caller.next("conversation.item.retrieved"))["item"]
    return str(item["content"][0]["transcript"])


def ended(caller: PeerCaller) -> list[dict[str, Any]]:
    return [event["response"] for event in caller.seen if event["type"] == "response.done"]


async def converse(caller: PeerCaller) -> dict[str, Any]:
    """The barge-in, and the answer to it, heard to its end; returns what was cut off."""
    cut = await barge_in(caller)
    heard = await kept_words(caller, cut["item_id"])
    assert heard and LONG.startswith(heard) and len(heard) < 40
    loud_s = caller.loud_s()
    await caller.next("output_audio_buffer.stopped")
    interrupted, last = ended(caller)
    assert interrupted["status_details"]["reason"] == "turn_detected"
    assert last["status"] == "completed"
    assert last["output"][0]["content"][0]["transcript"] == "Fine."
    await caller.until(lambda: caller.loud_s() > loud_s + 0.15)
    assert caller.kinds().count("input_audio_buffer.committed") == 2
    return cut


def tape(directory: Path) -> list[inputs.Input]:
    (path,) = directory.glob("*.jsonl")
    return [entry for _, entry in read_tape(path)[1]]


async def test_a_call_is_a_conversation_with_it(serve: Any, tmp_path: Path) -> None:
    config = on_loopback(script=SCRIPT, record_dir=str(tmp_path))
    async with serve(config) as base_url, dial(base_url) as caller, asyncio.timeout(30):
        cut = await converse(caller)
    played = [entry for entry in tape(tmp_path) if isinstance(entry, inputs.Played)]
    of_it = [entry.samples for entry in played if entry.item_id == cut["item_id"]]
    assert audio.ms_of_samples(max(of_it)) == cut["audio_end_ms"]
    assert {entry.item_id for entry in played} > {cut["item_id"]}, "and of the last reply"


async def test_the_server_behind_holds_what_the_caller_heard(tmp_path: Path) -> None:
    behind = scripted(script=SCRIPT, api_key=UPSTREAM_KEY, record_dir=str(tmp_path))
    async with serving(behind) as upstream:
        config = front(ws_url(upstream, ""), webrtc_hosts="127.0.0.1")
        async with serving(config) as base_url, dial(base_url) as caller, asyncio.timeout(30):
            cut = await converse(caller)
    entries = [entry.event for entry in tape(tmp_path) if isinstance(entry, inputs.Received)]
    *_, told = (event for event in entries if isinstance(event, ConversationItemTruncate))
    assert told.audio_end_ms == cut["audio_end_ms"], "the last word on it is exact"


async def test_a_model_of_another_kind_is_told_what_was_played_of_it() -> None:
    stand_in = DuplexStandIn(Answer(words=" ".join(["sunny"] * 60)))
    async with stand_in.serving() as upstream:
        config = front(upstream, webrtc_hosts="127.0.0.1")
        async with serving(config) as base_url, dial(base_url) as caller, asyncio.timeout(30):
            session = await stand_in.sessions.get()
            await session.until("session.update", 2)
            cut = await barge_in(caller)
            (created,) = (event for event in caller.seen if event["type"] == "session.created")
            assert created["session"]["duologue"]["traits"]["end_to_end"], "as it has just shown"
            acks = [event["played_ms"] for event in session.all_seen("playback.ack")]
            assert acks == sorted(acks) and len(acks) >= 4
            assert cut["audio_end_ms"] - 120 <= acks[-1] <= cut["audio_end_ms"]
            await session.until("conversation.item.truncate", 2)
            told = session.all_seen("conversation.item.truncate")[-1]
            assert told["audio_end_ms"] == cut["audio_end_ms"], "the last word on it is exact"
            await caller.next("output_audio_buffer.started")
            assert await session.until("playback.ack", len(acks) + 3)


async def test_the_first_call_is_bound_by_what_the_model_shows_with_it() -> None:
    stand_in = DuplexStandIn(capabilities={**MINICPM, "supports_image_input": False})
    async with stand_in.serving() as upstream:
        config = front(upstream, webrtc_hosts="127.0.0.1")
        async with serving(config) as base_url, dial(base_url) as caller, asyncio.timeout(30):
            session = (await caller.next("session.created"))["session"]
            assert "image" not in session["duologue"]["traits"]["input_modalities"]
            image = {"type": "input_image", "image_url": data_uri(file(drawn("Hello")))}
            item = {"type": "message", "role": "user", "content": [image]}
            await caller.send("conversation.item.create", item=item)
            assert (await caller.next("error"))["error"]["param"] == "item.content[0].type"
