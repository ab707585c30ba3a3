"""What an upstream is told beside the protocol: settings in, fields of its JSON out.

Some models want more than the protocol has a word for: a clip of the voice that they shall speak
in (MiniCPM-o's `ref_audio`), options of their chat template. Both are the owner's to set.
"""

import base64
from pathlib import Path
from typing import Any

import msgspec

from duologue.audio import pcm as audio
from duologue.config import ServerConfig
from duologue.engines.completions import wav
from duologue.errors import ConfigFault, Refusal
from duologue.gateway.sound_files import decode

LONGEST_SAMPLE_S = 60
"""Of a voice: models use the first seconds, and all of it is sent for every session."""


def further_fields(config: ServerConfig) -> dict[str, Any]:
    """The object of `upstream_extra`. Raises `ConfigFault`."""
    if config.upstream_extra is None:
        return {}
    try:
        return msgspec.json.decode(config.upstream_extra, type=dict[str, Any])
    except msgspec.MsgspecError as fault:
        raise ConfigFault(f"upstream_extra: that is no JSON object: {fault}") from None


def opening_fields(config: ServerConfig) -> dict[str, Any]:
    """What a session at a Realtime upstream is opened with. Blocks. Raises `ConfigFault`."""
    fields = further_fields(config)
    if config.upstream_voice_sample is not None:
        fields["ref_audio"] = _sample(Path(config.upstream_voice_sample).expanduser())
    return fields


def _sample(path: Path) -> str:
    """The voice as a data URI of a mono WAV, whatever kind of file it came in."""
    try:
        pcm = decode(path.read_bytes())
    except OSError as fault:
        reason = f"{str(path)!r} cannot be read: {fault.strerror}"
        raise ConfigFault(f"upstream_voice_sample: {reason}") from None
    except Refusal as fault:
        raise ConfigFault(f"upstream_voice_sample: {str(path)!r}: {fault.message}") from None
    seconds = audio.samples(pcm) / audio.RATE_HZ
    if not 0 < seconds <= LONGEST_SAMPLE_S:
        raise ConfigFault(
            f"upstream_voice_sample: {str(path)!r} holds {seconds:.0f} s of sound; "
            f"allowed: up to {LONGEST_SAMPLE_S} s, of which 5 to 10 are enough"
        )
    return "data:audio/wav;base64," + base64.b64encode(wav(pcm)).decode()
