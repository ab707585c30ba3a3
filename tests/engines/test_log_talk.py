"""What of a log a reply reads."""

import pytest

from duologue.core.talk import Ask, Item, Part, Truncation
from duologue.engines.log_talk import LogTalk
from duologue.errors import EngineFault


def said(name: str, text: str, role: str = "user") -> Item:
    return Item(name, role, (Part(text),))  # type: ignore[arg-type]


def words(item: Item) -> int:
    return sum(len((part.text or "").split()) for part in item.parts)


def read(talk: LogTalk, room: int = 100, **ask: object) -> list[str]:
    items = talk.read(Ask(**ask), room, words)  # type: ignore[arg-type]
    return [item.parts[0].text or "" for item in items]


@pytest.fixture
def talk() -> LogTalk:
    talk = LogTalk()
    talk.put(said("a", "one two"))
    talk.put(said("c", "five six", "assistant"))
    talk.put(said("b", "three four"), "a")
    return talk


async def test_notes_edit_the_log(talk: LogTalk) -> None:
    talk.configure(Ask())
    talk.expect(said("d", "perhaps"))
    await talk.admit(Ask())
    assert read(talk) == ["one two", "three four", "five six"]
    talk.cut("c", 200, "five")
    talk.drop("a")
    talk.drop("nowhere")
    assert read(talk) == ["three four", "five"]
    await talk.aclose()
    await talk.aclose()


def test_a_context_stands_in_the_place_of_the_log(talk: LogTalk) -> None:
    assert read(talk, context=(said("x", "aside"),)) == ["aside"]
    assert read(talk, context=()) == []
    assert len(read(talk)) == 3


def test_only_a_reply_that_is_kept_moves_the_window(talk: LogTalk) -> None:
    assert read(talk, 4, keep=False) == ["five six"]
    assert len(read(talk)) == 3
    assert read(talk, 4) == ["five six"]
    assert read(talk) == ["five six"], "what was dropped stays dropped"
    talk.drop("a")
    talk.put(said("a", "again"))
    assert read(talk) == ["five six", "again"], "an id that was deleted may come again"


def test_a_log_that_may_not_be_cut_is_refused(talk: LogTalk) -> None:
    with pytest.raises(EngineFault) as fault:
        read(talk, 4, truncation=Truncation(allowed=False))
    assert fault.value.code == "context_length_exceeded"
