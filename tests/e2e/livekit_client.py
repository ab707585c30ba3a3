"""LiveKit's stock RealtimeModel, without a room: `livekit_client.py SCENARIO [PCM …]`.

Run by test_livekit.py in the environment of the clients. What the session says, and everything
it complains about, comes out as one JSON object. PCM files are 24 kHz mono, 16 bit.
"""

import asyncio
import base64
import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

from livekit import rtc
from livekit.agents import llm
from livekit.plugins.openai.realtime import RealtimeModel

FRAME_BYTES = 960
RETRIEVE = "conversation.item.retrieve"
SOUNDS = [Path(name).read_bytes() for name in sys.argv[2:]]
complaints: list[str] = []


class Complaints(logging.Handler):
    """What LiveKit could not make sense of it logs, and goes on."""

    def emit(self, record: logging.LogRecord) -> None:
        details = getattr(record, "errors", "") or record.exc_info or ""
        complaints.append(f"{record.levelname} {record.getMessage()} {details}".strip())


@llm.function_tool
async def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


async def consume(generation: Any) -> dict[str, Any]:
    """A generation to its end: words, calls, sound, and whether it was the client's wish."""
    report: dict[str, Any] = {"text": "", "calls": [], "sound_ms": 0.0, "message_ids": []}
    report["user_initiated"] = generation.user_initiated

    async def messages() -> None:
        async for message in generation.message_stream:
            report["message_ids"].append(message.message_id)
            report["modalities"] = await message.modalities
            async with asyncio.TaskGroup() as both:
                both.create_task(words(message))
                both.create_task(sound(message))

    async def words(message: Any) -> None:
        async for text in message.text_stream:
            report["text"] += text

    async def sound(message: Any) -> None:
        async for frame in message.audio_stream:
            report["sound_ms"] += frame.duration * 1000

    async def calls() -> None:
        async for call in generation.function_stream:
            report["calls"].append([call.name, json.loads(call.arguments), call.call_id])

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(messages())
        tasks.create_task(calls())
    return report


async def reply(session: Any, **options: Any) -> dict[str, Any]:
    """`generate_reply`, timed to the moment it resolves, and then what came of it."""
    began = asyncio.get_running_loop().time()
    generation = await session.generate_reply(**options)
    waited_s = asyncio.get_running_loop().time() - began
    return {**await consume(generation), "waited_s": waited_s}


def history(session: Any) -> list[list[str]]:
    """The mirror that the client keeps of the server's conversation."""
    return [
        [item.role, item.text_content or ""] if item.type == "message" else [item.type, ""]
        for item in session.chat_ctx.items
    ]


async def texts(session: Any, report: dict[str, Any]) -> None:
    """Tools, then insert, replace and delete of items, each shown by what is answered."""
    await session.update_instructions("Be brief.")
    await session.update_tools([get_weather])
    context = llm.ChatContext.empty()
    context.add_message(role="system", content="You are Ava.", id="sys_1")
    context.add_message(role="user", content="What is the weather in Paris?", id="user_1")
    await session.update_chat_ctx(context)
    report["called"] = await reply(session)

    name, _, call_id = report["called"]["calls"][0]
    context = session.chat_ctx.copy()
    output = llm.FunctionCallOutput(
        id="out_1", call_id=call_id, name=name, output="sunny in Paris", is_error=False
    )
    context.items.append(output)
    await session.update_chat_ctx(context)
    report["answered"] = await reply(session, tool_choice="none")
    report["after_the_tool"] = history(session)

    context = session.chat_ctx.copy()
    context.add_message(role="user", content="Good day", id="user_2")
    await session.update_chat_ctx(context)
    report["inserted"] = await reply(session, tool_choice="none")

    context = session.chat_ctx.copy()
    context.items[context.index_by_id("user_2")] = llm.ChatMessage(
        id="user_2", role="user", content=["Good night"]
    )
    context.items.insert(1, llm.ChatMessage(id="user_0", role="user", content=["Early bird"]))
    await session.update_chat_ctx(context)
    report["after_replacing"] = history(session)
    report["replaced"] = await reply(session, tool_choice="none")

    context = session.chat_ctx.copy()
    context.items = [item for item in context.items if item.id == "user_0"]
    await session.update_chat_ctx(context)
    report["after_deleting"] = history(session)
    report["deleted"] = await reply(session, tool_choice="none")
    report["forced"] = await reply(session, tool_choice="required")

    context = session.chat_ctx.copy()
    image = llm.ImageContent(image=os.environ["IMAGE"])
    context.items.append(
        llm.ChatMessage(id="user_3", role="user", content=[image, "What do you see?"])
    )
    await session.update_chat_ctx(context)
    report["shown"] = await reply(session, tool_choice="none")


