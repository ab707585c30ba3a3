"""Stock clients and a full-duplex model, over real sockets: only the URL is ours.

They know nothing of it: the model takes turns, yields, calls and talks on by itself, and every
event is one that they read strictly.
"""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from agents import function_tool
from agents.realtime import RealtimeAgent, RealtimePlaybackTracker, RealtimeRunner
from openai import AsyncOpenAI

from duologue.core import inputs
from duologue.engines.scripted import tone
from duologue.errors import ConfigFault
from duologue.events import ClientEvent, ResponseCancel
from duologue.runtime.recorder import read_tape
from duologue.testing.duplex_answer import Answer
from duologue.testing.duplex_stand_in import DuplexStandIn
from e2e.tool_and_barge_in import TOOL
from live_server import KEY, UPSTREAM_KEY, call, front, http_get, scripted, serving, ws_url
from oracle import validate_server_event

SCRIPT = """
duplex = true
word_ms = 120
transcripts = ["What is the weather in Paris?", "Stop.", "And now?"]
[[replies]]
when = "weather"
text = "Let me look."
calls = [{ name = "get_weather", arguments = '{"city":"Paris"}' }]
[[replies]]
when = "sunny"
text = "It is sunny in Paris today and it will stay so for a very long time I am told."
[[replies]]
text = "Fine."
"""
SILENCE = bytes(48_000)


