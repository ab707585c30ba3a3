"""What the user said aloud, written down for the expert when it is needed."""

import asyncio

import pytest

from duologue.core.talk import Item, Part
from duologue.engines.composed.tasks import Tasks
from duologue.engines.delegation import heard as module
from duologue.engines.delegation.heard import Heard
from duologue.errors import EngineFault


def spoken(name: str) -> Item:
    return Item(name, "user", (Part(pcm=name.encode()),))


async def test_the_newest_turns_are_heard_once_and_side_by_side() -> None:
    asked: list[str] = []
    together = asyncio.Barrier(4)

    async def hear(item_id: str, pcm: bytes) -> str:
        asked.append(item_id)
        await together.wait()
        return f" {pcm.decode()}! "

    heard = Heard(hear, Tasks())
    for name in ("a", "b", "c", "d", "e"):
        heard.note(spoken(name))
    assert await heard.words() == {"b": "b!", "c": "c!", "d": "d!", "e": "e!"}
    assert await heard.words() == {}
    assert asked == ["b", "c", "d", "e"]


async def test_what_has_words_and_what_is_gone_is_not_heard() -> None:
    async def hear(item_id: str, pcm: bytes) -> str:
        raise AssertionError(item_id)

    heard = Heard(hear, Tasks())
    heard.note(Item("a", "user", (Part("Hello.", b"sound"),)))
    heard.note(Item("b", "assistant", (Part(pcm=b"sound"),)))
    heard.note(spoken("c"))
    heard.forget("c")
    assert await heard.words() == {}


async def test_words_that_fail_or_come_too_late_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 0.05)
    finished = asyncio.Event()
    late = asyncio.Event()

    async def hear(item_id: str, pcm: bytes) -> str:
        if item_id == "bad":
            raise EngineFault("no ears")
        if item_id == "late":
            await late.wait()
            finished.set()
        return item_id

    tasks = Tasks()
    heard = Heard(hear, tasks)
    for name in ("bad", "late", "good"):
        heard.note(spoken(name))
    assert await heard.words() == {"good": "good"}
    late.set()
    await asyncio.wait_for(finished.wait(), 1)  # it was not cancelled: others may want it
    assert await heard.words() == {"late": "late"}
    await tasks.aclose()
