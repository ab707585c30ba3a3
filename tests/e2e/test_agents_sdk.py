"""The stock `openai-agents` RealtimeSession against a whole server: only the URL is ours.

It validates every event strictly and reports what it cannot read as an error event, so a
conversation without one says that the wire is right.
"""

import asyncio
from typing import Any

import pytest
from agents import function_tool
from agents.realtime import RealtimeAgent, RealtimePlaybackTracker, RealtimeRunner
from agents.realtime.model_inputs import RealtimeModelSendRawMessage

from duologue.engines.scripted import tone
from live_server import KEY, scripted, ws_url
from pictures import data_uri, drawn, file

SCRIPT = """
transcripts = ["What is the weather in Paris?", "Stop."]
[[replies]]
when = "weather"
calls = [{ name = "get_weather", arguments = '{"city":"Paris"}' }]
[[replies]]
when = "sunny"
text = "It is sunny in Paris today and it will stay so."
word_delay_ms = 100
[[replies]]
text = "Fine."
"""
SILENCE = bytes(48_000)


@function_tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


@pytest.mark.conformance("C-207")
@pytest.mark.client(
    "openai-agents Python",
    "connection",
    "text turn",
    "voice turn",
    "transcript",
    "function call",
    "interruption",
)
async def test_voice_turn_tool_call_barge_in_and_next_turn_without_one_error(serve: Any) -> None:
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
            await session.send_message("Good day")
            async for event in session:
                assert event.type != "error", event
                _play(tracker, event)
                if event.type == "agent_end":
                    break
            await session.send_audio(SILENCE + tone(800) + SILENCE)
            kinds: list[str] = []
            async for event in session:
                kinds.append(event.type)
                assert event.type != "error", event
                _play(tracker, event)
                if event.type == "audio" and kinds.count("audio") == 1:
                    await session.send_audio(tone(400) + SILENCE)
                if kinds.count("agent_end") == 3:
                    break
            assert "audio_interrupted" in kinds and "tool_end" in kinds
            items: list[Any] = session._history
            said = [(getattr(item, "role", item.type), _text(item)) for item in items]
            assert said == [
                ("user", "Good day"),
                ("assistant", "Fine."),
                ("user", "What is the weather in Paris?"),
                ("function_call", "sunny in Paris"),
                ("assistant", "It"),
                ("user", "Stop."),
                ("assistant", "Fine."),
            ]
            assert items[4].status == "incomplete"
            messages = [item for item in items if item.type == "message"]
            kept = await retrieved(session, [item.item_id for item in messages])
            assert kept == [(item.role, item.status, _text(item)) for item in messages]


async def retrieved(session: Any, item_ids: list[str]) -> list[tuple[str, str, str]]:
    """Role, status and words of items as the server has them."""
    kept = []
    for item_id in item_ids:
        other = {"item_id": item_id}
        message: Any = {"type": "conversation.item.retrieve", "other_data": other}
        await session.model.send_event(RealtimeModelSendRawMessage(message=message))
        async for event in session:
            assert event.type != "error", event
            if event.type != "raw_model_event" or event.data.type != "raw_server_event":
                continue
            item = event.data.data.get("item")
            is_answer = event.data.data["type"] == "conversation.item.retrieved"
            if is_answer and item["id"] == item_id:  # the session retrieves items for itself too
                part = item["content"][0]
                kept.append(
                    (item["role"], item["status"], part.get("transcript", part.get("text")))
                )
                break
    return kept


def _play(tracker: RealtimePlaybackTracker, event: Any) -> None:
    """Sound counts as heard as it comes in."""
    if event.type == "audio":
        tracker.on_play_bytes(event.item_id, event.content_index, event.audio.data)


def _text(item: Any) -> str | None:
    if item.type == "function_call":
        output: str | None = item.output
        return output
    part = item.content[0]
    words: str | None = part.text if part.type in ("input_text", "text") else part.transcript
    return words


@pytest.mark.client("openai-agents Python", "image")
async def test_a_message_with_an_image_is_one_message_in_its_history(serve: Any) -> None:
    agent = RealtimeAgent(name="Ava", instructions="Be brief.")
    image = data_uri(file(drawn("Hello")))
    async with serve(scripted(script=SCRIPT)) as base_url:
        model_config: Any = {
            "api_key": KEY,
            "url": ws_url(base_url),
            "initial_model_settings": {"model_name": "gpt-realtime"},
        }
        session = await RealtimeRunner(agent).run(model_config=model_config)
        async with session, asyncio.timeout(30):
            await session.send_message(
                {
                    "type": "message",
                    "role": "user",
                    "content": [
                        {"type": "input_image", "image_url": image},
                        {"type": "input_text", "text": "Look."},
                    ],
                }
            )
            async for event in session:
                assert event.type != "error", event
                if event.type == "agent_end":
                    break
            user: Any = session._history[0]
            assert [part.type for part in user.content] == ["input_image", "input_text"]
            assert _text(session._history[1]) == "Fine."
