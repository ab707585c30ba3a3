import wave
from pathlib import Path

import pytest

from duologue.talk_client import recording
from duologue.talk_client.faults import RecordingFault
from talk_client.signals import silence, tone


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    recording.write(tmp_path / "a.wav", tone(200))
    assert recording.read(tmp_path / "a.wav").pcm == tone(200)


def test_a_telephone_recording_in_stereo_becomes_24_khz_mono(tmp_path: Path) -> None:
    mono = tone(500, rate_hz=8000)
    stereo = b"".join(mono[i : i + 2] * 2 for i in range(0, len(mono), 2))
    with wave.open(str(tmp_path / "b.wav"), "wb") as file:
        file.setparams((2, 2, 8000, 0, "NONE", ""))
        file.writeframes(stereo)
    assert recording.read(tmp_path / "b.wav").seconds == pytest.approx(0.5, abs=0.005)


def test_speech_ends_with_the_last_sample_above_the_floor() -> None:
    quiet_room = tone(300, amplitude=40)  # -46 dB of the peak
    said = recording.Recording("x", silence(100) + tone(400) + quiet_room)
    assert said.speech_end_s == pytest.approx(0.5, abs=0.002)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "No such file"), (b"# not a sound\n" * 50, "cannot be read")],
)
def test_a_file_without_sound_is_named(tmp_path: Path, content: bytes | None, reason: str) -> None:
    path = tmp_path / "c.wav"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RecordingFault, match=reason):
        recording.read(path)


def test_a_silent_recording_is_refused(tmp_path: Path) -> None:
    recording.write(tmp_path / "d.wav", silence(300))
    with pytest.raises(RecordingFault, match="is silent"):
        recording.read(tmp_path / "d.wav")