class Spoken:
    """The stock SDK's connection: strict about every event."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.seen: list[Any] = []

    async def say(self, sound: bytes) -> None:
        await self.connection.input_audio_buffer.append(audio=b64encode(sound).decode())

    async def until(self, kind: str) -> Any:
        """The next event of a type; each one before it must be valid and no error."""
        async for event in self.connection:
            validate_server_event(json.dumps(event.to_dict()))
            assert event.type != "error", event
            self.seen.append(event)
            if event.type == kind:
                return event
        raise AssertionError(f"the connection ended before {kind}")


async def converse(base_url: str) -> list[str]:
    """A voice turn, a call, its result, a barge-in and the next turn; the words of each reply."""
    client = AsyncOpenAI(api_key=KEY, base_url=base_url)
    async with client.realtime.connect(model="gpt-realtime") as connection:
        spoken = Spoken(connection)
        await connection.session.update(
            session={
                "type": "realtime",
                "tools": [TOOL],
                "audio": {"input": {"transcription": {"model": "whisper-1"}}},
            }
        )
        await spoken.until("session.updated")
        await spoken.say(SILENCE + tone(800) + SILENCE)
        transcript = await spoken.until("conversation.item.input_audio_transcription.completed")
        assert transcript.transcript == "What is the weather in Paris?"
        called = (await spoken.until("response.done")).response
        message, asked = called.output
        assert called.status == "completed"
        await connection.conversation.item.create(
            item={"type": "function_call_output", "call_id": asked.call_id, "output": "sunny"}
        )
        await connection.response.create()  # as every client does
        await spoken.until("response.output_audio.delta")
        await spoken.say(tone(400))
        started = await spoken.until("input_audio_buffer.speech_started")
        interrupted = (await spoken.until("response.done")).response
        assert interrupted.status_details.reason == "turn_detected"
        await spoken.say(SILENCE)
        committed = await spoken.until("input_audio_buffer.committed")
        assert committed.item_id == started.item_id
        last = (await spoken.until("response.done")).response
        kinds = [event.type for event in spoken.seen]
        assert kinds.count("response.created") == 3, "nobody asked twice"
        return [
            response.output[0].content[0].transcript for response in (called, interrupted, last)
        ]


@pytest.mark.client("openai Python", "full-duplex model")
async def test_a_voice_turn_a_tool_and_a_barge_in(serve: Any) -> None:
    async with serve(scripted(script=SCRIPT)) as base_url, asyncio.timeout(30):
        first, second, last = await converse(base_url)
    assert (first, last) == ("Let me look.", "Fine.")
    assert 0 < len(second) < 40 and "It is sunny in Paris".startswith(second[:20])


async def test_two_sessions_talk_at_once_and_apart(serve: Any) -> None:
    async with serve(scripted(script=SCRIPT)) as base_url, asyncio.timeout(40):
        for first, _, last in await asyncio.gather(converse(base_url), converse(base_url)):
            assert (first, last) == ("Let me look.", "Fine.")


async def test_what_a_client_is_told_of_it_and_what_it_cannot_have(serve: Any) -> None:
    async with serve(scripted(script=SCRIPT)) as base_url, call(base_url) as client:
        created = await client.next("session.created")
        assert created["session"]["duologue"]["traits"]["duplex"] is True
        audio_input = {"audio": {"input": {"turn_detection": None}}}
        await client.send("session.update", session={"type": "realtime", **audio_input})
        refused = await client.receive()
        assert refused["error"]["param"] == "session.audio.input.turn_detection"


async def test_a_model_that_breaks_fails_its_reply_and_is_heard_again(serve: Any) -> None:
    script = """
        duplex = true
        transcripts = ["Tea?", "Coffee?"]
        replies = [{ when = "Tea", text = "Oh", fail = "out of tea" }, { text = "Fine." }]
    """
    async with serve(scripted(script=script)) as base_url, asyncio.timeout(30):
        client = AsyncOpenAI(api_key=KEY, base_url=base_url)
        async with client.realtime.connect(model="gpt-realtime") as connection:
            spoken = Spoken(connection)
            await spoken.say(tone(400) + SILENCE)
            failed = (await spoken.until("response.done")).response
            assert failed.status == "failed"
            assert "out of tea" in failed.status_details.error.message
            await _silence(spoken, 2.5)  # the model is opened again with sound after a second
            await spoken.say(tone(400) + SILENCE)
            done = (await spoken.until("response.done")).response
            assert done.output[0].content[0].transcript == "Fine."


async def _silence(spoken: Spoken, seconds: float = 3600) -> None:
    """An open microphone, in real time."""
    for _ in range(round(seconds * 10)):
        await spoken.say(bytes(4800))
        await asyncio.sleep(0.1)


async def test_a_model_on_a_server_of_another_kind_and_its_end() -> None:
    stand_in = DuplexStandIn(Answer(words=" ".join(["sunny"] * 20)))
    async with stand_in.serving() as upstream, serving(front(upstream)) as base_url:
        client = AsyncOpenAI(api_key=KEY, base_url=base_url)
        async with client.realtime.connect(model="gpt-realtime") as connection:
            async with asyncio.timeout(30), asyncio.TaskGroup() as group:
                session = await stand_in.sessions.get()
                await session.until("session.update", 2)
                spoken = Spoken(connection)
                microphone = group.create_task(_silence(spoken))
                await spoken.say(tone(400))
                await spoken.until("response.output_audio.delta")
                await spoken.say(tone(400))
                interrupted = (await spoken.until("response.done")).response
                assert interrupted.status_details.reason == "turn_detected"
                await spoken.until("response.output_audio.delta")
                assert await session.until("playback.ack", 3)
                await session.drop()
                failed = (await spoken.until("response.done")).response
                assert failed.status == "failed"
                again = await stand_in.sessions.get()
                await again.until("session.update", 2)
                roles = [
                    event["item"]["role"] for event in again.all_seen("conversation.item.create")
                ]
                assert roles == ["user", "assistant", "user", "assistant"], "its history"
                await spoken.say(tone(400))
                done = (await spoken.until("response.done")).response
                assert done.status == "completed"
                microphone.cancel()


async def test_a_reply_that_is_cancelled_before_its_first_word_is_cancelled_behind(
    tmp_path: Path,
) -> None:
    script = """
        duplex = true
        transcripts = ["Tea?", "Coffee?"]
        replies = [{ when = "Tea", text = "Oh", first_delay_ms = 60000 }, { text = "Fine." }]
    """
    behind = scripted(script=script, api_key=UPSTREAM_KEY, record_dir=str(tmp_path))
    async with serving(behind) as upstream, serving(front(ws_url(upstream, ""))) as base_url:
        client = AsyncOpenAI(api_key=KEY, base_url=base_url)
        async with (
            client.realtime.connect(model="gpt-realtime") as connection,
            asyncio.timeout(20),
        ):
            spoken = Spoken(connection)
            await spoken.say(tone(400) + SILENCE)
            await spoken.until("response.created")
            await connection.response.cancel()
            cancelled = (await spoken.until("response.done")).response
            assert cancelled.status_details.reason == "client_cancelled"
            await spoken.say(tone(400) + SILENCE)
            done = (await spoken.until("response.done")).response
            assert done.output[0].content[0].transcript == "Fine."
    assert len([event for event in received(tmp_path) if isinstance(event, ResponseCancel)]) == 1


def received(directory: Path) -> list[ClientEvent]:
    """What the one session recorded there was sent."""
    (path,) = directory.glob("*.jsonl")
    entries = (entry for _, entry in read_tape(path)[1])
    return [entry.event for entry in entries if isinstance(entry, inputs.Received)]


@asynccontextmanager
async def behind(port: int = 0) -> AsyncIterator[str]:
    """A server with a full-duplex model, for another one in front of it."""
    async with serving(scripted(script=SCRIPT, api_key=UPSTREAM_KEY, port=port)) as base_url:
        yield base_url


async def model_of(base_url: str) -> dict[str, Any]:
    _, _, body = await http_get(base_url + "/models/duologue")
    return dict(body["duologue"]["traits"])


async def test_an_upstream_that_came_later_is_known_by_the_first_session_after_it() -> None:
    async with behind() as once:
        address = ws_url(once, "")
    port = int(once.split(":")[2].split("/")[0])
    async with serving(front(address)) as base_url, asyncio.timeout(30):
        assert not (await model_of(base_url))["duplex"], "nobody has told yet"
        async with call(base_url) as early:
            assert not (await early.next("session.created"))["session"]["duologue"]["traits"][
                "duplex"
            ]
            async with behind(port):
                first, _, last = await converse(base_url)
                assert (first, last) == ("Let me look.", "Fine.")
                assert (await model_of(base_url))["duplex"]
                await early.send("response.create")
                failed = (await early.next("response.done"))["response"]
                why = failed["status_details"]["error"]["message"]
                assert "listens while it speaks, other than when this session began" in why


async def test_an_upstream_that_was_replaced_by_one_of_another_kind_is_asked_again() -> None:
    async with behind() as once:
        pass
    port = int(once.split(":")[2].split("/")[0])
    async with AsyncExitStack() as first:
        await first.enter_async_context(behind(port))
        async with serving(front(ws_url(once, ""))) as base_url, asyncio.timeout(30):
            assert (await model_of(base_url))["duplex"]
            await first.aclose()
            async with serving(scripted(api_key=UPSTREAM_KEY, port=port)):
                async with call(base_url) as client:
                    while (event := await client.receive())["type"] != "error":
                        pass
                    assert "does not listen while it speaks" in event["error"]["message"]
                async with call(base_url) as client:
                    created = await client.next("session.created")
                    assert not created["session"]["duologue"]["traits"]["duplex"]
                    await client.send("response.create")
                    assert (await client.next("response.done"))["response"]["status"] == "completed"


async def test_upstreams_of_two_kinds_let_no_session_begin(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with behind() as once:
        pass
    port = int(once.split(":")[2].split("/")[0])
    async with serving(scripted(api_key=UPSTREAM_KEY)) as asked, asyncio.timeout(30):
        both = f"{ws_url(asked, '')},{ws_url(once, '')}"
        async with serving(front(both)) as base_url:
            async with call(base_url) as client:
                await client.next("session.created")
            async with behind(port):
                is_found = False  # beside the sessions, which go on at the one that is there
                while not is_found:
                    async with call(base_url) as client:
                        if is_found := (event := await client.receive())["type"] == "error":
                            assert "do not fit together" in event["error"]["message"]
                            assert (await client.closed())[0] == 1013
                assert not (await model_of(base_url))["duplex"]
            assert "must be of one kind" in caplog.text
        async with behind(port):
            with pytest.raises(ConfigFault, match="must be of one kind"):
                async with serving(front(both)):
                    pass


@function_tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


@pytest.mark.client("openai-agents Python", "full-duplex model")
async def test_the_agents_sdk_talks_with_it_without_one_error(serve: Any) -> None:
    agent = RealtimeAgent(name="Ava", instructions="Be brief.", tools=[get_weather])
    tracker = RealtimePlaybackTracker()
    async with serve(scripted(script=SCRIPT)) as base_url:
        model_config: Any = {
            "api_key": KEY,
            "url": ws_url(base_url),
            "initial_model_settings": {"model_name": "gpt-realtime"},
            "playback_tracker": tracker,
        }
        session = await RealtimeRunner(agent).run(model_config=model_config)
        async with session, asyncio.timeout(30):
            await session.send_audio(SILENCE + tone(800) + SILENCE)
            kinds: list[str] = []
            async for event in session:
                kinds.append(event.type)
                assert event.type != "error", event
                if event.type == "audio":
                    tracker.on_play_bytes(event.item_id, event.content_index, event.audio.data)
                if event.type == "audio" and _first_after_tool(kinds):
                    await session.send_audio(tone(400) + SILENCE)
                if kinds.count("agent_end") == 3:
                    break
            items: list[Any] = session._history
            said = [(getattr(item, "role", item.type), _text(item)) for item in items]
    assert "audio_interrupted" in kinds
    roles = [role for role, _ in said]
    assert roles == ["user", "assistant", "function_call", "assistant", "user", "assistant"]
    texts = [text or "" for _, text in said]
    assert texts[0] == "What is the weather in Paris?" and texts[1] == "Let me look."
    assert "It is sunny in Paris today".startswith(texts[3][:20]) and len(texts[3]) < 40
    assert texts[4:] == ["Stop.", "Fine."]


def _first_after_tool(kinds: list[str]) -> bool:
    """Whether the last event is the first sound after the tool has answered."""
    after = kinds[kinds.index("tool_end") :] if "tool_end" in kinds else []
    return after.count("audio") == 1


def _text(item: Any) -> str | None:
    if item.type == "function_call":
        output: str | None = item.output
        return output
    part = item.content[0]
    words: str | None = part.text if part.type in ("input_text", "text") else part.transcript
    return words
