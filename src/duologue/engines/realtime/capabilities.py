"""What a full-duplex model of another kind of server (vLLM-Omni) states, and what that bears out.

Its session's `capabilities` in, traits and what is asked of it out. They stand in a session, and
nowhere before: the list of models there says nothing of them. What is not stated is not claimed.
"""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct, structs

from duologue.runtime.ports import Traits

NATIVE = "model_native_duplex"
"""The `implementation_level` of one model that hears and speaks, and decides itself when. The other
level, `turn_based_duplex`, is given whole turns and does not say what it is made of."""


class Capabilities(Struct, frozen=True):
    """What is read of them; None is not stated."""

    is_native: bool = False
    interrupts: bool = False
    truncates: bool | None = None
    takes_images: bool | None = None

    @property
    def may_truncate(self) -> bool:
        """Whether a truncation is tried there: also where only its own document says so."""
        return self.interrupts if self.truncates is None else self.truncates

    @property
    def wanted(self) -> dict[str, Any]:
        """What to ask of the model."""
        wanted: dict[str, Any] = {"playback_commit_policy": "ack_only"}
        if self.interrupts:
            wanted |= {
                "turn_detection": {"type": "server_vad"},
                "overlap_policy": "barge_in_on_speech",
            }
        return wanted


UNKNOWN = Capabilities()


def capabilities(session: Any) -> Capabilities | None:
    """Those that a session shows; None where it shows none."""
    shown = session.get("capabilities") if isinstance(session, dict) else None
    if not isinstance(shown, dict):
        return None
    return Capabilities(
        is_native=shown.get("implementation_level") == NATIVE,
        interrupts=shown.get("supports_barge_in") is True,
        truncates=_stated(shown, "supports_audio_truncate"),
        takes_images=_stated(shown, "supports_image_input"),
    )


def borne_out(traits: Traits, stated: Sequence[Capabilities]) -> Traits:
    """`traits` as those of all upstreams bear them out; what the owner has said already stands."""
    is_whole = all(one.is_native for one in stated)
    traits = structs.replace(
        traits,
        hears=traits.hears or is_whole,
        speaks=traits.speaks or is_whole,
        rewinds=all(one.truncates is True for one in stated),
    )
    if traits.sees or not traits.reads_images:
        return traits
    return structs.replace(
        traits,
        sees=all(one.takes_images is True for one in stated),
        reads_images=all(one.takes_images is not False for one in stated),
    )


def _stated(shown: dict[str, Any], name: str) -> bool | None:
    value = shown.get(name)
    return value if isinstance(value, bool) else None
