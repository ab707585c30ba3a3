"""PCM arithmetic and windows that hide how a client framed its sound."""

import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.audio import pcm


def test_milliseconds_and_samples() -> None:
    assert pcm.samples_of_ms(20) == 480
    assert pcm.ms_of_samples(479) == 19
    assert pcm.ceil_ms_of_samples(481) == 21
    assert pcm.samples(bytes(5)) == 2


def test_chunks_are_at_most_the_size_and_lose_nothing() -> None:
    assert pcm.chunks(b"", 4) == []
    assert pcm.chunks(b"abcd", 4) == [b"abcd"]
    assert pcm.chunks(b"abcdef", 4) == [b"abcd", b"ef"]


def test_loudness_tells_loud_from_quiet_whatever_the_sign() -> None:
    quiet = array.array("h", [30, -30] * 384).tobytes()
    loud = array.array("h", [*[900] * 384, *[-900] * 384]).tobytes()
    assert pcm.loudness(quiet) == 30
    assert pcm.loudness(loud) == 900
    assert pcm.loudness(quiet + loud) == pytest.approx(465)


def test_loudness_leaves_half_a_sample_out_and_nothing_is_silent() -> None:
    assert pcm.loudness(b"") == 0
    assert pcm.loudness(b"\xff") == 0
    assert pcm.loudness(array.array("h", [500]).tobytes() + b"\xff") == 500


@given(st.lists(st.binary(max_size=50)))
def test_framing_cannot_be_seen_behind_the_windows(frames: list[bytes]) -> None:
    windows = pcm.Windows(4)
    cut = [window for frame in frames for window in windows.push(frame)]
    rest = windows.flush()
    whole = b"".join(frames)
    assert all(len(window) == 8 for window in cut)
    assert b"".join(cut) + rest == whole[: len(whole) - len(whole) % 2]


def test_an_odd_byte_waits_for_its_other_half() -> None:
    windows = pcm.Windows(2)
    assert windows.push(b"abc") == []
    assert windows.flush() == b"ab"
    assert windows.push(b"def") == [b"cdef"]


def test_half_a_sample_is_forgotten_when_the_format_changes() -> None:
    windows = pcm.Windows(4)
    assert windows.push(b"abc") == []
    windows.drop_half_sample()
    windows.drop_half_sample()
    assert windows.flush() == b"ab"
    assert windows.push(b"cdefghij") == [b"cdefghij"]
