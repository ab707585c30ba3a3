"""Real speech through real weights: the words, and no words where there are none."""

import re
from pathlib import Path

import numpy as np
import pytest

from duologue.audio import g711
from duologue.errors import ModelFault
from duologue.hearing.whisper import Hearing, Whisper, _repeats
from recordings import recording, recordings
from weights import weights

pytestmark = pytest.mark.weights


@pytest.fixture(scope="module")
def whisper() -> Whisper:
    return Whisper(weights("whisper-tiny.en"))


def words(text: str) -> list[str]:
    figures = {"15": "fifteen", "10": "ten", "4729": "four seven two nine", "mr": "mister"}
    found = re.findall(r"[a-z0-9']+", text.lower().replace("-", " "))
    return " ".join(figures.get(word, word) for word in found).split()


def test_the_shipped_recordings_are_understood(whisper: Whisper) -> None:
    wrong = total = 0
    for r in recordings():
        heard, said = words(whisper.transcribe(r.speech)), words(r.text)
        total += len(said)
        wrong += distance(heard, said)
    assert wrong / total <= 0.08, f"{wrong} of {total} words wrong"


@pytest.mark.parametrize("law", ["pcmu", "pcma"])
def test_the_shipped_recordings_are_understood_over_the_telephone(
    whisper: Whisper, law: g711.Law
) -> None:
    wrong = total = 0
    for r in recordings():
        line = g711.encode(r.speech, law)
        heard, said = words(whisper.transcribe(g711.Decoder(law).push(line))), words(r.text)
        total += len(said)
        wrong += distance(heard, said)
    assert wrong / total <= 0.12, f"{wrong} of {total} words wrong"


def test_silence_and_noise_have_no_words(whisper: Whisper) -> None:
    noise = np.random.default_rng(1).integers(-20, 20, 48_000).astype(np.int16)
    assert whisper.transcribe(bytes(96_000)) == ""
    assert whisper.transcribe(noise.tobytes()) == ""
    assert whisper.transcribe(b"") == ""


def test_speech_longer_than_a_window_is_heard_in_pieces(whisper: Whisper) -> None:
    long = b"".join(r.pcm for r in recordings())
    assert len(long) / 48_000 > 31
    text = " ".join(words(whisper.transcribe(long)))
    assert "tokyo" in text and "sister" in text


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("00_af_heart.wav", "librivox_0870.wav"),
        ("02_bf_emma.wav", "librivox_0870.wav"),
        ("01_am_michael.wav", "05_am_puck.wav"),
    ],
)
def test_of_two_sentences_in_a_turn_none_is_left_out(
    whisper: Whisper, first: str, second: str
) -> None:
    one, two = recording(first), recording(second)
    turn = one.pcm + bytes(48 * 300) + two.pcm
    heard, said = words(whisper.transcribe(turn)), words(f"{one.text} {two.text}")
    assert distance(heard, said) <= len(said) * 0.15, heard
    (piece,) = whisper.pieces(turn)
    whole = whisper.hear(piece, Hearing(logprobs=True))
    told = b"".join(bytes(token.bytes or ()) for token in whole.logprobs or ()).decode()
    assert told.replace(" ", "") == whole.text.replace(" ", "")


@pytest.mark.parametrize("last", ["04_af_bella.wav", "librivox_0880.wav"])
def test_of_three_sentences_in_a_turn_none_is_left_out(whisper: Whisper, last: str) -> None:
    said = [recording(name) for name in ("03_bm_george.wav", "07_am_fenrir.wav", last)]
    for pause_ms in (400, 600, 900):
        turn = bytes(48 * pause_ms).join(one.pcm for one in said)
        heard = words(whisper.transcribe(turn))
        assert {"order", "sister"} <= set(heard), heard
        assert words(said[2].text)[-1] in heard, heard


def test_noise_behind_a_sentence_adds_no_words(whisper: Whisper) -> None:
    r = recording("00_af_heart.wav")
    noise = np.random.default_rng(1).normal(0, 1500, 24_000 * 6).astype(np.int16)
    behind = whisper.transcribe(r.pcm + bytes(48 * 300) + noise.tobytes())
    assert len(words(behind)) <= len(words(r.text)) + 1


def test_a_text_that_repeats_itself_is_noticed() -> None:
    assert _repeats("How many are there in a pound? How many are there in")
    assert _repeats("He was not an old-s-s-y-y-y-y")
    assert _repeats("Go on. " * 12)
    assert not _repeats("Stop. That's not what I asked for.")
    assert not _repeats("No. No.")


def test_a_directory_without_a_model_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ModelFault, match=re.escape(str(tmp_path))):
        Whisper(tmp_path)


def test_the_end_of_the_last_word_is_not_lost(whisper: Whisper) -> None:
    r = recording("06_af_nova.wav")
    assert words(whisper.transcribe(r.speech))[-1] == "pound"


@pytest.mark.conformance("C-102")
def test_log_probabilities_are_real_and_spell_the_text(whisper: Whisper) -> None:
    (piece,) = whisper.pieces(recording("06_af_nova.wav").speech)
    heard = whisper.hear(piece, Hearing(logprobs=True))
    assert heard.logprobs
    assert "".join(found.token for found in heard.logprobs) == heard.text
    assert bytes(byte for found in heard.logprobs for byte in found.bytes).decode() == heard.text
    assert all(-20 < found.logprob <= 0 for found in heard.logprobs)
    assert len({found.logprob for found in heard.logprobs}) > 3
    assert whisper.hear(piece, Hearing()).logprobs is None


def test_a_text_can_be_made_to_begin_with_what_was_told(whisper: Whisper) -> None:
    (piece,) = whisper.pieces(recording("06_af_nova.wav").speech)
    for prefix in ("How many", "How many, ounces", "So how"):
        heard = whisper.hear(piece, Hearing(prefix=prefix, logprobs=True))
        assert heard.text.startswith(prefix) and "pound" in heard.text
        assert "".join(found.token for found in heard.logprobs or ()) == heard.text


def test_a_silent_piece_keeps_what_was_told(whisper: Whisper) -> None:
    assert whisper.hear(np.zeros(16_000, np.float32), Hearing(prefix="So")).text == "So"


def test_an_english_model_knows_english_only(whisper: Whisper) -> None:
    assert whisper.languages == ("en",)


def distance(one: list[str], other: list[str]) -> int:
    """Word edit distance."""
    row = list(range(len(other) + 1))
    for n, word in enumerate(one, 1):
        above, row = row, [n]
        for m, counterpart in enumerate(other, 1):
            row.append(min(above[m] + 1, row[-1] + 1, above[m - 1] + (word != counterpart)))
    return row[-1]
