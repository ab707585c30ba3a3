"""`POST /v1/audio/transcriptions` and `POST /v1/audio/speech`: the ear and the voice alone.

    a sound file ──► Transcriber ──► its words
    text ──clauses──► Mouth ──► sound, clause by clause as it is made

The shapes are those of the hosted API, so a stock SDK is a client, and one duologue can be
the ear or the mouth of another.
"""

import asyncio
from collections.abc import AsyncIterator
from itertools import count
from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from duologue.core.settings import WELL_KNOWN_VOICES
from duologue.core.talk import Transcript, TranscriptionAsk
from duologue.engines.composed.clauses import ClauseSplitter
from duologue.engines.composed.parts import Mouth
from duologue.errors import EngineFault, Refusal
from duologue.gateway.auth import Doorkeeper, Passage
from duologue.gateway.bodies import read_json
from duologue.gateway.faults import http_error, needs_standard_key, unauthorised
from duologue.gateway.sound_files import decode, wav_header
from duologue.runtime.ports import Transcriber

LIMIT_BYTES = 25 * 1024 * 1024
"""Of a request with a file, as the hosted API has it."""

MEDIA_TYPES = {"pcm": "audio/pcm", "wav": "audio/wav"}


class SpeechCreate(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a request for speech; `model` is any, there is one voice model."""

    model: Annotated[str, Meta(min_length=1)]
    input: Annotated[str, Meta(min_length=1, max_length=4096)]
    voice: str
    response_format: Literal["pcm", "wav"] = "wav"
    speed: Annotated[float, Meta(ge=0.25, le=4.0)] = 1.0


class AudioRoutes:
    """The two routes. Without a `mouth` there is no speech here."""

    def __init__(
        self, door: Doorkeeper, transcriber: Transcriber, mouth: Mouth | None, *, strict: bool
    ) -> None:
        self._door = door
        self._transcriber = transcriber
        self._mouth = mouth
        self._strict = strict
        self._numbers = count()

    async def transcribe(self, request: Request) -> Response:
        """The words of a sound file, as JSON or plain text."""
        if fault := self._refused(request):
            return fault
        _check_form(request)
        async with request.form(max_files=1, max_fields=20) as form:
            file = form.get("file")
            if not isinstance(file, UploadFile):
                raise Refusal("missing_required_parameter", "The form has no file.", "file")
            answers = form.get("response_format", "json")
            if answers not in ("json", "text"):
                message = "Supported values of response_format are: 'json', 'text'."
                raise Refusal("invalid_value", message, "response_format")
            ask = self._ask(form)
            pcm = await asyncio.to_thread(decode, await file.read())
        try:
            text = await self._words(pcm, ask)
        except EngineFault as fault_of_engine:
            return http_error(503, fault_of_engine.message, fault_of_engine.code)
        if answers == "text":
            return PlainTextResponse(text + "\n")
        return Response(msgspec.json.encode({"text": text}), media_type="application/json")

    async def speak(self, request: Request) -> Response:
        """The sound of a text, sent as it is made."""
        if fault := self._refused(request):
            return fault
        if self._mouth is None:
            return http_error(404, "The engine of this server has no voice of its own.")
        body = await read_json(request, SpeechCreate, strict=self._strict)
        if body.voice not in (*self._mouth.voices, *WELL_KNOWN_VOICES):
            names = ", ".join(f"'{name}'" for name in self._mouth.voices)
            message = f"Invalid value: '{body.voice[:100]}'. Supported values are: {names}."
            raise Refusal("invalid_value", message, "voice")
        sound = self._sound(self._mouth, body)
        try:  # what fails at once has a status of its own
            first = await anext(sound, b"")
        except EngineFault as fault_of_engine:
            return http_error(503, fault_of_engine.message, fault_of_engine.code)
        return StreamingResponse(
            _stream(first, sound, body.response_format),
            media_type=MEDIA_TYPES[body.response_format],
        )

    def _refused(self, request: Request) -> Response | None:
        passage = self._door.judge(request)
        if not isinstance(passage, Passage):
            return unauthorised(passage)
        return needs_standard_key() if passage.bound else None

    def _ask(self, form: FormData) -> TranscriptionAsk:
        wanted = str(form.get("model", ""))
        name = self._transcriber.models.find(wanted)
        if name is None:
            names = ", ".join(f"'{one}'" for one in self._transcriber.models.names)
            message = f"Invalid value: '{wanted[:100]}'. Supported values are: {names}."
            raise Refusal("invalid_value", message, "model")
        language = str(form.get("language", "")).split("-")[0].lower() or None
        known = self._transcriber.models.languages.get(name)
        if language and known is not None and language not in known:
            message = f"Invalid value: '{language[:40]}'. The model knows: {', '.join(known)}."
            raise Refusal("invalid_value", message, "language")
        return TranscriptionAsk(name, language=language, prompt=str(form.get("prompt", "")) or None)

    async def _words(self, pcm: bytes, ask: TranscriptionAsk) -> str:
        media_id = f"file {next(self._numbers)}"
        text = ""
        async for heard in self._transcriber.transcribe(media_id, pcm, ask):
            if isinstance(heard, Transcript):
                text = heard.text
        return text

    async def _sound(self, mouth: Mouth, body: SpeechCreate) -> AsyncIterator[bytes]:
        splitter = ClauseSplitter()
        voice = body.voice if body.voice in mouth.voices else next(iter(mouth.voices))
        for clause in (*splitter.push(body.input), *splitter.flush()):
            words = await mouth.speak(clause, voice=voice, speed=body.speed)
            yield b"".join(word.pcm for word in words)


async def _stream(first: bytes, rest: AsyncIterator[bytes], kind: str) -> AsyncIterator[bytes]:
    if kind == "wav":
        yield wav_header()
    yield first
    async for piece in rest:
        yield piece


def _check_form(request: Request) -> None:
    """Only a form whose length is known and allowed; raises `HTTPException`."""
    length = request.headers.get("content-length", "")
    if not length.isdecimal():
        raise HTTPException(411, "Send the length of the body in `Content-Length`.")
    if int(length) > LIMIT_BYTES:
        raise HTTPException(413, f"The body is longer than {LIMIT_BYTES} bytes.")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "multipart/form-data":
        raise HTTPException(
            415, f"Unsupported content type '{kind[:100]}'; send 'multipart/form-data'."
        )
