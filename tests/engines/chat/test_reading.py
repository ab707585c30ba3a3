"""The stream's events, and how much of the words counts as voiced."""

import json

import pytest

from duologue.engines.chat.chunk import Tokens, parse
from duologue.engines.chat.sse import EventStream
from duologue.engines.pace import Pace, Voiced
from duologue.errors import EngineFault

STREAM = 'data: {"a":"x\u2028y"}\r\n\r\n: comment\n\nevent: m\ndata: 1\ndata: 2\n\ndata:[DONE]\n'


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
def test_events_are_the_same_however_the_bytes_are_cut(size: int) -> None:
    events, data = EventStream(), STREAM.encode()
    found = [e for n in range(0, len(data), size) for e in events.push(data[n : n + size])]
    assert found == ['{"a":"x\u2028y"}'.encode(), b"1\n2"]
    assert events.flush() == [b"[DONE]"]


def test_only_the_data_of_an_event_that_is_still_coming_is_a_beginning() -> None:
    events = EventStream()
    sizes = []
    for piece in (b": comment\n", b"\n", b"event: m\n", b"data: 12", b"34\ndata", b": 5\n", b"\n"):
        events.push(piece)
        sizes.append(events.begun_bytes)
    assert sizes == [0, 0, 0, 8, 4, 5, 0]


@pytest.mark.parametrize("data", [b"<html>", b"[]", b'{"choices":3}', b'{"choices":[{"delta":1}]}'])
def test_what_is_no_chunk_is_a_fault(data: bytes) -> None:
    with pytest.raises(EngineFault, match="no chat completion"):
        parse(data)


@pytest.mark.parametrize("field", ["usage", "error", "audio_metadata"])
def test_a_chunk_that_is_nested_too_deeply_is_a_fault(field: str) -> None:
    with pytest.raises(EngineFault, match="nested too deeply"):
        parse(f'{{"{field}":{"[" * 3000}{"]" * 3000}}}'.encode())


def test_an_error_in_the_stream_is_a_fault_that_keeps_its_words_from_the_client() -> None:
    with pytest.raises(EngineFault) as fault:
        parse(b'{"error":{"message":"CUDA out of memory at 10.0.0.5"}}')
    assert "CUDA" not in fault.value.message


@pytest.mark.parametrize(
    ("metadata", "rate_hz"),
    [
        ({"format": "pcm", "sample_rate_hz": 22_050, "channels": 1}, 22_050),
        ({"sample_rate": 16_000}, 16_000),
        ({"sample_rate_hz": "16000"}, 16_000),
        ({"sample_rate": 16_000.0}, 16_000),
        ({"sample_rate": "16 kHz"}, None),
        ({"sample_rate": None}, None),
        (16_000, None),
    ],
)
def test_the_rate_beside_bare_samples_is_read_by_either_name(
    metadata: object, rate_hz: int | None
) -> None:
    choice = {"delta": {"content": "AAAA"}}
    chunk = {"choices": [choice], "modality": "audio", "audio_metadata": metadata}
    assert parse(json.dumps(chunk).encode()).rate_hz == rate_hz


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"prompt_tokens": 5, "completion_tokens": 2}, Tokens(5, 2)),
        ({"prompt_tokens": -5, "completion_tokens": 2}, None),
        ({"prompt_tokens": "5", "completion_tokens": 2}, None),
        ({"prompt_tokens": 5}, None),
        ("many", None),
        (
            {
                "prompt_tokens": 5,
                "completion_tokens": 2,
                "prompt_tokens_details": {"cached_tokens": 99, "audio_tokens": 4},
                "completion_tokens_details": {"audio_tokens": 7},
            },
            Tokens(5, 2, cached=5, audio_in=4, audio_out=2),
        ),
    ],
)
def test_a_usage_that_cannot_be_is_none(usage: object, tokens: Tokens | None) -> None:
    assert parse(json.dumps({"choices": [], "usage": usage}).encode()).tokens == tokens


def test_words_that_have_not_sounded_never_count_as_voiced() -> None:
    voiced = Voiced(Pace())
    voiced.say("One two three four five six seven.")
    assert voiced.sound(0.0) == 0
    assert [voiced.sound(0.5) for _ in range(3)] == [5, 10, 15]
    assert voiced.end() == 34


def test_the_pace_of_a_voice_is_learned_from_whole_replies() -> None:
    pace = Pace()
    first = Voiced(pace)
    first.say("a" * 60)
    first.sound(3.0)
    first.end()
    assert 10 < pace.units_per_s < 20
    slow = Voiced(pace)
    slow.say("a" * 20)
    slow.sound(4.0)
    slow.end()
    assert pace.units_per_s == 5.0


def test_a_chinese_character_takes_longer_than_a_letter() -> None:
    voiced = Voiced(Pace())
    voiced.say("今天天气很好")
    assert voiced.sound(1.0) == 3
