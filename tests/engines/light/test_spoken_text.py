"""What is said for what is written, and for which characters."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.engines.light.spoken_text import spoken_text


def said(text: str) -> str:
    return " ".join(word.text for word in spoken_text(text))


def places(text: str) -> list[tuple[str, str]]:
    """Of each word, the stretch of the original it stands for, and what is said for it."""
    out, start = [], 0
    for word in spoken_text(text):
        out.append((text[start : word.end], word.text))
        start = word.end
    return out


@given(st.text() | st.text(alphabet="ab 12.,:-/$%*_[]()`#\n\"'–—€°😀я", max_size=60))
def test_the_words_cover_the_text_in_order(text: str) -> None:
    ends = [word.end for word in spoken_text(text)]
    assert ends == sorted(set(ends))
    assert ends[-1:] == ([len(text)] if text else [])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        # By hibari's normaliser.
        ("at 3:30 pm", "at three thirty P.M."),
        ("at 10:00 today", "at ten o'clock today"),
        ("on 2024-10-12", "on October twelfth, 2024"),
        ("Jan. 5th", "January fifth"),
        ("Dr. Smith, Main St.", "Dr Smith, Main Street."),
        ("20 °C or 72°F", "20 degrees Celsius or 72 degrees Fahrenheit"),
        ("120 km/h", "120 kilometers per hour"),
        ("about $3.2 billion more", "about 3.2 billion dollars more"),
        ("pages 10–15", "pages 10 to 15"),
        ("one of 1/2", "one of one half"),
        # Read as they stand by its lexicon: tests of the voice hear them.
        ("1,250 for $4.20, 23rd, 1990s, 50%", "1,250 for $4.20, 23rd, 1990s, 50%"),
        # By the steps of this module.
        ("3–5% or $5-$10", "3 to 5% or $5 to $10"),
        ("5-10 km", "5 to 10 kilometers"),
        ("7 - 3", "7 minus 3"),
        ("call (555) 123-4567", "call 5 5 5, 1 2 3, 4 5 6 7"),
        ("+1 555 123 4567", "plus 1, 5 5 5, 1 2 3, 4 5 6 7"),
        ("code 00417", "code 0 0 4 1 7"),
        ("192.168.1.1", "192 dot 168 dot 1 dot 1"),
        ("2 m² and 1 L", "2 square meters and 1 liter"),
        ("6 ft, 5'10\"", "6 feet, 5 foot 10"),
        ("e.g. pears, i.e. fruit", "for example pears, that is fruit"),
        ("24/7", "24 7"),
        (".5", "0.5"),
        ("C# and H2O", "C sharp and H 2 O"),
    ],
)
def test_figures_are_read(text: str, words: str) -> None:
    assert said(text) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("**Sure!** Here is *my* list:", "Sure! Here is my list:"),
        ("## Heading\n- first `code` item\n* second", "Heading first code item second"),
        ("see [the docs](https://a.com/b_c?d=1).", "see the docs."),
        ("| a | b |\n|---|---|", "a b"),
        ("```python\nx\n```\nDone.", "x Done."),
        ("snake_case and __init__", "snake case and init"),
        ("2 * 3", "2 times 3"),
        ("<b>bold</b> text", "bold text"),
        ("Good morning! 😀👍🏽 I'm fine", "Good morning! I'm fine"),
        ("It’s — well — so", "It's — well — so"),
        (
            "go to https://www.a-b.org/x or joe@a.com.",
            "go to a dash b dot org slash x or joe at a dot com.",
        ),
    ],
)
def test_markup_is_not_said(text: str, words: str) -> None:
    assert said(text) == words


@pytest.mark.parametrize("text", ["😀", "...", "---", " \n ", "**", "Привет", "今日は"])
def test_text_with_nothing_to_pronounce_is_one_silent_word(text: str) -> None:
    (word,) = spoken_text(text)
    assert (word.text, word.end) == ("", len(text))


def test_each_word_stands_for_its_own_characters() -> None:
    assert places("  **Sure**, at 3:30 pm it's [the best](http://a.b) 😀 day!  ") == [
        ("  **Sure**,", "Sure,"),
        (" at", "at"),
        (" 3:30 pm", "three thirty P.M."),
        (" it's", "it's"),
        (" [the", "the"),
        (" best](http://a.b)", "best"),
        (" 😀 day!  ", "day!"),
    ]


def test_a_dash_belongs_to_the_word_before_it() -> None:
    assert places("well — so") == [("well —", "well —"), (" so", "so")]
