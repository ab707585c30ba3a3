"""Opus decoded, concealed and recovered, on a recorded voice."""

from pathlib import Path

import av
import numpy as np
import pytest

from duologue.audio.opus import CLOCK_HZ, OpusDecoder, found, samples_in
from duologue.audio.receive_buffer import Entry, Lost, Pause, Sound
from recordings import recordings

FRAME = 960
"""20 ms of the clock, which are 480 samples of ours."""


def encoded(*, fec: bool) -> list[bytes]:
    """Two seconds of a voice in packets of 20 ms."""
    voice = np.frombuffer(recordings()[0].pcm, np.int16)[: 24_000 * 2]
    encoder = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format = 24_000, "mono", "s16"
    encoder.bit_rate = 24_000
    encoder.options = {"application": "voip", "vbr": "off"} | (
        {"fec": "1", "packet_loss": "20"} if fec else {}
    )
    encoder.open()
    packets = []
    for start in range(0, len(voice), 480):
        frame = av.AudioFrame.from_ndarray(voice[None, start : start + 480], "s16", "mono")
        frame.sample_rate, frame.pts = 24_000, start
        packets += [bytes(packet) for packet in encoder.encode(frame)]
    return packets


def heard(entries: list[Entry]) -> np.ndarray:
    return np.frombuffer(OpusDecoder().decode(entries), np.int16).astype(float)


def with_losses(packets: list[bytes], *, spare: bool) -> list[Entry]:
    """Every tenth packet lost; with `spare` the next one is at hand."""
    return [
        Lost(FRAME, packets[n + 1] if spare else None) if n % 10 == 7 else Sound(payload, FRAME)
        for n, payload in enumerate(packets)
    ]


def error_db(sound: np.ndarray, true: np.ndarray) -> float:
    """Of the lost frames only."""
    lost = (np.arange(len(true)) // 480) % 10 == 7
    return float(10 * np.log10(np.mean((sound - true)[lost] ** 2) / np.mean(true[lost] ** 2)))


def test_a_voice_is_decoded_to_24_khz_as_ffmpeg_decodes_it() -> None:
    packets = encoded(fec=False)
    sound = heard([Sound(payload, FRAME) for payload in packets])
    assert len(sound) == len(packets) * 480
    reader = av.CodecContext.create("libopus", "r")
    reader.sample_rate, reader.layout, reader.format = 48_000, "mono", "s16"
    true = np.concatenate(
        [f.to_ndarray().ravel() for p in packets for f in reader.decode(av.Packet(p))]
    )[::2].astype(float)
    best = max(
        np.corrcoef(sound[lag : lag + 24_000], true[600:][:24_000])[0, 1] for lag in range(500, 700)
    )
    assert best > 0.99


def test_a_lost_frame_is_concealed_and_better_so_with_its_spare_copy() -> None:
    packets = encoded(fec=True)
    true = heard([Sound(payload, FRAME) for payload in packets])
    silent = error_db(np.where((np.arange(len(true)) // 480) % 10 == 7, 0, true), true)
    concealed = error_db(heard(with_losses(packets, spare=False)), true)
    recovered = error_db(heard(with_losses(packets, spare=True)), true)
    assert silent == pytest.approx(0)
    assert recovered < concealed - 3
    assert recovered < -6


def test_loss_takes_exactly_as_long_as_what_was_lost() -> None:
    packets = encoded(fec=False)
    entries = with_losses(packets, spare=False)
    assert len(heard(entries)) == len(packets) * 480


def test_long_loss_fades_to_silence() -> None:
    packets = encoded(fec=False)
    entries: list[Entry] = [Sound(payload, FRAME) for payload in packets[:50]]
    sound = heard([*entries, *[Lost(FRAME, None)] * 25])[50 * 480 :]
    assert len(sound) == 25 * 480
    assert np.abs(sound[:480]).max() > 0
    assert not sound[8 * 480 :].any()


def test_a_pause_is_silence_of_its_length() -> None:
    assert OpusDecoder().decode([Pause(9600)]) == bytes(4800 * 2)


@pytest.mark.parametrize("garbage", [b"", b"\xff" * 3, b"\x03\x00"])
def test_what_is_no_opus_is_concealed_and_counted(garbage: bytes) -> None:
    decoder = OpusDecoder()
    pcm = decoder.decode([Sound(garbage, FRAME)])
    assert len(pcm) == 480 * 2
    assert decoder.broken == 1


def test_the_length_of_a_packet_is_told_by_its_first_byte() -> None:
    assert {samples_in(payload) for payload in encoded(fec=False)} == {FRAME}
    assert samples_in(b"") == 0
    assert samples_in(b"\xff\x3f") == 0
    assert samples_in(b"\x08\x00") == CLOCK_HZ * 20 // 1000


def test_the_library_beside_pyav_goes_before_the_systems(tmp_path: Path) -> None:
    assert found(tmp_path, "libopus.so.0") == "libopus.so.0"
    with pytest.raises(OSError, match="there is no libopus"):
        found(tmp_path, None)
    own = tmp_path / "libopus-1234.so.0"
    own.touch()
    assert found(tmp_path, "libopus.so.0") == str(own)
