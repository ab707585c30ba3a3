"""The ledger: which words belong to which millisecond."""

from hypothesis import given
from hypothesis import strategies as st

from duologue.core.playback import PlaybackLedger

WORD = bytes(9600)  # 200 ms


def test_one_piece_of_sound_for_many_words_is_shared_out_by_their_letters() -> None:
    ledger = PlaybackLedger()
    ledger.say("One two three four.", WORD * 4, 19)
    ledger.cut(4800 * 2)
    assert ledger.heard_text == "One two"


def test_sound_without_alignment_keeps_no_words_when_it_is_cut() -> None:
    ledger = PlaybackLedger()
    ledger.say("One two", WORD, 0)
    ledger.cut(4800)
    assert ledger.heard_text == ""


def test_sound_can_go_and_its_length_stays() -> None:
    ledger = PlaybackLedger()
    ledger.say("One", WORD, 3)
    ledger.forget_pcm()
    assert ledger.pcm == b"" and ledger.end == 4800 and ledger.heard_text == "One"


@given(st.lists(st.sampled_from(["a", "to", "three", "sixteen,"]), min_size=1), st.integers(0, 300))
def test_what_was_heard_is_a_whole_number_of_words_and_grows_with_time(
    words: list[str], cut_ms: int
) -> None:
    texts = [word if n == 0 else f" {word}" for n, word in enumerate(words)]
    heard = []
    for end in sorted([cut_ms * 24, cut_ms * 48]):
        ledger = PlaybackLedger()
        voiced = 0
        for text in texts:
            voiced += len(text)
            ledger.say(text, bytes(2400), voiced)
        ledger.cut(end)
        heard.append(ledger.heard_text)
    assert heard[1].startswith(heard[0])
    assert all(words[: len(text.split())] == text.split() for text in heard)
