"""A player for timelines: plays what a session has played, on the timeline's clock.

Sound comes in with the time; what of it has gone out at a later time goes out as `Played`.
It plays frame by frame as the pacer of a call does, one piece after the other.
"""

import math

import msgspec

from duologue.audio import pcm as audio
from duologue.core import inputs

FRAME_MS = 20


class _Piece(msgspec.Struct):
    response_id: str
    item_id: str
    start_s: float
    samples: int
    offset: int
    """Samples of the item before this piece."""


class Player:
    """`news` says what was played since it was last asked."""

    def __init__(self) -> None:
        self._pieces: list[_Piece] = []
        self._told: dict[str, int] = {}
        self._lengths: dict[str, int] = {}
        self._free_s = 0.0

    def play(self, response_id: str, item_id: str, pcm: bytes, now: float) -> tuple[float, float]:
        """Queue a piece; returns when its first frame and its last have gone out."""
        start_s, samples = max(self._free_s, now), audio.samples(pcm)
        offset = self._lengths.get(item_id, 0)
        self._pieces.append(_Piece(response_id, item_id, start_s, samples, offset))
        self._lengths[item_id] = offset + samples
        self._free_s = start_s + samples / audio.RATE_HZ
        return start_s + FRAME_MS / 1000, self._free_s

    def stop(self, response_id: str, now: float) -> None:
        """Play no more of a response."""
        kept = [piece for piece in self._pieces if piece.response_id != response_id]
        if len(kept) < len(self._pieces):
            self._pieces, self._free_s = kept, now

    def news(self, now: float) -> list[inputs.Played]:
        """What has been played of each item, where that is more than was told before."""
        played: dict[str, int] = {}
        for piece in self._pieces:
            frames = math.floor((now - piece.start_s) * 1000 / FRAME_MS + 1e-6)
            done = min(piece.samples, max(0, frames) * audio.samples_of_ms(FRAME_MS))
            if now >= piece.start_s + piece.samples / audio.RATE_HZ - 1e-9:
                done = piece.samples
            if done:
                played[piece.item_id] = piece.offset + done
        fresh = {key: value for key, value in played.items() if value > self._told.get(key, 0)}
        self._told.update(fresh)
        return [inputs.Played(item_id, samples) for item_id, samples in fresh.items()]