async def voice(session: Any, report: dict[str, Any]) -> None:
    """A spoken question, an interruption with truncation, and the turn after it."""
    first, second = SOUNDS
    generations: asyncio.Queue[Any] = asyncio.Queue()
    transcripts: asyncio.Queue[str] = asyncio.Queue()
    report["speech"] = []
    session.on("generation_created", generations.put_nowait)
    session.on(
        "input_audio_transcription_completed",
        lambda event: transcripts.put_nowait(event.transcript) if event.is_final else None,
    )
    session.on("input_speech_started", lambda _: report["speech"].append("started"))
    session.on("input_speech_stopped", lambda _: report["speech"].append("stopped"))

    push(session, first)
    generation = await generations.get()
    message = await anext(aiter(generation.message_stream))
    heard_ms = 0.0
    async with asyncio.TaskGroup() as tasks:
        async for frame in message.audio_stream:
            if heard_ms == 0:
                session.once("input_speech_started", lambda _: session.interrupt())
                # In real time, or the interruption would arrive after the turn's end.
                tasks.create_task(speak(session, second))
            heard_ms += frame.duration * 1000
        report["interrupted"] = {
            "text": "".join([text async for text in message.text_stream]),
            "sound_ms": heard_ms,
        }
        session.truncate(
            message_id=message.message_id,
            modalities=["audio", "text"],
            audio_end_ms=int(min(heard_ms, 240)),
        )
    report["next"] = await consume(await generations.get())
    report["transcripts"] = [await transcripts.get(), await transcripts.get()]
    report["history"] = history(session)


async def question(session: Any, report: dict[str, Any]) -> None:
    """One spoken question to a real engine, then a call that its tools allow."""
    generations: asyncio.Queue[Any] = asyncio.Queue()
    session.on("generation_created", generations.put_nowait)
    transcripts: asyncio.Queue[str] = asyncio.Queue()
    session.on(
        "input_audio_transcription_completed",
        lambda event: transcripts.put_nowait(event.transcript) if event.is_final else None,
    )
    push(session, SOUNDS[0])
    report["spoken"] = await consume(await generations.get())
    report["transcript"] = await transcripts.get()
    report["forced"] = await reply(session, tools=[get_weather], tool_choice="required")


async def barge_in(session: Any, report: dict[str, Any]) -> None:
    """A spoken question to a real engine, whose answer is played, and spoken into.

    What LiveKit's agents do then: they interrupt, and truncate to what was played.
    """
    asked, interruption = SOUNDS
    generations: asyncio.Queue[Any] = asyncio.Queue()
    kept: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    transcripts: asyncio.Queue[str] = asyncio.Queue()
    report |= {"said": {}, "truncated": []}

    def take(event: dict[str, Any]) -> None:
        if event["type"] == "response.output_audio_transcript.delta":
            said = report["said"]
            said[event["item_id"]] = said.get(event["item_id"], "") + event["delta"]
        elif event["type"] == "conversation.item.truncated":
            report["truncated"].append([event["item_id"], event["audio_end_ms"]])
            session.send_event({"type": RETRIEVE, "item_id": event["item_id"]})
        elif event["type"] == "conversation.item.retrieved":
            kept.set_result(event["item"]["content"][0])
        elif event["type"] == "conversation.item.input_audio_transcription.completed":
            transcripts.put_nowait(event["transcript"])

    session.on("generation_created", generations.put_nowait)
    session.on("openai_server_event_received", take)
    await session.update_instructions(os.environ["INSTRUCTIONS"])
    async with asyncio.TaskGroup() as tasks:
        microphone = Microphone(session)
        listening = tasks.create_task(microphone.run())
        microphone.say(asked)
        generation = await generations.get()
        message = await anext(aiter(generation.message_stream))
        report["played_ms"] = await play_until_speech(session, message, microphone, interruption)
        session.truncate(
            message_id=message.message_id,
            modalities=["audio", "text"],
            audio_end_ms=report["played_ms"],
        )
        answer = await anext(aiter((await generations.get()).message_stream))
        report["next_ms"] = 0.0
        async for frame in answer.audio_stream:
            if report["next_ms"] == 0:
                session.interrupt()  # small models can repeat themselves without end
            report["next_ms"] += frame.duration * 1000
        content = await kept
        report["transcripts"] = [await transcripts.get(), await transcripts.get()]
        listening.cancel()
    audio_ms = len(base64.b64decode(content["audio"])) / 48
    report["kept"] = {"transcript": content["transcript"], "audio_ms": audio_ms}


