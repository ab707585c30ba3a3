"""Sound files of clients in, 24 kHz mono samples out: any container that FFmpeg knows. Blocking."""

import io
import wave

import av

from duologue.audio import pcm as audio
from duologue.errors import Refusal

MOST_SECONDS = 30 * 60
"""Of sound in one file: 86 MB of samples."""


def decode(data: bytes) -> bytes:
    """The sound of a file. Raises `Refusal` where there is none, or too much."""
    pcm = bytearray()
    try:
        with av.open(io.BytesIO(data), "r") as container:
            if not container.streams.audio:
                raise _no_sound("The file holds no sound.")
            resampler = av.AudioResampler(format="s16", layout="mono", rate=audio.RATE_HZ)
            for frame in container.decode(audio=0):
                for resampled in resampler.resample(frame):
                    pcm += resampled.to_ndarray().astype("<i2").tobytes()
                if len(pcm) > MOST_SECONDS * 1000 * audio.BYTES_PER_MS:
                    raise _no_sound(f"The file holds more than {MOST_SECONDS} s of sound.")
            for rest in resampler.resample(None):
                pcm += rest.to_ndarray().astype("<i2").tobytes()
    except (OSError, ValueError) as fault:  # FFmpeg's own errors are both
        raise _no_sound("The file is no sound file that can be read here.") from fault
    return bytes(pcm)


def wav_header() -> bytes:
    """The head of a WAV file of 24 kHz mono whose length is not known yet."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(audio.SAMPLE_BYTES)
        writer.setframerate(audio.RATE_HZ)
    head = bytearray(file.getvalue())
    head[4:8] = head[40:44] = b"\xff\xff\xff\xff"  # as streaming encoders leave it
    return bytes(head)


def _no_sound(message: str) -> Refusal:
    return Refusal("invalid_value", message, "file")
