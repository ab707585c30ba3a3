"""G.711: the tables of the recommendation, and speech that survives the telephone."""

import av
import numpy as np
import pytest

from duologue.audio import g711
from recordings import recording

LAWS = ("pcmu", "pcma")
FFMPEG = {"pcmu": "pcm_mulaw", "pcma": "pcm_alaw"}
EVERY_SAMPLE = np.arange(-32_768, 32_768).astype(np.int16)


def heard_by_ffmpeg(codes: bytes, law: g711.Law) -> np.ndarray:
    reader = av.CodecContext.create(FFMPEG[law], "r")
    reader.sample_rate, reader.layout = 8000, "mono"
    return np.concatenate([f.to_ndarray().ravel() for f in reader.decode(av.Packet(codes))])


def encoded_sample_by_sample(samples: np.ndarray, law: g711.Law) -> np.ndarray:
    return g711.CODES[law][samples.view(np.uint16)]


@pytest.mark.parametrize("law", LAWS)
def test_every_code_stands_for_the_sample_that_ffmpeg_hears(law: g711.Law) -> None:
    assert g711.LEVELS[law].tolist() == heard_by_ffmpeg(bytes(range(256)), law).tolist()


@pytest.mark.parametrize("law", LAWS)
def test_every_code_but_the_negative_zero_comes_back_as_itself(law: g711.Law) -> None:
    codes = encoded_sample_by_sample(g711.LEVELS[law].astype(np.int16), law)
    changed = [code for code in range(256) if codes[code] != code]
    assert changed == ([0x7F] if law == "pcmu" else [])


@pytest.mark.parametrize("law", LAWS)
def test_every_sample_is_coded_within_half_a_step(law: g711.Law) -> None:
    levels = g711.LEVELS[law][encoded_sample_by_sample(EVERY_SAMPLE, law)]
    error = np.abs(levels - EVERY_SAMPLE)
    # A step is 1/16 of a segment, and a segment at most as wide as its lowest sample.
    step = np.maximum(np.abs(EVERY_SAMPLE.astype(int)) + 132, 256) / 16
    assert np.all(np.diff(levels) >= 0)
    assert np.all(
        error[np.abs(EVERY_SAMPLE.astype(int)) < 32_100]
        <= step[np.abs(EVERY_SAMPLE.astype(int)) < 32_100] / 2 + 1
    )


@pytest.mark.parametrize(
    ("law", "sample", "code"),
    [
        ("pcmu", 0, 0xFF),
        ("pcmu", 32_767, 0x80),
        ("pcmu", -32_768, 0x00),
        ("pcma", 0, 0xD5),
        ("pcma", 32_767, 0xAA),
        ("pcma", -32_768, 0x2A),
    ],
)
def test_silence_and_the_loudest_samples_have_the_codes_of_the_recommendation(
    law: g711.Law, sample: int, code: int
) -> None:
    assert encoded_sample_by_sample(np.array([sample], np.int16), law)[0] == code


@pytest.mark.conformance("C-095")
@pytest.mark.parametrize("law", LAWS)
def test_a_byte_from_the_line_is_three_samples_however_it_is_framed(law: g711.Law) -> None:
    line = g711.encode(recording("06_af_nova.wav").pcm, law)
    at_once = g711.Decoder(law).push(line)
    stream = g711.Decoder(law)
    framed = b"".join(stream.push(line[start : start + 161]) for start in range(0, len(line), 161))
    assert framed == at_once
    assert len(at_once) == len(line) * 6


@pytest.mark.parametrize("law", LAWS)
def test_a_stream_to_the_line_is_the_same_however_it_is_framed(law: g711.Law) -> None:
    pcm = recording("06_af_nova.wav").pcm
    at_once = g711.Encoder(law).push(pcm)
    stream = g711.Encoder(law)
    framed = b"".join(stream.push(pcm[start : start + 962]) for start in range(0, len(pcm), 962))
    assert framed == at_once
    assert len(at_once) == len(pcm) // 6


@pytest.mark.parametrize("law", LAWS)
def test_speech_there_and_back_is_the_speech_below_3400_hz(law: g711.Law) -> None:
    pcm = recording("06_af_nova.wav").pcm
    there = g711.encode(pcm, law)
    back = np.frombuffer(g711.decode(there, law), np.int16).astype(float)
    voice = np.frombuffer(pcm, np.int16).astype(float)[: len(back)]
    spectrum, hz = np.fft.rfft(voice), np.fft.rfftfreq(len(voice), 1 / 24_000)
    spectrum[hz > 3400] = 0
    narrow = np.fft.rfft(back)
    narrow[hz > 3400] = 0
    error = np.fft.irfft(narrow - spectrum)
    snr_db = 10 * np.log10(np.sum(np.fft.irfft(spectrum) ** 2) / np.sum(error**2))
    assert snr_db > 30


def test_nothing_in_is_nothing_out() -> None:
    for law in LAWS:
        assert g711.Decoder(law).push(b"") == g711.Encoder(law).push(b"") == b""
        assert g711.decode(b"", law) == g711.encode(b"", law) == b""
