"""Sound files in, 24 kHz mono 16-bit samples out, and back.

Any container, sample rate and channel count that FFmpeg's libraries know is read.
"""

import wave
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from duologue.talk_client.faults import RecordingFault

RATE_HZ = 24_000
FRAME_BYTES = RATE_HZ // 50 * 2
"""One frame on the line: 20 ms."""
SPEECH_FLOOR = 0.01
"""What is quieter than this share of the peak (-40 dB) is not speech."""


@dataclass(frozen=True)
class Recording:
    """One utterance: 24 kHz mono signed 16-bit little-endian samples."""

    name: str
    pcm: bytes

    @property
    def seconds(self) -> float:
        return len(self.pcm) / 2 / RATE_HZ

    @property
    def speech_end_s(self) -> float:
        """When the speaking ends: the end of the last sample above -40 dB of the peak."""
        samples = np.abs(np.frombuffer(self.pcm, "<i2").astype(np.int32))
        if not samples.size or not samples.max():
            return 0.0
        loud = np.flatnonzero(samples > samples.max() * SPEECH_FLOOR)
        return float(loud[-1] + 1) / RATE_HZ


def read(path: Path) -> Recording:
    """The sound of a file. Raises `RecordingFault`."""
    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise RecordingFault(f"{path} holds no sound")
            resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE_HZ)
            frames = [
                resampled.to_ndarray().astype("<i2").tobytes()
                for frame in container.decode(audio=0)
                for resampled in resampler.resample(frame)
            ]
            frames += [
                rest.to_ndarray().astype("<i2").tobytes() for rest in resampler.resample(None)
            ]
    except (OSError, ValueError) as fault:  # FFmpeg's own errors are both
        raise RecordingFault(f"{path} cannot be read: {_reason(fault)}") from fault
    recording = Recording(path.name, b"".join(frames))
    if not recording.speech_end_s:
        raise RecordingFault(f"{path} is silent")
    return recording


def write(path: Path, pcm: bytes) -> None:
    """Write 24 kHz mono samples as WAV. Raises `RecordingFault`."""
    try:
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE_HZ)
            file.writeframes(pcm)
    except OSError as fault:
        raise RecordingFault(f"{path} cannot be written: {_reason(fault)}") from fault


def _reason(fault: Exception) -> str:
    return getattr(fault, "strerror", None) or str(fault)
