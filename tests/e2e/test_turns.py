"""Turn detection through the stock `openai` SDK: every event that comes is valid for it."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from openai import AsyncOpenAI

from duologue.engines.scripted import tone
from live_server import KEY, scripted
from oracle import validate_server_event

SILENCE = bytes(48_000)  # one second
INPUT = "session.audio.input.turn_detection"


class Client:
    """A connection of the SDK that checks what it gets."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.kinds: list[str] = []

    async def next(self, kind: str) -> Any:
        """The next event of a type; an error is passed over only when it is what was asked for."""
        while True:
            event = await self.connection.recv()
            validate_server_event(json.dumps(event.to_dict()))
            self.kinds.append(event.type)
            assert event.type != "error" or kind == "error", event
            if event.type == kind:
                return event

    async def detect(self, turn_detection: dict[str, Any] | None, event_id: str = "mine") -> None:
        session = {"type": "realtime", "audio": {"input": {"turn_detection": turn_detection}}}
        await self.connection.send(
            {"type": "session.update", "event_id": event_id, "session": session}
        )

    async def append(self, pcm: bytes, size: int = 960) -> None:
        for start in range(0, len(pcm), size):
            audio = base64.b64encode(pcm[start : start + size]).decode()
            await self.connection.input_audio_buffer.append(audio=audio)


@asynccontextmanager
async def client(serve: Any) -> AsyncIterator[Client]:
    async with serve(scripted()) as base_url:
        sdk = AsyncOpenAI(api_key=KEY, base_url=base_url)
        async with sdk.realtime.connect(model="gpt-realtime") as connection:
            yield Client(connection)


@pytest.mark.parametrize(
    ("turn_detection", "code", "param"),
    [
        pytest.param(
            {"type": "server_vad", "idle_timeout_ms": 4999},
            "integer_below_min_value",
            f"{INPUT}.idle_timeout_ms",
            marks=pytest.mark.conformance("C-056"),
        ),
        pytest.param(
            {"type": "server_vad", "idle_timeout_ms": 30001},
            "integer_above_max_value",
            f"{INPUT}.idle_timeout_ms",
            marks=pytest.mark.conformance("C-056"),
        ),
        pytest.param(
            {"type": "semantic_vad", "idle_timeout_ms": 6000},
            "invalid_value",
            f"{INPUT}.idle_timeout_ms",
            marks=pytest.mark.conformance("C-056"),
        ),
        pytest.param(
            {"type": "server_vad", "threshold": 1.01},
            "decimal_above_max_value",
            f"{INPUT}.threshold",
            marks=pytest.mark.conformance("C-057"),
        ),
        pytest.param(
            {"type": "server_vad", "threshold": -0.01},
            "decimal_below_min_value",
            f"{INPUT}.threshold",
            marks=pytest.mark.conformance("C-057"),
        ),
    ],
)
async def test_turn_detection_that_cannot_be_is_refused_and_changes_nothing(
    serve: Any, turn_detection: dict[str, Any], code: str, param: str
) -> None:
    async with client(serve) as c:
        created = await c.next("session.created")
        await c.detect(turn_detection)
        error = (await c.next("error")).error
        assert (error.code, error.param, error.event_id) == (code, param, "mine")
        await c.connection.session.update(session={"type": "realtime", "instructions": "Go on."})
        updated = await c.next("session.updated")
        before = created.session.audio.input.turn_detection
        assert updated.session.audio.input.turn_detection == before


async def test_a_judged_turn_is_answered(serve: Any) -> None:
    async with client(serve) as c:
        await c.detect({"type": "semantic_vad", "eagerness": "high"})
        echoed = (await c.next("session.updated")).session.audio.input.turn_detection
        assert (echoed.type, echoed.eagerness) == ("semantic_vad", "high")
        await c.append(SILENCE + tone(1200) + SILENCE)
        started = await c.next("input_audio_buffer.speech_started")
        stopped = await c.next("input_audio_buffer.speech_stopped")
        committed = await c.next("input_audio_buffer.committed")
        assert started.item_id == stopped.item_id == committed.item_id
        assert (await c.next("response.done")).response.status == "completed"


@pytest.mark.conformance("C-056", "C-092", "C-093")
@pytest.mark.slow
@pytest.mark.parametrize("sends_sound", [True, False])
async def test_a_silent_user_is_prompted(serve: Any, sends_sound: bool) -> None:
    async with client(serve) as c:
        await c.detect({"type": "server_vad", "idle_timeout_ms": 5000})
        await c.connection.response.create()
        await c.next("response.done")  # two words: half a second of sound
        c.kinds.clear()
        if sends_sound:
            await c.append(SILENCE)
        timeout = await c.next("input_audio_buffer.timeout_triggered")
        assert timeout.audio_end_ms - timeout.audio_start_ms == 5000
        item = (await c.next("conversation.item.done")).item
        assert item.id == timeout.item_id and item.content[0].type == "input_audio"
        await c.next("response.done")
        assert c.kinds[:5] == [
            "input_audio_buffer.timeout_triggered",
            "input_audio_buffer.committed",
            "conversation.item.added",
            "conversation.item.done",
            "response.created",
        ]


@pytest.mark.conformance("C-078", "C-079", "C-080", "C-081", "C-082")
@pytest.mark.client("openai Python", "push to talk")
async def test_push_to_talk_by_hand(serve: Any) -> None:
    async with client(serve) as c:
        await c.detect(None)
        await c.next("session.updated")
        await c.append(tone(90))
        await c.connection.send({"type": "input_audio_buffer.commit", "event_id": "too_short"})
        error = (await c.next("error")).error
        assert (error.code, error.event_id) == ("input_audio_buffer_commit_empty", "too_short")
        await c.connection.input_audio_buffer.clear()
        await c.next("input_audio_buffer.cleared")
        previous = None
        for _ in range(2):
            await c.append(tone(600), size=961)  # every second chunk begins within a sample
            c.kinds.clear()
            await c.connection.input_audio_buffer.commit()
            committed = await c.next("input_audio_buffer.committed")
            added = await c.next("conversation.item.added")
            done = await c.next("conversation.item.done")
            assert committed.item_id == added.item.id == done.item.id
            assert committed.previous_item_id == previous
            await c.connection.conversation.item.retrieve(item_id=committed.item_id)
            item = (await c.next("conversation.item.retrieved")).item
            assert base64.b64decode(item.content[0].audio) == tone(600)
            assert c.kinds == [
                "input_audio_buffer.committed",
                "conversation.item.added",
                "conversation.item.done",
                "conversation.item.retrieved",
            ]
            previous = committed.item_id
        await c.append(tone(600))
        await c.connection.input_audio_buffer.clear()
        await c.next("input_audio_buffer.cleared")
        await c.connection.input_audio_buffer.commit()
        assert (await c.next("error")).error.code == "input_audio_buffer_commit_empty"


@pytest.mark.conformance("C-077")
async def test_sound_that_is_not_base64_is_refused(serve: Any) -> None:
    async with client(serve) as c:
        await c.connection.send(
            {"type": "input_audio_buffer.append", "event_id": "bad", "audio": "a!=="}
        )
        error = (await c.next("error")).error
        assert (error.code, error.param, error.event_id) == ("invalid_value", "audio", "bad")
