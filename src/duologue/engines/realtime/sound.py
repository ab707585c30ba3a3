"""The format that an upstream speaks in: what its session shows in, its sound as 24 kHz PCM out.

Asked for is 24 kHz PCM, which most send. Of one that shows another rate, or G.711, the sound is
made ours; what cannot be is refused, for samples read as others are noise. `convert` takes time:
it belongs in a worker thread.
"""

import base64
import binascii
from typing import Any

import numpy as np
from msgspec import Struct

from duologue.audio import g711
from duologue.audio import pcm as audio
from duologue.audio.resampling import Resampler, to_s16
from duologue.errors import EngineFault

RATES_HZ = (8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
FILES = {b"RIFF": "WAV", b"OggS": "Ogg", b"fLaC": "FLAC", b"ID3\x03": "MP3", b"ID3\x04": "MP3"}


class Format(Struct, frozen=True):
    """A format of raw sound, as the protocol names it."""

    kind: str = "audio/pcm"
    rate_hz: int = audio.RATE_HZ

    @property
    def is_known(self) -> bool:
        """Whether it can be made ours."""
        return self.kind in LAWS or (self.kind == "audio/pcm" and self.rate_hz in RATES_HZ)

    def __str__(self) -> str:
        return f"{self.kind:.40} at {self.rate_hz} Hz"


OURS = Format()
LAWS: dict[str, g711.Law] = {"audio/pcmu": "pcmu", "audio/pcma": "pcma"}
BETA = {
    "pcm16": OURS,
    "g711_ulaw": Format("audio/pcmu", 8000),
    "g711_alaw": Format("audio/pcma", 8000),
}


def shown(session: Any, side: str) -> Format | None:
    """The format that a session shows for its `input` or `output`, in the names of today or of the
    beta protocol; None where it shows none.
    """
    if not isinstance(session, dict):
        return None
    try:
        told = session["audio"][side]["format"]
    except (KeyError, TypeError):
        told = session.get(f"{side}_audio_format")
    if isinstance(told, str):
        return BETA.get(told) or Format(told, 0)
    if not isinstance(told, dict):
        return None
    kind, rate = told.get("type", OURS.kind), told.get("rate")
    if kind in LAWS:
        return Format(kind, 8000)
    is_rate = isinstance(rate, int) and 0 < rate < 10**6
    return Format(str(kind), OURS.rate_hz if rate is None else rate if is_rate else 0)


class UpstreamSound:
    """That of one upstream session."""

    def __init__(self) -> None:
        self._speaks = OURS
        self._item_id = ""
        self._held = b""
        self._law: g711.Decoder | None = None
        self._resampler: Resampler | None = None

    def tell(self, session: Any) -> None:
        """What the upstream shows of its session; the last word counts."""
        speaks = shown(session, "output") or self._speaks
        if speaks != self._speaks:
            self._speaks, self._item_id = speaks, ""

    def tell_rate(self, rate_hz: Any) -> None:
        """What a piece of PCM says of itself, where it does: it knows best."""
        speaks = self._speaks
        if speaks.kind == OURS.kind and type(rate_hz) is int and rate_hz != speaks.rate_hz:
            self._speaks, self._item_id = Format(OURS.kind, rate_hz), ""

    @property
    def is_ours(self) -> bool:
        """Whether its sound needs no conversion."""
        return self._speaks == OURS

    def check(self) -> None:
        """Raise `EngineFault` where what is said would be noise."""
        if not self._speaks.is_known:
            raise EngineFault(f"The upstream speaks {self._speaks}, not 24 kHz PCM.")

    def convert(self, item_id: str, delta: str) -> str:
        """The base64 of more sound of an item, as that of ours. Raises `EngineFault`."""
        if item_id != self._item_id or not item_id:
            self._begin(item_id)
        sound = decoded(delta)
        if self._law is not None:
            pcm = self._law.push(sound)
        else:
            sound = self._held + sound
            whole = len(sound) - len(sound) % audio.SAMPLE_BYTES
            pcm, self._held = sound[:whole], sound[whole:]
        if self._resampler is not None:
            samples = np.frombuffer(pcm, np.int16).astype(np.float32)
            pcm = to_s16(self._resampler.push(samples)).tobytes()
        return base64.b64encode(pcm).decode()

    def _begin(self, item_id: str) -> None:
        self.check()
        kind, rate_hz = self._speaks.kind, self._speaks.rate_hz
        self._item_id, self._held = item_id, b""
        law = LAWS.get(kind)
        self._law = g711.Decoder(law) if law else None  # gives 24 kHz
        is_other = law is None and rate_hz != OURS.rate_hz
        self._resampler = Resampler(rate_hz, OURS.rate_hz) if is_other else None


def decoded(delta: str) -> bytes:
    """The bytes of a piece of raw sound. Raises `EngineFault` for what is none."""
    try:
        sound = base64.b64decode(delta, validate=True)
    except (binascii.Error, ValueError):
        raise EngineFault("The upstream sent sound that is no base64.") from None
    if (name := FILES.get(sound[:4])) and not (name == "WAV" and sound[8:12] != b"WAVE"):
        raise EngineFault(f"The upstream sent sound as a file ({name}), not as bare 24 kHz PCM.")
    return sound
