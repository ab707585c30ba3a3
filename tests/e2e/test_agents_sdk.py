"""The stock `openai-agents` RealtimeSession against a whole server: only the URL is ours.

It validates every event strictly and reports what it cannot read as an error event, so a
conversation without one says that the wire is right.
"""

import asyncio
from typing import Any

from agents import function_tool
from agents.realtime import RealtimeAgent, RealtimeRunner

from duologue.engines.scripted import tone
from live_server import KEY, scripted, serving, ws_url

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


async def test_voice_turn_tool_call_barge_in_and_next_turn_without_one_error() -> None:
    agent = RealtimeAgent(name="Ava", instructions="Be brief.", tools=[get_weather])
    async with serving(scripted(script=SCRIPT)) as base_url:
        model_config: Any = {
            "api_key": KEY,
            "url": ws_url(base_url),
            "initial_model_settings": {"model_name": "gpt-realtime"},
        }
        session = await RealtimeRunner(agent).run(model_config=model_config)
        async with session, asyncio.timeout(30):
            await session.send_audio(SILENCE + tone(800) + SILENCE)
            kinds: list[str] = []
            async for event in session:
                kinds.append(event.type)
                assert event.type != "error", event
                if event.type == "audio" and kinds.count("audio") == 1:
                    await session.send_audio(tone(400) + SILENCE)
                if kinds.count("agent_end") == 3:
                    break
            assert "audio_interrupted" in kinds and "tool_end" in kinds
            items: list[Any] = session._history
            said = [(getattr(item, "role", item.type), _text(item)) for item in items]
            assert said == [
                ("user", "What is the weather in Paris?"),
                ("function_call", "sunny in Paris"),
                ("assistant", "It"),
                ("user", "Stop."),
                ("assistant", "Fine."),
            ]
            assert items[2].status == "incomplete"


def _text(item: Any) -> str | None:
    if item.type == "function_call":
        output: str | None = item.output
        return output
    transcript: str | None = item.content[0].transcript
    return transcript
