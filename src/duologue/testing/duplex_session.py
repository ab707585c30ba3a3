"""A stand-in for vLLM-Omni's full-duplex endpoint, after 0.30: one session there.

Client events in, the session's and the turns' out; what a response is made of is `duplex_answer`.
"""

import asyncio
import base64
import itertools
from collections.abc import Callable
from typing import Any

import msgspec
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from duologue.audio import pcm as audio
from duologue.engines.scripted import LoudnessActivity
from duologue.testing.duplex_answer import Answer, Stop, call, speak

WINDOW_SAMPLES = 768
SILENCE_WINDOWS = 10


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a session has from its server: see `DuplexStandIn`. `answer` gives the next one."""

    answer: Callable[[], Answer]
    capabilities: dict[str, Any]
    rate_hz: int
    needs_voice: bool
    refuses: Callable[[dict[str, Any]], str | None]


class Session:
    """One session: `seen` are the client's events, sound apart; `aborts` are responses that it has
    stopped.
    """

    def __init__(self, server: ServerSettings, socket: ServerConnection) -> None:
        self.server = server
        self.socket = socket
        self.seen: list[dict[str, Any]] = []
        self.aborts: list[str] = []
        self._news = asyncio.Event()
        self._settings: dict[str, Any] = {}
        self._is_open = False
        self._windows = audio.Windows(WINDOW_SAMPLES)
        self._position_ms = 0
        self._loud = 0
        self._quiet = 0
        self._turn: str | None = None
        self._has_input = False
        self._response = ""
        """The name of the one under way."""
        self._stop = Stop()
        self._seq = itertools.count(1)
        self._names = itertools.count(1)

    async def live(self) -> None:
        """Until either side ends it."""
        try:
            async with asyncio.TaskGroup() as group:
                async for frame in self.socket:
                    await self._take(msgspec.json.decode(frame), group)
                self._stop.tell("session_closed")
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
        match event["type"]:
            case "session.update":
                await self._update(event)
            case "input_audio_buffer.append" if self._is_open:
                await self._hear(base64.b64decode(event["audio"]), group)
            case "response.create" if not self._has_input:
                await self._refuse(event, "response_create_without_input")
            case "response.cancel":
                if self._response:
                    self.aborts.append(self._response)
                self._stop.tell("client_cancelled")
            case "playback.ack":
                kept = {key: event[key] for key in ("item_id", "played_ms", "committed_ms")}
                await self._send("playback.acknowledged", event={**kept, "truncate": False})
            case "conversation.item.create":
                await self._enter(event, group)
            case "conversation.item.truncate":
                if not self.server.capabilities.get("supports_audio_truncate"):
                    await self._refuse(event, "unsupported_truncate")
        if event["type"] != "input_audio_buffer.append":
            self.seen.append(event)
            self._news.set()

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
        output = {"format": {"type": "audio/pcm", "rate": self.server.rate_hz}}
        shown = {
            "id": "duplex-1",
            "object": "realtime.session",
            "audio": {"output": output},
            "capabilities": self.server.capabilities,
        }
        if not self._is_open:
            self._is_open = True
            token = {"attachment_generation": 1, "resume_token": "rt_1"}
            await self._send("session.created", session=shown, **token)
        await self._send("session.updated", session=shown)

    async def _enter(self, event: dict[str, Any], group: asyncio.TaskGroup) -> None:
        """An item of the client's: the result of a call is answered."""
        if event["item"].get("role") == "assistant":
            await self._refuse(event, "unsupported_item")
        elif event["item"]["type"] == "function_call_output":
            self._answer(group)

    async def _hear(self, pcm: bytes, group: asyncio.TaskGroup) -> None:
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
                self._stop.tell("barge_in")
            elif self._turn is not None and self._quiet == SILENCE_WINDOWS:
                await self._end_turn(self._turn)
                self._turn = None
                self._answer(group)

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

    def _answer(self, group: asyncio.TaskGroup) -> None:
        self._stop = Stop()
        group.create_task(self._respond(self.server.answer(), self._stop))

    async def _respond(self, answer: Answer, stop: Stop) -> None:
        if answer.words:
            self._response = name = f"resp_{next(self._names)}"
            await speak(answer, name, self._send, stop, self.drop)
            if self._response == name:
                self._response = ""
        for function, arguments in answer.calls:
            if not stop.reason:
                await call(f"resp_{next(self._names)}", function, arguments, self._send)
