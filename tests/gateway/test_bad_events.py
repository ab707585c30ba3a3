"""Bad events over a real socket: each is answered by one whole error, and nothing else changes."""

import json
from typing import Any

import pytest

from live_server import Caller, call
from oracle import validate_server_event

KEYS = {"type", "code", "message", "param", "event_id"}

BAD: list[tuple[Any, str, str | None, str | None]] = [
    ({"type": "session.upgrade", "event_id": "e1"}, "invalid_value", "type", "e1"),
    ({"type": "session.upgrade"}, "invalid_value", "type", None),
    ({"type": "response.cancel", "event_id": "e2"}, "response_cancel_not_active", None, "e2"),
    ({"type": "input_audio_buffer.append", "event_id": "e3"}, "missing_required_parameter",
     "audio", "e3"),
    ({"type": "session.update", "event_id": "e4", "session": {}}, "missing_required_parameter",
     "session.type", "e4"),
    ({"type": "conversation.item.delete", "item_id": "nowhere", "event_id": "e5"},
     "item_delete_invalid_item_id", None, "e5"),
    ({"type": 7, "event_id": "e6"}, "invalid_type", "type", "e6"),
    ("{", "invalid_json", None, None),
    (b"{}", "invalid_event", None, None),
]  # fmt: skip


async def refused(caller: Caller, event: Any) -> dict[str, Any]:
    await caller.socket.send(event if isinstance(event, (str, bytes)) else json.dumps(event))
    answer = await caller.receive()
    assert answer["type"] == "error", answer
    validate_server_event(json.dumps(answer))
    error: dict[str, Any] = answer["error"]
    return error


@pytest.mark.conformance("C-193", "C-194", "C-195")
async def test_every_error_is_whole_and_names_the_event_at_fault(base_url: str) -> None:
    async with call(base_url) as caller:
        await caller.next("session.created")
        for event, code, param, event_id in BAD:
            error = await refused(caller, event)
            assert set(error) == KEYS
            assert (error["code"], error["event_id"]) == (code, event_id)
            assert isinstance(error["type"], str) and isinstance(error["message"], str)
            if param:
                assert error["param"] == param
        await caller.send("session.update", session={"type": "realtime"})
        await caller.next("session.updated")


@pytest.mark.conformance("C-196")
async def test_an_event_id_has_at_most_512_characters(base_url: str) -> None:
    session = {"type": "realtime"}
    async with call(base_url) as caller:
        await caller.next("session.created")
        await caller.send("session.update", session=session, event_id="x" * 512)
        await caller.next("session.updated")
        error = await refused(
            caller, {"type": "session.update", "session": session, "event_id": "x" * 513}
        )
        assert (error["code"], error["param"]) == ("string_above_max_length", "event_id")
        assert error["event_id"] is None


@pytest.mark.conformance("C-197", "C-198")
async def test_a_hundred_bad_events_leave_the_session_working_and_ids_unique(
    base_url: str,
) -> None:
    async with call(base_url) as caller:
        ids = [(await caller.receive())["event_id"]]
        for number in range(100):
            event = BAD[number % len(BAD)][0]
            await caller.socket.send(
                event if isinstance(event, (str, bytes)) else json.dumps(event)
            )
        text = {"type": "input_text", "text": "Hello"}
        item = {"type": "message", "role": "user", "content": [text]}
        await caller.send("conversation.item.create", item=item)
        await caller.send("response.create")
        errors = 0
        while True:
            answer = await caller.receive()
            ids.append(answer["event_id"])
            errors += answer["type"] == "error"
            if answer["type"] == "response.done":
                break
        assert errors == 100
        assert answer["response"]["status"] == "completed"
        assert len(set(ids)) == len(ids)
