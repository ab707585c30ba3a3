"""Which settings an upstream refuses that does not say which event it speaks of."""

import asyncio
import tracemalloc
from typing import Any

import pytest

from duologue.engines.realtime.updates import UNANSWERED, Updates
from duologue.engines.realtime.wire import Fault
from engines.realtime.upstream_kit import SPEAK, Peer, engine, said, standing_in, whole

TOLD = {
    "type": "realtime",
    "tools": [{"type": "function", "name": "look"}],
    "audio": {"input": {"format": {"rate": 24_000}}, "output": {"voice": "tone"}},
}
HEARING = {"type": "realtime", "audio": {"input": {"transcription": {"model": "whisper-1"}}}}


def update(name: str, session: dict[str, Any]) -> dict[str, Any]:
    return {"type": "session.update", "event_id": name, "session": session}


def told() -> Updates:
    updates = Updates()
    updates.sent(update("configure opening", TOLD))
    updates.sent({"type": "response.create", "event_id": "ask 1", "response": {}})
    updates.sent(update("hearing 1", HEARING))
    return updates


def refused(**error: Any) -> str | None:
    return told().understood(Fault(**error)).event_id


@pytest.mark.parametrize(
    ("param", "event_id"),
    [
        pytest.param("session.tools", "configure opening", id="field"),
        pytest.param("session.tools[0].name", "configure opening", id="within"),
        pytest.param("session.audio.output.voice", "configure opening", id="path"),
        pytest.param("session.voice", "configure opening", id="beta-name"),
        pytest.param("session", "configure opening", id="whole"),
        pytest.param("session.audio.input.transcription.model", "hearing 1", id="hearing"),
        pytest.param("session.audio.input.noise_reduction", None, id="not-told"),
        pytest.param("sessions.tools", None, id="other-word"),
        pytest.param("tools", None, id="no-session"),
        pytest.param("item.content", None, id="item"),
        pytest.param("response.tools", None, id="response"),
        pytest.param(["session", "tools"], None, id="list"),
        pytest.param(None, None, id="none"),
    ],
)
def test_it_is_known_by_what_it_names(param: Any, event_id: str | None) -> None:
    assert refused(param=param, type="invalid_request_error") == event_id
    assert refused(param=param, event_id="evt_theirs") == (event_id or "evt_theirs")


def test_what_is_no_refusal_or_names_its_event_is_let_be() -> None:
    assert refused(param="session.tools", type="server_error") is None
    assert refused(param="session.tools", event_id="ask 1") == "ask 1"
    assert refused(event_id="hearing 1") == "hearing 1"


def test_what_was_answered_is_not_refused_any_more() -> None:
    error = Fault(param="session.tools")
    updates = told()
    assert updates.understood(error).event_id == "configure opening"
    assert updates.understood(error).event_id is None, "once"
    updates = told()
    updates.understood(Fault(event_id="configure opening"))
    assert updates.understood(error).event_id is None
    updates = told()
    updates.taken()
    assert updates.understood(error).event_id is None
    updates.sent(update("configure ", TOLD))
    assert updates.understood(error).event_id == "configure "
    updates.taken()
    updates.taken()  # one more than it was told
    assert updates.understood(error).event_id is None


def test_of_an_upstream_that_answers_none_the_oldest_are_forgotten() -> None:
    updates = Updates()
    for number in range(UNANSWERED + 2):
        updates.sent(update(f"configure {number}", TOLD))
    assert updates.understood(Fault(param="session.tools")).event_id == "configure 2"


def test_those_before_one_that_is_refused_were_answered() -> None:
    updates = told()
    updates.understood(Fault(message="No."))  # the first is refused, which cannot be known
    updates.understood(Fault(event_id="hearing 1"))
    assert updates.understood(Fault(param="session.tools")).event_id is None
    updates = told()
    updates.understood(Fault(param="session.audio.input.transcription"))
    assert updates.understood(Fault(param="session.tools")).event_id is None


def test_of_what_they_tell_only_the_names_are_kept() -> None:
    updates = Updates()
    text = "x" * 2_000_000
    tracemalloc.start()
    for _ in range(UNANSWERED):
        updates.sent(update("configure ", {**TOLD, "instructions": text[:-1]}))
    kept_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept_bytes < 1_000_000
    assert updates.understood(Fault(param="session.instructions")).event_id == "configure "


@pytest.mark.parametrize("audio", [None, {"input": None}, [1]])
def test_what_has_no_sides_has_no_beta_names(audio: Any) -> None:
    updates = Updates()
    updates.sent(update("configure opening", {"audio": audio}))
    assert updates.understood(Fault(param="session.voice")).event_id is None


async def test_it_fails_no_reply_which_says_the_settings_itself() -> None:
    asked = asyncio.Queue[dict[str, Any]]()

    async def refuse(peer: Peer) -> None:
        await peer.next("session.update")
        asked.put_nowait(await peer.next("response.create"))  # the reply waits already
        error = {"type": "invalid_request_error", "param": "session.audio.output.speed"}
        await peer.send("error", error={**error, "message": "No."})
        for name in ("resp_1", "resp_2"):
            await peer.send("response.created", response={"id": name})
            await peer.send("response.done", response={"id": name, "status": "completed"})
            asked.put_nowait(await peer.next("response.create"))

    async with standing_in(refuse) as address, engine(address) as upstream, asyncio.timeout(5):
        talk = await upstream.open(SPEAK)
        talk.put(said("Hello"))
        await whole(talk.reply(SPEAK))
        assert "instructions" not in (await asked.get())["response"], "the session was told"
        await whole(talk.reply(SPEAK))
        assert (await asked.get())["response"]["instructions"] == "Be brief."
