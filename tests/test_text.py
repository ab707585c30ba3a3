"""Text of other servers, whose JSON may hold half a surrogate pair."""

import pytest

from duologue.text import TextStream, well_formed


@pytest.mark.parametrize(
    ("told", "text"),
    [
        ("plain", "plain"),
        ("héllo 😀", "héllo 😀"),
        ("\ud83d\ude00", "😀"),
        ("oh \ud83d", "oh \ufffd"),
        ("\ud83d oh", "\ufffd oh"),
        ("\ude00\ud83d", "\ufffd\ufffd"),
        ("\ud83d\ud83d\ude00é", "\ufffd😀é"),
    ],
)
def test_half_a_pair_becomes_a_sign_that_can_be_sent(told: str, text: str) -> None:
    assert well_formed(told) == text


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        (["Hi \ud83d", "\ude00!"], "Hi 😀!"),
        (["Hi \ud83d", "", "\ude00"], "Hi 😀"),
        (["\ud83d", "no"], "\ufffdno"),
        (["\ud83d", "\ud83d", "\ude00"], "\ufffd😀"),
        (["end \ud83d"], "end \ufffd"),
        (["\ude00", "x"], "\ufffdx"),
    ],
)
def test_a_pair_that_was_split_between_pieces_is_joined(pieces: list[str], text: str) -> None:
    stream = TextStream()
    got = [*map(stream.push, pieces), stream.flush()]
    assert "".join(got) == text
    for piece in got:
        piece.encode()
