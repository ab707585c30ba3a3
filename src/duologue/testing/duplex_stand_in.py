"""A stand-in for vLLM-Omni's full-duplex endpoint as documented in autumn 2026, after 0.30.

It stands at `/v1/realtime?duplex=1`, thinks nothing and hears by loudness, under server VAD only,
as the document says. Written from the published wire contract (`realtime_duplex_api`); the real
thing was never run against it. `capabilities` are those of the model that it plays. What clients
sent is kept in `sessions`, for a test to look at.
"""

import asyncio
import base64
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from duologue.audio import pcm as audio
from duologue.engines.scripted import LoudnessActivity, tone

WINDOW_SAMPLES = 768
SILENCE_WINDOWS = 10
UNIT_MS = 100
MINICPM = {
    "implementation_level": "model_native_duplex",
    "supports_input_append": True,
    "supports_barge_in": True,
    "supports_audio_truncate": True,
    "chunk_period_ms": 1000,
}
PERSONAPLEX = MINICPM | {"supports_barge_in": False, "supports_audio_truncate": False}
QWEN = MINICPM | {"implementation_level": "turn_based_duplex", "supports_image_input": True}


class DuplexStandIn:
    """The server: `words` are what it says to each turn, one a unit of 100 ms.

    `refuses` gives the code by which a `session.update` is refused, None where it is taken.
    """

    def __init__(
        self,
        words: str = "It is sunny today",
        *,
        needs_voice: bool = False,
        refuses: Callable[[dict[str, Any]], str | None] = lambda update: None,
        capabilities: dict[str, Any] = MINICPM,
    ) -> None:
        self.words = words.split()
        self.refuses = refuses
        self.needs_voice = needs_voice
        """It begins no session without `ref_audio`, as MiniCPM-o's deployment."""
        self.capabilities = capabilities
        self.sessions: asyncio.Queue[Session] = asyncio.Queue()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """The address, for as long as it stands."""

        async def handler(socket: ServerConnection) -> None:
            session = Session(self, socket)
            self.sessions.put_nowait(session)
            await session.live()

        async with serve(handler, "127.0.0.1", 0) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            yield f"ws://127.0.0.1:{port}/v1/realtime?duplex=1"


