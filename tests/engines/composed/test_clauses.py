"""The clauses that text falls into, however it is cut into pieces."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.engines.composed.clauses import FIRST_WORDS, MOST_CHARS, MOST_WORDS, ClauseSplitter


def split(text: str, pieces: list[str] | None = None) -> list[str]:
    splitter = ClauseSplitter()
    clauses = [c for piece in pieces or tokens(text) for c in splitter.push(piece)]
    return clauses + splitter.flush()


def tokens(text: str) -> list[str]:
    """Pieces as a language model makes them: a word with its space, or one sign."""
    return re.findall(r"\s?\w+|\W", text)


def first(text: str) -> tuple[str, str]:
    """The first clause and what had been pushed when it left."""
    splitter, pushed = ClauseSplitter(), ""
    for piece in tokens(text):
        pushed += piece
        if clauses := splitter.push(piece):
            return clauses[0], pushed
    return splitter.flush()[0], "end"


WORDS = (
    'Sure, well — the a of 3.5 1,000 $4.20 Dr. e.g. 3:30 pm. end! what? "Hi," (so) **no** `x, y`'
    " [a, b](https://c.d/e,f) https://a.b/c?d. visit\n \n\n 1. - … 今日は、いい。 😀 hello that"
)
PROSE = st.lists(st.sampled_from(WORDS.split(" "))).map(" ".join)


@given(st.text() | PROSE, st.lists(st.integers(1, 9)))
def test_the_clauses_joined_are_the_text_pushed(text: str, sizes: list[int]) -> None:
    pieces, rest = [], text
    for size in sizes:
        pieces.append(rest[:size])
        rest = rest[size:]
    assert "".join(split(text, [*pieces, rest])) == text


@given(PROSE)
def test_a_clause_is_never_empty_nor_endless(text: str) -> None:
    for clause in split(text, [text[i : i + 3] for i in range(0, len(text), 3)]):
        assert 0 < len(clause) <= MOST_CHARS + 3


@pytest.mark.parametrize(
    ("text", "clause", "pushed"),
    [
        ("Sure, I can.", "Sure,", "Sure,"),
        ("Yes! I can.", "Yes!", "Yes!"),
        ("It is Canberra. Then", "It is Canberra.", "It is Canberra."),
        ("It is 3. Then", "It is 3.", "It is 3. Then"),
        ("It is 3.5, I think.", "It is 3.5,", "It is 3.5, I"),
        ('"Hello," she said.', '"Hello,"', '"Hello," she'),
        ("**Sure!** Here", "**Sure!**", "**Sure!** Here"),
        ("See https://a.b now.", "See https://a.b now.", "See https://a.b now."),
        ("Wait — what?", "Wait —", "Wait —"),
    ],
)
def test_the_first_clause_leaves_as_soon_as_it_is_known(
    text: str, clause: str, pushed: str
) -> None:
    assert first(text) == (clause, pushed)


def test_without_punctuation_the_first_clause_ends_before_a_new_phrase() -> None:
    clause, _ = first("I do not know the current time because I have no clock at hand")
    assert clause == "I do not know the current time"
    assert len(clause.split()) <= FIRST_WORDS


def test_later_clauses_are_longer_and_bounded() -> None:
    text = "Well, " + "some words that go on " * 40
    sizes = [len(clause.split()) for clause in split(text)]
    assert sizes[0] == 1
    assert sizes[1] <= FIRST_WORDS + 2
    assert max(sizes) <= MOST_WORDS
    assert max(sizes) > 15


@pytest.mark.parametrize(
    "whole",
    [
        "3.5",
        "1,000",
        "$4.20",
        "3:30",
        "Dr. Smith",
        "e.g. pears",
        "p.m. today",
        "J. K. Rowling",
        "No. 5",
        "U.S. law",
        "https://a.org/b,c.html?d=1",
        "joe@a.org",
        "[one, two. three](https://a.org/x, y)",
        "`a, b. c`",
        'so."',
        "so.)",
    ],
)
def test_what_belongs_together_is_not_split(whole: str) -> None:
    text = f"Here are a few more words for you about {whole} and what comes after that."
    assert any(whole in clause for clause in split("Yes. " + text))
    assert any(whole in clause for clause in split("Yes. " + text, ["Yes. ", *text]))


def test_sentences_and_lines_end_clauses() -> None:
    assert split("Yes. No. I can't! Really? OK") == ["Yes.", " No.", " I can't!", " Really?", " OK"]
    assert split("Two:\n1. One thing\n2. Another\n") == [
        "Two:",
        "\n1. One thing\n",
        "2. Another\n",
    ]


def test_a_full_width_stop_needs_no_space() -> None:
    assert split("今日は、いい天気ですね。そうですね。") == [
        "今日は、",
        "いい天気ですね。",
        "そうですね。",
    ]


def test_text_without_spaces_is_cut_by_length() -> None:
    assert max(map(len, split("x" * 1000, ["x"] * 1000))) <= MOST_CHARS


def test_after_a_flush_the_next_message_begins_anew() -> None:
    splitter = ClauseSplitter()
    assert splitter.push("Well, so") == ["Well,"]
    assert splitter.flush() == [" so"]
    assert splitter.flush() == []
    assert splitter.push("Right,") == ["Right,"]
