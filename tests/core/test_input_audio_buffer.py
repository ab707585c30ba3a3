"""The sound that waits for a commit: its clock, and the part of it from a sample on."""

import pytest

from duologue.core.input_audio_buffer import InputAudioBuffer

CHUNKS = (b"aabb", b"cc", b"ddeeff")


@pytest.mark.parametrize("start", range(7))
def test_the_tail_is_what_is_held_from_a_sample_on(start: int) -> None:
    buffer = InputAudioBuffer()
    for chunk in CHUNKS:
        buffer.append(chunk)
    assert buffer.tail(start) == b"aabbccddeeff"[2 * start :]
    assert buffer.take() == b"aabbccddeeff", "nothing was taken by looking"
    assert buffer.tail(0) == b""


def test_one_chunk_and_none_are_taken_as_they_are() -> None:
    buffer = InputAudioBuffer()
    buffer.append(b"aabb")
    assert buffer.take() == b"aabb" and buffer.take() == b""
