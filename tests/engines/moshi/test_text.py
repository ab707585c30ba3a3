"""Text tokens to text, character by character."""

from duologue.engines.moshi.text import Vocabulary

PIECES = {4: "▁Caf", 5: "<0xC3>", 6: "<0xA9>", 7: "s", 8: "▁au"}


def test_pieces_are_joined_with_the_spaces_that_begin_words() -> None:
    stream = Vocabulary(PIECES).stream()
    assert [stream.text(token) for token in (4, 7, 3, 8)] == [" Caf", "s", "", " au"]


def test_padding_marks_and_tokens_out_of_the_vocabulary_are_no_text() -> None:
    stream = Vocabulary({**PIECES, 0: "<unk>", 1: "<s>", 2: "</s>", 3: "<pad>"}).stream()
    assert [stream.text(token) for token in (0, 1, 2, 3, 999)] == [""] * 5


def test_a_character_in_two_tokens_comes_with_the_second_of_them_padding_between() -> None:
    stream = Vocabulary(PIECES).stream()
    assert [stream.text(token) for token in (4, 5, 3, 6, 7)] == [" Caf", "", "", "é", "s"]


def test_a_character_that_is_never_finished_does_not_swallow_what_follows() -> None:
    stream = Vocabulary(PIECES).stream()
    assert [stream.text(token) for token in (5, 8, 7)] == ["", "\N{REPLACEMENT CHARACTER} au", "s"]


def test_two_streams_do_not_share_their_halves() -> None:
    vocabulary = Vocabulary(PIECES)
    one, other = vocabulary.stream(), vocabulary.stream()
    assert one.text(5) == ""
    assert other.text(8) == " au"
    assert one.text(6) == "é"