class Microphone:
    """Sound in real time: what is said into it, and silence without end."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._unsaid = bytearray()

    def say(self, pcm: bytes) -> None:
        self._unsaid += pcm

    async def run(self) -> None:
        while True:
            part = bytes(self._unsaid[:FRAME_BYTES])
            del self._unsaid[:FRAME_BYTES]
            await speak(self._session, part.ljust(FRAME_BYTES, b"\0"))


async def play_until_speech(
    session: Any, message: Any, microphone: Microphone, interruption: bytes
) -> int:
    """Play a message and speak into it; how many ms of it were played when that was noticed."""
    clock = asyncio.get_running_loop().time
    noticed: asyncio.Future[float] = asyncio.get_running_loop().create_future()
    came_ms = 0.0

    def notice(_: Any) -> None:
        noticed.set_result(min(came_ms, (clock() - began) * 1000))
        session.interrupt()

    async for frame in message.audio_stream:
        if came_ms == 0:
            began = clock()
            session.once("input_speech_started", notice)
            microphone.say(interruption)
        came_ms += frame.duration * 1000
    return int(await noticed)


async def reconnect(session: Any, report: dict[str, Any]) -> None:
    """The client's own recycling of its connection, which replays the history."""
    again = asyncio.Event()
    session.on("session_reconnected", lambda _: again.set())
    context = llm.ChatContext.empty()
    context.add_message(role="user", content="Remember me", id="user_1")
    await session.update_chat_ctx(context)
    report["before"] = await reply(session)
    await again.wait()
    report["after"] = await reply(session)
    report["history"] = history(session)


async def speak(session: Any, pcm: bytes) -> None:
    """In real time, as a microphone does."""
    for start in range(0, len(pcm), FRAME_BYTES):
        push(session, pcm[start : start + FRAME_BYTES])
        await asyncio.sleep(0.02)


def push(session: Any, pcm: bytes) -> None:
    for start in range(0, len(pcm), FRAME_BYTES):
        part = pcm[start : start + FRAME_BYTES]
        session.push_audio(rtc.AudioFrame(part, 24_000, 1, len(part) // 2))


async def main() -> None:
    scenarios = (texts, voice, question, barge_in, reconnect)
    scenario = {scenario.__name__: scenario for scenario in scenarios}
    logging.getLogger().addHandler(Complaints(logging.WARNING))
    report: dict[str, Any] = {"errors": [], "events": []}
    model = RealtimeModel(
        base_url=os.environ["BASE_URL"],
        api_key=os.environ["API_KEY"],
        max_session_duration=2.0 if sys.argv[1] == "reconnect" else None,
    )
    session = model.session()
    session.on("error", lambda event: report["errors"].append(repr(event)))
    session.on("openai_server_event_received", lambda event: report["events"].append(event["type"]))
    async with asyncio.timeout(75):
        await scenario[sys.argv[1]](session, report)
    await session.aclose()
    await model.aclose()
    print(json.dumps({**report, "complaints": complaints}))


if __name__ == "__main__":
    asyncio.run(main())
