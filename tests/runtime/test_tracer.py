"""A trace is kept where a client asks for it, and says what happened without sound (GAP-40)."""

import json
from pathlib import Path
from typing import Any

import pytest

from duologue.engines.scripted import Script, ScriptedCall, ScriptedReply, tone
from duologue.events import ResponseDone, SessionCreated, SessionUpdated
from runner_kit import call
from session_kit import add, create, update, user

LABEL = {"workflow_name": "orders", "group_id": "order-17", "metadata": {"shop": "Oslo"}}


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def kinds(path: Path) -> list[str]:
    return [line["event"]["type"] if "event" in line else next(iter(line)) for line in lines(path)]


@pytest.mark.conformance("C-066")
async def test_a_turn_is_told_from_its_label_to_its_usage(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    async with call(Script(transcripts=("Good day.",)), trace=path) as c:
        await c.send(update(tracing=LABEL))
        await c.until(SessionUpdated)
        await c.speak(tone(600) + bytes(48_000))
        await c.until(ResponseDone)
    head, label, updated, *events = lines(path)
    assert head == {"session": "sess_runner", "began_at": -3600.0}
    assert label["tracing"] == LABEL
    assert updated["event"]["session"]["tracing"] == LABEL
    types = [line["event"]["type"] for line in events]
    assert types[:2] == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
    ]
    assert types[-1] == "response.done"
    done = events[-1]["event"]["response"]
    assert done["output"][0]["content"][0]["transcript"] == "You said: Good day."
    assert done["usage"]["total_tokens"] > 0
    assert [line["at_s"] for line in lines(path)[1:]] == sorted(
        line["at_s"] for line in lines(path)[1:]
    )
    assert not any("delta" in kind for kind in kinds(path))
    assert path.stat().st_size < 20_000  # the sound alone would be ten times that


async def test_calls_and_refusals_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    reply = ScriptedReply(calls=(ScriptedCall(name="look", arguments="{}"),))
    async with call(Script(replies=(reply,)), trace=path) as c:
        await c.send(update(tracing="auto", tools=[{"type": "function", "name": "look"}]))
        await c.send(add(user("Good day.")))
        await c.send(create())
        await c.until(ResponseDone)
        await c.send({"type": "response.cancel"})
        await c.send(update(max_output_tokens=7))
        await c.until(SessionUpdated)
    told = lines(path)
    assert told[1]["tracing"] == "auto"
    assert any(line.get("event", {}).get("item", {}).get("name") == "look" for line in told)
    assert "error" in kinds(path)


async def test_null_ends_it(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    async with call(trace=path) as c:
        await c.send(update(tracing="auto"))
        await c.until(SessionUpdated)
        await c.send(update(tracing=None))
        await c.until(SessionUpdated)
        await c.send(update(instructions="Unseen."))
        await c.until(SessionUpdated)
    assert kinds(path) == ["session", "at_s", "session.updated"]
    assert "Unseen." not in path.read_text()


async def test_who_asks_for_none_leaves_none(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    async with call(trace=path) as c:
        await c.until(SessionCreated)
        await c.send(add(user("Good day.")))
        await c.send(create())
        await c.until(ResponseDone)
    assert not path.exists()
