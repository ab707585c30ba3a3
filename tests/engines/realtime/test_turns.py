"""Turns of a live upstream and the items that the core makes of them, by their order and length."""

from duologue.audio.pcm import BYTES_PER_MS
from duologue.core.talk import Item, Part
from duologue.engines.realtime.turns import Turns


def item(name: str, ms: int) -> Item:
    return Item(name, "user", (Part(pcm=bytes(BYTES_PER_MS * ms)),), was_heard=True)


def test_a_part_is_of_the_turn_under_way_and_not_of_one_that_was_withdrawn() -> None:
    turns = Turns()
    turns.begin("up_1", 0)
    turns.end("up_1", 3000)  # the client clears it
    turns.begin("up_2", 5000)
    assert turns.claim(item("part", 1000)) == "up_2"
    assert turns.claim(item("more", 400)) is None
    turns.end("up_2", 8000)
    assert turns.claim(item("rest", 1600)) is None
    assert turns.name("up_2") == "part" and turns.name("up_1") == "up_1"


def test_the_rest_of_a_turn_is_told_from_a_part_of_the_next() -> None:
    turns = Turns()
    turns.begin("up_1", 0)
    assert turns.claim(item("part", 1000)) == "up_1"
    turns.end("up_1", 3000)
    turns.begin("up_2", 3500)
    assert turns.claim(item("rest", 2000)) is None
    turns.end("up_2", 6000)
    assert turns.claim(item("two", 2500)) == "up_2"
    assert (turns.name("up_1"), turns.name("up_2")) == ("part", "two")


def test_of_a_turn_that_was_committed_whole_no_rest_is_awaited() -> None:
    turns = Turns()
    turns.begin("up_1", 0)
    assert turns.claim(item("all", 950)) == "up_1"
    turns.end("up_1", 1000)
    turns.begin("up_2", 2000)
    assert turns.claim(item("part", 300)) == "up_2"
