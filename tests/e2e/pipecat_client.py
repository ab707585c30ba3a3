"""Pipecat's stock OpenAIRealtimeLLMService in a pipeline: `pipecat_client.py SCENARIO [PCM …]`.

Run by test_pipecat.py in the environment of the clients. The transport is a loudspeaker that
takes as long as the sound lasts, and a microphone that the scenario speaks into. What the
pipeline says, and everything it complains about, comes out as one JSON object.
"""

import asyncio
import base64
import json
import os
import sys
from pathlib import Path
from typing import Any

from loguru import logger
from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    ErrorFrame,
    FunctionCallResultFrame,
    InputAudioRawFrame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMRunFrame,
    LLMTextFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.observers.base_observer import BaseObserver
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.services.llm_service import FunctionCallParams
from pipecat.services.openai.realtime import events
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService
from pipecat.transports.base_input import BaseInputTransport
from pipecat.transports.base_output import BaseOutputTransport
from pipecat.transports.base_transport import TransportParams
from pipecat.workers.runner import WorkerRunner

RATE_HZ = 24_000
FRAME_BYTES = 960
SHOWN = (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    FunctionCallResultFrame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    TranscriptionFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
SOUNDS = [Path(name).read_bytes() for name in sys.argv[2:]]
complaints: list[str] = []


class Microphone(BaseInputTransport):
    """Hears what the scenario says into it."""

    async def start(self, frame: Any) -> None:
        await super().start(frame)
        await self.set_transport_ready(frame)

    async def say(self, pcm: bytes, *, frame_s: float = 0.0) -> None:
        """A frame every `frame_s`: as a microphone, in real time, or all at once."""
        for start in range(0, len(pcm), FRAME_BYTES):
            part = pcm[start : start + FRAME_BYTES]
            await self.push_audio_frame(InputAudioRawFrame(part, RATE_HZ, 1))
            await asyncio.sleep(frame_s)


class Loudspeaker(BaseOutputTransport):
    """Plays in real time."""

    async def start(self, frame: Any) -> None:
        await super().start(frame)
        await self.set_transport_ready(frame)

    async def write_audio_frame(self, frame: Any) -> bool:
        await asyncio.sleep(len(frame.audio) / 2 / frame.sample_rate)
        return True


class Watch(BaseObserver):
    """Notes the frames that matter, once each, and lets the scenario wait for them."""

    def __init__(self) -> None:
        super().__init__()
        self.frames: list[str] = []
        self.errors: list[str] = []
        self.transcripts: list[str] = []
        self.said: list[str] = []
        """What the service passed on of each answer, and nothing before the first."""
        self.sound_bytes = 0
        self._seen: set[int] = set()
        self._news = asyncio.Condition()

    async def on_push_frame(self, data: Any) -> None:
        frame = data.frame
        # A broadcast is two frames that know each other.
        if frame.id in self._seen or getattr(frame, "broadcast_sibling_id", None) in self._seen:
            return
        self._seen.add(frame.id)
        if isinstance(frame, ErrorFrame):
            self.errors.append(frame.error)
        elif isinstance(frame, TTSAudioRawFrame):
            self.sound_bytes += len(frame.audio)
        elif isinstance(frame, LLMFullResponseStartFrame):
            self.said.append("")
        elif isinstance(frame, LLMTextFrame):
            self.said[-1] += frame.text
        if isinstance(frame, TranscriptionFrame):
            self.transcripts.append(frame.text)
        if isinstance(frame, SHOWN):
            async with self._news:
                self.frames.append(type(frame).__name__.removesuffix("Frame"))
                self._news.notify_all()

    async def until(self, name: str, count: int) -> None:
        """Wait until a frame of this name has come so often."""
        async with self._news:
            await self._news.wait_for(lambda: self.frames.count(name) >= count)


async def get_weather(params: FunctionCallParams, city: str) -> None:
    """The weather in a city.

    Args:
        city: Its name.
    """
    await params.result_callback({"weather": f"sunny in {city}"})


class Call:
    """One conversation: pipeline, microphone, watch."""

    def __init__(
        self,
        *,
        instructions: str = "Be brief.",
        greeting: str = "Say hello!",
        max_output_tokens: int = 48,
        **audio_input: Any,
    ) -> None:
        self.watch = Watch()
        audio = events.AudioConfiguration(
            input=events.AudioInput(transcription=events.InputAudioTranscription(), **audio_input)
        )
        self.llm = OpenAIRealtimeLLMService(
            api_key=os.environ["API_KEY"],
            base_url=os.environ["BASE_URL"].replace("http", "ws", 1) + "/realtime",
            settings=OpenAIRealtimeLLMService.Settings(
                system_instruction=instructions,
                # A limit, since small models can repeat themselves without end.
                session_properties=events.SessionProperties(
                    audio=audio, max_output_tokens=max_output_tokens
                ),
            ),
        )
        self.context = LLMContext([{"role": "user", "content": greeting}], [get_weather])
        user, assistant = LLMContextAggregatorPair(self.context)
        params = TransportParams(audio_in_enabled=True, audio_out_enabled=True)
        self.microphone, loudspeaker = Microphone(params), Loudspeaker(params)
        self.worker = PipelineWorker(
            Pipeline([self.microphone, user, self.llm, loudspeaker, assistant]),
            params=PipelineParams(
                audio_in_sample_rate=RATE_HZ,
                audio_out_sample_rate=RATE_HZ,
                enable_metrics=True,
                enable_usage_metrics=True,
            ),
            observers=[self.watch],
        )

    @property
    def listens(self) -> bool:
        """Whether the service still reads what the server sends."""
        task = self.llm._receive_task
        return task is not None and not task.done()


async def voice(call: Call, report: dict[str, Any]) -> None:
    """Greeting, spoken question with a tool, an interruption, and an empty commit in between."""
    question, interruption = SOUNDS
    await call.worker.queue_frame(LLMRunFrame())
    await call.watch.until("BotStoppedSpeaking", 1)
    await call.microphone.say(question)
    await call.watch.until("FunctionCallResult", 1)
    await call.watch.until("BotStartedSpeaking", 2)
    report["listens_after_the_tool"] = call.listens
    await call.microphone.say(interruption)
    await call.watch.until("Transcription", 2)
    # The server has committed the sound by itself; this one is too late by a moment.
    await call.llm.send_client_event(events.InputAudioBufferCommitEvent())
    await call.watch.until("BotStoppedSpeaking", 3)
    report["listens_after_the_interruption"] = call.listens
    await call.microphone.say(question)
    await call.watch.until("Transcription", 3)
    await call.watch.until("BotStoppedSpeaking", 4)


async def manual(call: Call, report: dict[str, Any]) -> None:
    """Turns that the application drives itself: clear, cancel, commit, create."""
    speech = SOUNDS[0]
    await call.worker.queue_frame(LLMRunFrame())
    await call.watch.until("BotStartedSpeaking", 1)
    for turn in (1, 2):
        # As a local voice detector would: it notices speech, and its end, a little late.
        await call.microphone.say(speech[:9600], frame_s=0.02)
        await call.worker.queue_frame(InterruptionFrame())
        await call.worker.queue_frame(UserStartedSpeakingFrame())
        await call.microphone.say(speech, frame_s=0.02)
        await call.worker.queue_frame(UserStoppedSpeakingFrame())
        await call.watch.until("Transcription", turn)
        await call.watch.until("BotStartedSpeaking", turn + 1)
    await call.watch.until("BotStoppedSpeaking", 3)


async def question(call: Call, report: dict[str, Any]) -> None:
    """One greeting and one spoken question to a real engine."""
    await call.worker.queue_frame(LLMRunFrame())
    await call.watch.until("LLMFullResponseEnd", 1)
    report["greeting_bytes"] = call.watch.sound_bytes
    await call.microphone.say(SOUNDS[0])
    await call.watch.until("Transcription", 1)
    await call.watch.until("LLMFullResponseEnd", 2)


async def barge_in(call: Call, report: dict[str, Any]) -> None:
    """A long answer of a real engine, spoken into as soon as it is heard, and the next answer."""
    ids: list[str] = []

    @call.llm.event_handler("on_conversation_item_created")
    async def note(_: Any, item_id: str, item: Any) -> None:
        if item.role == "assistant":
            ids.append(item_id)

    await call.worker.queue_frame(LLMRunFrame())
    await call.watch.until("BotStartedSpeaking", 1)
    await call.microphone.say(SOUNDS[0], frame_s=0.02)
    await call.watch.until("Transcription", 1)
    await call.watch.until("BotStartedSpeaking", 2)
    item = await call.llm.retrieve_conversation_item(ids[0])
    audio_ms = len(base64.b64decode(item.content[0].audio)) / 48
    report["kept"] = {
        "item_id": ids[0],
        "transcript": item.content[0].transcript,
        "audio_ms": audio_ms,
    }


async def main() -> None:
    scenarios = {scenario.__name__: scenario for scenario in (voice, manual, question, barge_in)}
    scenario = scenarios[sys.argv[1]]
    logger.remove()
    logger.add(lambda line: complaints.append(str(line).strip()), level="WARNING")
    if scenario is manual:
        call = Call(turn_detection=False)
    elif scenario is barge_in:
        story = "Tell me a story about a king."
        told = os.environ["INSTRUCTIONS"]
        call = Call(instructions=told, greeting=story, max_output_tokens=96)
    else:
        call = Call()
    runner = WorkerRunner(handle_sigint=False)
    report: dict[str, Any] = {}
    async with asyncio.TaskGroup() as tasks:
        await runner.add_workers(call.worker)
        running = tasks.create_task(runner.run())
        try:
            async with asyncio.timeout(60):
                await scenario(call, report)
        except TimeoutError:
            report["stuck"] = True
        report["listens"] = call.listens
        await call.worker.cancel()
        await running
    report |= {
        "complaints": complaints,
        "errors": call.watch.errors,
        "frames": call.watch.frames,
        "transcripts": call.watch.transcripts,
        "said": list(filter(None, call.watch.said)),
        "sound_bytes": call.watch.sound_bytes,
        "context": [
            [str(message["role"]), str(message.get("content") or "")]
            for message in call.context.get_messages()
        ],
    }
    print(json.dumps(report))


if __name__ == "__main__":
    asyncio.run(main())
