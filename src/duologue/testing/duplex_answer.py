"""A stand-in for vLLM-Omni's full-duplex endpoint, after 0.30: what a turn gets there.

An `Answer` and a way to send in, `response.*` events out, at the pace of speech; or what becomes
of them at a server that is ill.
"""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from msgspec import Struct

from duologue.engines.scripted import tone

UNIT_MS = 100
"""The sound of a word."""

FAILED = {"type": "server_error", "code": "runtime_append_failed", "message": "out of memory"}


class Answer(Struct, frozen=True, kw_only=True):
    """What one turn gets: `words`, then `calls` (each a name, and arguments as they are).

    `first_delay_ms` pass between the beginning of the response and its first word, `unit_ms`
    between words. Each piece says that its sound is at `rate_hz`, unless that is None. After so
    many words the connection is gone (`drop_after`), the response has failed (`fail_after`), or
    nothing more comes of it (`hang_after`).
    """

    words: str = "It is sunny today"
    calls: tuple[tuple[str, str], ...] = ()
    first_delay_ms: int = 0
    unit_ms: int = UNIT_MS
    rate_hz: int | None = None
    drop_after: int | None = None
    fail_after: int | None = None
    hang_after: int | None = None


class Send(Protocol):
    """Sends an event."""

    def __call__(self, kind: str, **fields: Any) -> Awaitable[None]: ...


class Stop:
    """Tells one response that it is to stop, and why."""

    def __init__(self) -> None:
        self.reason = ""
        self._told = asyncio.Event()

    def tell(self, reason: str) -> None:
        """The first reason counts."""
        self.reason = self.reason or reason
        self._told.set()

    async def told_within(self, ms: int | None) -> bool:
        """Whether it is told to stop in that time; None is for ever."""
        try:
            async with asyncio.timeout(None if ms is None else ms / 1000):
                await self._told.wait()
        except TimeoutError:
            return False
        return True


async def speak(
    answer: Answer, name: str, send: Send, stop: Stop, drop: Callable[[], Awaitable[None]]
) -> None:
    """A response of that name: all that is said of it, or as much as the answer lets come."""
    ids = {"response_id": name, "output_index": 0}
    item: dict[str, Any] = {"id": f"item_{name}", "type": "message", "role": "assistant"}
    part = {**ids, "item_id": item["id"], "content_index": 0}
    await _begin(name, send)
    if await stop.told_within(answer.first_delay_ms):
        await _end(name, send, "cancelled", reason=stop.reason)
        return
    opened = {**item, "status": "in_progress", "content": []}
    await send("response.output_item.added", **ids, item=opened)
    await send("response.speak", **part, metadata={"model_speak": True})
    words = answer.words.split()
    for count in range(len(words) + 1):
        if count == answer.drop_after:
            await drop()
            return
        if count == answer.fail_after:
            await _end(name, send, "failed", error=FAILED)
            return
        hangs = count == answer.hang_after
        if count == len(words) and not hangs:
            break
        if not hangs:
            await _say(words[count], count, answer.rate_hz, part, send)
        if await stop.told_within(None if hangs else answer.unit_ms):
            await _end(name, send, "cancelled", reason=stop.reason)
            return
    done = {**item, "status": "completed", "content": []}
    await send("response.output_item.done", **ids, item=done)
    await _end(name, send, "completed")


async def call(name: str, function: str, arguments: str, send: Send) -> None:
    """A response that is nothing but one call."""
    ids = {"response_id": name, "output_index": 0}
    item_id, call_id = f"item_{name}", f"call_{name}"
    item = {"id": item_id, "type": "function_call", "name": function, "call_id": call_id}
    whole = {**item, "status": "completed", "arguments": arguments}
    part = {**ids, "item_id": item_id, "call_id": call_id}
    await _begin(name, send)
    await send("response.output_item.added", **ids, item=whole)
    await send("response.function_call_arguments.delta", **part, delta=arguments)
    await send("response.function_call_arguments.done", **part, arguments=arguments)
    await send("response.output_item.done", **ids, item=whole)
    await _end(name, send, "completed")


async def _say(
    word: str, count: int, rate_hz: int | None, part: dict[str, Any], send: Send
) -> None:
    sound = base64.b64encode(tone(UNIT_MS)).decode()
    rate = {} if rate_hz is None else {"sample_rate_hz": rate_hz}
    await send("response.output_audio.delta", **part, delta=sound, format="pcm16", **rate)
    text = f" {word}" if count else word
    await send("response.output_audio_transcript.delta", **part, delta=text)


async def _begin(name: str, send: Send) -> None:
    metadata = {"duplex_event": {"type": "response.created"}}
    shown = {"id": name, "object": "realtime.response", "status": "in_progress"}
    await send("response.created", response_id=name, response={**shown, "metadata": metadata})


async def _end(name: str, send: Send, status: str, **details: Any) -> None:
    shown: dict[str, Any] = {"id": name, "object": "realtime.response", "status": status}
    shown["status_details"] = {"type": status, **details} if details else None
    await send("response.done", response_id=name, response=shown)
    await send("rate_limits.updated", rate_limits=[])
