"""What the user said aloud, written down for the expert when it is needed."""

import asyncio

from duologue.core.talk import Item, Part
from duologue.engines.composed.tasks import Tasks
from duologue.engines.delegation.heard import Heard
from duologue.errors import EngineFault


def spoken(name: str) -> Item:
    return Item(name, "user", (Part(pcm=name.encode(), media_id=name),))


async def test_the_newest_turns_are_heard_once_and_side_by_side() -> None:
    asked: list[str] = []
    together = asyncio.Barrier(4)

    async def hear(media_id: str, pcm: bytes) -> str:
        asked.append(media_id)
        await together.wait()
        return f" {pcm.decode()}! "

    heard = Heard(hear, Tasks())
    for name in ("a", "b", "c", "d", "e"):
        heard.note(spoken(name))
    assert await heard.words() == {"b": "b!", "c": "c!", "d": "d!", "e": "e!"}
    assert await heard.words() == {}
    assert asked == ["b", "c", "d", "e"]


async def test_each_sound_of_a_turn_has_its_own_words() -> None:
    async def hear(media_id: str, pcm: bytes) -> str:
        return f"{media_id}: {pcm.decode()}."

    heard = Heard(hear, Tasks())
    parts = (Part(pcm=b"yes", media_id="m1"), Part(pcm=b"no", media_id="m2"))
    heard.note(Item("a", "user", parts))
    assert await heard.words() == {"m1": "m1: yes.", "m2": "m2: no."}


async def test_what_has_words_and_what_is_gone_is_not_heard() -> None:
    async def hear(media_id: str, pcm: bytes) -> str:
        raise AssertionError(media_id)

    heard = Heard(hear, Tasks())
    heard.note(Item("a", "user", (Part("Hello.", b"sound"),)))
    heard.note(Item("b", "assistant", (Part(pcm=b"sound"),)))
    heard.note(spoken("c"))
    heard.forget("c")
    assert await heard.words() == {}


async def test_words_that_fail_or_come_too_late_are_left_out() -> None:
    finished = asyncio.Event()
    late = asyncio.Event()

    async def hear(media_id: str, pcm: bytes) -> str:
        if media_id == "bad":
            raise EngineFault("no ears")
        if media_id == "late":
            await late.wait()
            finished.set()
        return media_id

    tasks = Tasks()
    heard = Heard(hear, tasks, patience_s=0.05)
    for name in ("bad", "late", "good"):
        heard.note(spoken(name))
    assert await heard.words() == {"good": "good"}
    late.set()
    await asyncio.wait_for(finished.wait(), 1)  # it was not cancelled: others may want it
    assert await heard.words() == {"late": "late"}
    await tasks.aclose()
