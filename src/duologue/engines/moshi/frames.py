"""What the clock asks of a model that lives in frames: a port, free of torch.

Frames of the user's sound go down, one for each place that has one; for each comes back one
frame of the model's own sound and the text token that belongs to it.
"""

from collections.abc import Mapping
from typing import Protocol

import msgspec

from duologue.audio import pcm as audio

FRAME_MS = 80
"""Length of a frame: Mimi makes 12.5 a second."""

FRAME_BYTES = FRAME_MS * audio.BYTES_PER_MS
SILENCE = bytes(FRAME_BYTES)


class Spoken(msgspec.Struct, frozen=True):
    """One frame of the model's: `token` of its text, None while it has not begun; 24 kHz sound."""

    token: int | None
    pcm: bytes


class FrameModel(Protocol):
    """A model with a fixed number of places for conversations. Not for two threads at once."""

    slots: int

    def reset(self, slot: int, seed: int) -> None:
        """Make a place new: nothing heard, nothing said. `seed` is of what it will draw."""

    def step(self, heard: Mapping[int, bytes]) -> Mapping[int, Spoken]:
        """One frame further in the places named; `FRAME_BYTES` of sound each.

        Places that are not named stay exactly as they are.
        """
