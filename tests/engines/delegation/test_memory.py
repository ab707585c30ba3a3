"""What the front remembers: lookups stand behind what they answer, and go with it."""

import pytest

from duologue.core.talk import Ask, CallPart, Item, Part, Say
from duologue.engines.composed.tasks import Tasks
from duologue.engines.delegation.heard import Heard
from duologue.engines.delegation.joined import Joined
from duologue.engines.delegation.memory import Lookup, Memory
from engines.delegation.delegation_kit import Front, FrontTalk

CALL = CallPart("", "ask_expert", "{}")


async def remembering() -> tuple[FrontTalk, Memory]:
    talk = await Front().open(Ask())
    return talk, Memory(talk, Heard(silence, Tasks()))


async def silence(item_id: str, pcm: bytes) -> str:
    return ""


def typed(name: str, role: str = "user") -> Item:
    return Item(name, role, (Part(name),))  # type: ignore[arg-type]


def saying(text: str) -> Joined:
    joined = Joined()
    joined.say(Say(text))
    return joined


def keep(memory: Memory, before: str, answer: str, said: str = "") -> Lookup:
    return memory.keep(before, CALL, answer, saying(said))


async def test_items_come_behind_the_lookups_of_the_item_that_they_are_put_after() -> None:
    talk, memory = await remembering()
    memory.put(typed("u1"))
    keep(memory, "u1", "one")
    keep(memory, "u1", "two")
    memory.put(typed("a1", "assistant"), "u1")
    memory.put(typed("u2"), "a1")
    assert talk.told == [
        "user: u1",
        "call ask_expert",
        "result: one",
        "call ask_expert",
        "result: two",
        "assistant: a1",
        "user: u2",
    ]
    assert [item.id for item in memory.items] == [item.id for item in talk.history]
    calls = [item.call.call_id for item in talk.history if item.call]
    assert calls == [item.call_id for item in talk.history if item.role == "result"]
    assert len(set(calls)) == 2 and all(len(item.id) <= 32 for item in talk.history)


async def test_the_newest_item_of_the_clients_is_found_behind_lookups() -> None:
    talk, memory = await remembering()
    assert memory.last_id == ""
    keep(memory, "", "one")
    assert memory.last_id == ""
    memory.put(typed("u1"), "")
    assert memory.last_id == "u1"
    keep(memory, "u1", "two")
    keep(memory, "u1", "three")
    assert memory.last_id == "u1"
    assert talk.told[-1] == "result: three"


async def test_a_lookup_of_what_was_deleted_meanwhile_comes_at_the_end() -> None:
    talk, memory = await remembering()
    for name in ("u1", "u2"):
        memory.put(typed(name))
    memory.drop("u1")
    keep(memory, "u1", "one")
    assert talk.told == ["user: u2", "call ask_expert", "result: one"]


@pytest.mark.parametrize("gone", ["u1", "a1"])
async def test_a_lookup_goes_with_its_question_and_with_the_message_that_came_of_it(
    gone: str,
) -> None:
    talk, memory = await remembering()
    memory.put(typed("u1"))
    keep(memory, "u1", "secret", "a1, and what was never heard")
    memory.put(typed("a1", "assistant"), "u1")
    memory.put(typed("u2"), "a1")
    keep(memory, "u2", "another", "a2")
    memory.drop(gone)
    assert "secret" not in str(talk.history) + str(memory.items)
    assert talk.told[-2:] == ["call ask_expert", "result: another"]
    assert len(talk.told) == 4


async def test_other_messages_of_the_assistant_may_go_alone() -> None:
    talk, memory = await remembering()
    memory.put(typed("u1"))
    keep(memory, "u1", "kept", "what it said")
    memory.put(typed("inserted", "assistant"), "u1")
    memory.drop("inserted")
    assert talk.told == ["user: u1", "call ask_expert", "result: kept"]


async def test_the_words_of_a_history_with_sound_are_all_that_is_kept_here() -> None:
    talk, memory = await remembering()
    memory.put(Item("u1", "user", (Part(pcm=bytes(48_000)), Part(image_url="data:image/png;…"))))
    memory.put(Item("a1", "assistant", (Part("All of it.", bytes(48_000)),)))
    memory.cut("a1", 100, "All")
    told = [part.text for item in memory.items for part in item.parts]
    assert told == [
        "(The user said something that was not written down.)",
        "(The user showed an image.)",
        "All",
    ]
    assert talk.history[0].parts[0].pcm == bytes(48_000)


async def test_the_expert_reads_what_was_typed_beside_a_sound_and_what_it_says() -> None:
    async def hear(media_id: str, pcm: bytes) -> str:
        return "What is this?" if media_id == "m1" else ""

    talk = await Front().open(Ask())
    memory = Memory(talk, Heard(hear, Tasks()))
    parts = (
        Part("Invoice 7 of May."),
        Part(pcm=bytes(960), media_id="m1"),
        Part(image_url="data:image/png;…", media_id="m2"),
        Part(pcm=bytes(960), media_id="m3"),
    )
    memory.put(Item("u1", "user", parts))
    told = [
        "Invoice 7 of May.",
        "What is this?",
        "(The user showed an image.)",
        "(The user said something that was not written down.)",
    ]
    for items in (await memory.read(), memory.items):
        assert [part.text for item in items for part in item.parts] == told


async def test_withdrawing_twice_is_withdrawing_once() -> None:
    talk, memory = await remembering()
    memory.put(typed("u1"))
    lookup = keep(memory, "u1", "one")
    memory.withdraw(lookup)
    memory.withdraw(lookup)
    assert talk.told == ["user: u1"] and memory.last_id == "u1"