class Session:
    """One session: `seen` are the client's events, sound apart."""

    def __init__(self, server: DuplexStandIn, socket: ServerConnection) -> None:
        self.server = server
        self.socket = socket
        self.seen: list[dict[str, Any]] = []
        self._news = asyncio.Event()
        self.heard_bytes = 0
        self.acked_ms = 0
        self._settings: dict[str, Any] = {}
        self._is_open = False
        self._windows = audio.Windows(WINDOW_SAMPLES)
        self._position_ms = 0
        self._loud = 0
        self._quiet = 0
        self._turn: str | None = None
        self._has_input = False
        self._response: str | None = None
        self._cancelled = asyncio.Event()
        self._seq = itertools.count(1)
        self._names = itertools.count(1)

    async def live(self) -> None:
        """Until either side ends it."""
        try:
            async with asyncio.TaskGroup() as group:
                async for frame in self.socket:
                    await self._take(msgspec.json.decode(frame), group)
                self._cancelled.set()
        except* ConnectionClosed:
            pass

    async def drop(self) -> None:
        """The server goes down in the middle."""
        await self.socket.close(1012, "going down")

    async def until(self, kind: str, count: int = 1) -> list[dict[str, Any]]:
        """The client's events of a type, once there are so many."""
        while len(self.all_seen(kind)) < count:
            self._news.clear()
            await self._news.wait()
        return self.all_seen(kind)

    def all_seen(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.seen if event["type"] == kind]

    async def _send(self, kind: str, **fields: Any) -> None:
        event = {"type": kind, "server_event_seq": next(self._seq), **fields}
        await self.socket.send(msgspec.json.encode(event).decode())

    async def _refuse(self, event: dict[str, Any], code: str) -> None:
        error = {"type": "invalid_request_error", "code": code, "message": code}
        await self._send("error", error={**error, "event_id": event.get("event_id")})

    async def _take(self, event: dict[str, Any], group: asyncio.TaskGroup) -> None:
        if event["type"] != "input_audio_buffer.append":
            self.seen.append(event)
            self._news.set()
        match event["type"]:
            case "session.update":
                await self._update(event)
            case "input_audio_buffer.append" if self._is_open:
                await self._hear(base64.b64decode(event["audio"]), group)
            case "response.create" if not self._has_input:
                await self._refuse(event, "response_create_without_input")
            case "response.cancel":
                self._cancelled.set()
            case "playback.ack":
                self.acked_ms = event["played_ms"]
                kept = {key: event[key] for key in ("item_id", "played_ms", "committed_ms")}
                await self._send("playback.acknowledged", event={**kept, "truncate": False})
            case "conversation.item.create" if event["item"].get("role") == "assistant":
                await self._refuse(event, "unsupported_item")
            case "conversation.item.truncate":
                if not self.server.capabilities.get("supports_audio_truncate"):
                    await self._refuse(event, "unsupported_truncate")

    async def _update(self, event: dict[str, Any]) -> None:
        if code := self.server.refuses(event):
            await self._refuse(event, code)
            return
        has_voice = str(event["session"].get("ref_audio", "")).startswith("data:audio/")
        if self.server.needs_voice and not self._is_open and not has_voice:
            why = "native duplex audio output requires ref_audio"
            await self._send("error", error=why, code="ref_audio_required")
            await self.socket.close(1008)
            return
        if self._is_open and "ref_audio" in event["session"]:
            await self._refuse(event, "ref_audio_update_unsupported")
            return
        turns = event["session"].get("turn_detection")
        if turns and not self.server.capabilities.get("supports_barge_in"):
            await self._refuse(event, "unsupported_turn_detection")
            return
        self._settings.update(event["session"])
        shown = {
            "id": "duplex-1",
            "object": "realtime.session",
            "audio": {"output": {"format": {"type": "audio/pcm", "rate": 24000}}},
            "capabilities": self.server.capabilities,
        }
        if not self._is_open:
            self._is_open = True
            token = {"attachment_generation": 1, "resume_token": "rt_1"}
            await self._send("session.created", session=shown, **token)
        await self._send("session.updated", session=shown)

    async def _hear(self, pcm: bytes, group: asyncio.TaskGroup) -> None:
        self.heard_bytes += len(pcm)
        for window in self._windows.push(pcm):
            loud = audio.loudness(window) >= LoudnessActivity.THRESHOLD
            self._position_ms += WINDOW_SAMPLES * 1000 // audio.RATE_HZ
            self._loud, self._quiet = (self._loud + 1, 0) if loud else (0, self._quiet + 1)
            if not self._settings.get("turn_detection"):
                continue
            if self._turn is None and self._loud == 2:
                self._turn = f"item_{next(self._names)}"
                started = {"audio_start_ms": self._position_ms - 64, "item_id": self._turn}
                await self._send("input_audio_buffer.speech_started", **started)
                self._cancelled.set()
            elif self._turn is not None and self._quiet == SILENCE_WINDOWS:
                await self._end_turn(self._turn)
                self._turn = None
                self._cancelled = asyncio.Event()
                group.create_task(self._respond(self._cancelled))

    async def _end_turn(self, item_id: str) -> None:
        self._has_input = True
        end_ms = self._position_ms - 320
        await self._send("input_audio_buffer.speech_stopped", audio_end_ms=end_ms, item_id=item_id)
        item = {"id": item_id, "type": "message", "role": "user", "status": "completed"}
        await self._send("conversation.item.added", previous_item_id=None, item=item)
        await self._send("conversation.item.created", previous_item_id=None, item=item)
        await self._send("input_audio_buffer.committed", previous_item_id=None, item_id=item_id)
        await self._send(
            "conversation.item.input_audio_transcription.completed",
            item_id=item_id,
            content_index=0,
            transcript="what is the weather",
        )

    async def _respond(self, cancelled: asyncio.Event) -> None:
        name = f"resp_{next(self._names)}"
        ids = {"response_id": name, "output_index": 0}
        item: dict[str, Any] = {"id": f"item_{name}", "type": "message", "role": "assistant"}
        part = {**ids, "item_id": item["id"], "content_index": 0}
        response: dict[str, Any] = {"id": name, "object": "realtime.response"}
        metadata = {"duplex_event": {"type": "response.created"}}
        created = {**response, "status": "in_progress", "metadata": metadata}
        await self._send("response.created", response_id=name, response=created)
        opened = {**item, "status": "in_progress", "content": []}
        await self._send("response.output_item.added", **ids, item=opened)
        await self._send("response.speak", **part, metadata={"model_speak": True})
        for count, word in enumerate(self.server.words):
            sound = base64.b64encode(tone(UNIT_MS)).decode()
            await self._send("response.output_audio.delta", **part, delta=sound, format="pcm16")
            text = f" {word}" if count else word
            await self._send("response.output_audio_transcript.delta", **part, delta=text)
            try:
                async with asyncio.timeout(UNIT_MS / 1000):
                    await cancelled.wait()
            except TimeoutError:
                continue
            details = {"type": "cancelled", "reason": "barge_in"}
            response |= {"status": "cancelled", "status_details": details}
            await self._send("response.done", response_id=name, response=response)
            return
        done = {**item, "status": "completed", "content": []}
        await self._send("response.output_item.done", **ids, item=done)
        response |= {"status": "completed", "status_details": None}
        await self._send("response.done", response_id=name, response=response)
        await self._send("rate_limits.updated", rate_limits=[])
