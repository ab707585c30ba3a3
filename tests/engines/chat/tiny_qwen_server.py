"""A stand-in for vLLM-Omni 0.30 over HTTP, whose model is a real Qwen2.5-Omni with random weights.

Requests go through the model's real processor (see `tiny_qwen`); what it made of each stands in
`readings` for a test to look at. Answers are streamed as vLLM-Omni does without async chunks:
text as it is thought, then the sound in one WAV. A client that hangs up ends the generation.
"""

import asyncio
import base64
import io
import json
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import av
import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from duologue.testing.chat_stand_in import wav
from engines.chat.tiny_qwen import OUT_RATE_HZ, RATE_HZ, Steps, Stopped, TinyQwen


class Reading(msgspec.Struct, kw_only=True):
    """One request, and what the processor made of it."""

    body: dict[str, Any]
    prompt: str
    """With one placeholder for each sound and image."""

    formats: list[tuple[int, int, int]]
    """Rate, channels and samples of each sound as it was sent."""

    tokens: int = 0
    audio_tokens: list[int] = []
    image_tokens: list[int] = []
    inputs: Any = None
    thinker: Steps = msgspec.field(default_factory=Steps)
    talker: Steps = msgspec.field(default_factory=Steps)


class TinyQwenServer:
    """The server. Each reply has `limit` tokens, or as many as the request allows.

    A prompt and reply of more than `window` tokens are refused, as vLLM does.
    """

    def __init__(self, model: TinyQwen, *, limit: int = 16, window: int = 32_768) -> None:
        self.readings: list[Reading] = []
        self.aborts = 0
        self.at_work = 0
        self.model, self._limit, self._window = model, limit, window
        self._worker = ThreadPoolExecutor(1)
        self._news = asyncio.Condition()
        self._app = Starlette(routes=[Route("/v1/chat/completions", self._chat, methods=["POST"])])

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._app(scope, receive, send)

    async def until(self, is_so: Callable[["TinyQwenServer"], bool]) -> None:
        """Wait until something is so: looked at with each step, and when a reply ends."""
        async with self._news:
            await self._news.wait_for(lambda: is_so(self))

    async def _chat(self, request: Request) -> Response:
        body = await request.json()
        try:
            reading = await asyncio.to_thread(self._read, body)
        except ValueError as error:
            return _refusal(str(error))
        limit = min(self._limit, body.get("max_completion_tokens") or self._limit)
        self.readings.append(reading)
        if reading.tokens + limit > self._window:
            told = f"This model's maximum context length is {self._window} tokens."
            return _refusal(f"{told} However, you requested {reading.tokens + limit} tokens.")
        return StreamingResponse(self._stream(reading, limit), media_type="text/event-stream")

    def _read(self, body: dict[str, Any]) -> Reading:
        parts = [
            part
            for message in body["messages"]
            if isinstance(message["content"], list)
            for part in message["content"]
        ]
        sent = [part["input_audio"] for part in parts if part["type"] == "input_audio"]
        sounds = [_decoded(base64.b64decode(one["data"]), one["format"]) for one in sent]
        urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
        images = [_image(url) for url in urls]
        prompt = self.model.prompt(body["messages"])
        inputs = self.model.read(prompt, [sound for _, sound in sounds], images)
        ids = inputs["input_ids"][0].tolist()
        token = self.model.tokenizer.convert_tokens_to_ids
        return Reading(
            body=body,
            prompt=prompt,
            formats=[form for form, _ in sounds],
            tokens=len(ids),
            audio_tokens=_runs(ids, token("<|AUDIO|>")),
            image_tokens=_runs(ids, token("<|IMAGE|>")),
            inputs=inputs,
        )

    async def _stream(self, reading: Reading, limit: int) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        said: asyncio.Queue[str | None] = asyncio.Queue()
        talker = reading.talker if "audio" in reading.body["modalities"] else None

        def say(text: str | None) -> None:
            loop.call_soon_threadsafe(said.put_nowait, text)

        def work() -> bytes:
            try:
                return self.model.reply(reading.inputs, limit, reading.thinker, talker, say)
            finally:
                say(None)

        reading.talker.tell = lambda: say("")

        self.at_work += 1
        working = loop.run_in_executor(self._worker, work)
        working.add_done_callback(lambda _: self._ended())
        is_whole = False
        try:
            yield _event({"role": "assistant", "content": ""})
            while (text := await said.get()) is not None:
                if text:
                    yield _event({"content": text}, modality="text")
                await self._tell()
            if pcm := await working:
                file = base64.b64encode(wav(pcm, OUT_RATE_HZ)).decode()
                yield _event({"content": file}, modality="audio")
            yield _event({}, finish="length" if limit < self._limit else "stop")
            usage = {
                "prompt_tokens": reading.tokens,
                "completion_tokens": limit,
                "prompt_tokens_details": {
                    "audio_tokens": sum(reading.audio_tokens),
                    "image_tokens": sum(reading.image_tokens),
                },
            }
            yield _data({"object": "chat.completion.chunk", "choices": [], "usage": usage})
            yield b"data: [DONE]\n\n"
            is_whole = True
        except Stopped:
            pass
        finally:
            self.aborts += not is_whole
            reading.thinker.stop = reading.talker.stop = True

    def _ended(self) -> None:
        self.at_work -= 1
        self._telling = asyncio.get_running_loop().create_task(self._tell())

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()


def _decoded(file: bytes, form: str) -> tuple[tuple[int, int, int], NDArray[np.float32]]:
    """A sound's rate, channels and samples, and the sound at the rate of the processor."""
    resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE_HZ)
    samples = 0
    pieces = []
    with av.open(io.BytesIO(file), format=form) as container:
        stream = container.streams.audio[0]
        rate_hz, channels = stream.rate, stream.channels
        for frame in container.decode(stream):
            samples += frame.samples
            pieces += [made.to_ndarray()[0] for made in resampler.resample(frame)]
    pieces += [made.to_ndarray()[0] for made in resampler.resample(None)]
    return (rate_hz, channels, samples), np.concatenate(pieces)


def _image(url: str) -> Image.Image:
    head, _, data = url.partition(",")
    if not head.startswith("data:image/"):
        raise ValueError("an image that is no data URI")
    return Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")


def _runs(ids: list[int], token: int) -> list[int]:
    """The lengths of the runs of `token`."""
    runs, is_in = [], False
    for one in ids:
        if one == token and not is_in:
            runs.append(0)
        is_in = one == token
        if is_in:
            runs[-1] += 1
    return runs


def _refusal(told: str) -> Response:
    return JSONResponse({"object": "error", "message": told, "code": 400}, status_code=400)


def _event(delta: dict[str, Any], *, modality: str = "text", finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return _data({"object": "chat.completion.chunk", "choices": [choice], "modality": modality})


def _data(chunk: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"
