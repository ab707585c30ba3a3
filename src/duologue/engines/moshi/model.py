"""Moshi and Mimi as one model of frames: satisfies `FrameModel`.

Frames of sound go through the codec, the language model and the codec again, those of all places
in one step. The batch always has every place, idle ones masked: so a conversation's numbers are
the same, bit for bit, whoever else talks; and a step costs the same for one place as for all.
"""

from collections.abc import Mapping

import numpy as np
import torch

from duologue.engines.moshi.codec import Decoder, Encoder
from duologue.engines.moshi.frames import FRAME_BYTES, SILENCE, Spoken
from duologue.engines.moshi.language import USUAL, Language, Sampling
from duologue.engines.moshi.weights import Weights

FULL_SCALE = 32768


class MoshiFrames:
    """Satisfies `FrameModel`. The first frame that a place hears only starts the model."""

    def __init__(self, weights: Weights, slots: int, sampling: Sampling = USUAL) -> None:
        moshi, self._device = weights.moshi, weights.device
        self.slots = slots
        self._steps = [0] * slots
        self._encoder = Encoder(
            moshi.audio_encoder, moshi.config.num_codebooks, slots, self._device
        )
        self._decoder = Decoder(moshi.audio_encoder, slots, self._device)
        self._language = Language(moshi, slots, self._device, sampling)
        self._sound = np.zeros((slots, FRAME_BYTES // 2), np.float32)

    def reset(self, slot: int, seed: int) -> None:
        with torch.inference_mode():
            self._steps[slot] = 0
            self._encoder.reset(slot)
            self._decoder.reset(slot)
            self._language.reset(slot, seed)

    def step(self, heard: Mapping[int, bytes]) -> Mapping[int, Spoken]:
        rows = sorted(heard)
        self._sound[:] = 0
        for row in rows:
            self._sound[row] = np.frombuffer(heard[row], "<i2")
        with torch.inference_mode():
            sound = torch.from_numpy(self._sound / FULL_SCALE).to(self._device)
            text, codes = self._language.step(self._encoder.step(sound, rows), rows)
            speaking = [row for row in rows if self._steps[row]]
            spoken = {row: Spoken(None, SILENCE) for row in rows}
            if speaking:
                out = self._decoder.step(codes, speaking).float().cpu().numpy()
                tokens = text.tolist()
                for row in speaking:
                    spoken[row] = Spoken(tokens[row], _pcm(out[row]))
        for row in rows:
            self._steps[row] += 1
        return spoken


def _pcm(sound: np.ndarray) -> bytes:
    limited = np.clip(np.rint(sound * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1)
    pcm: bytes = limited.astype("<i2").tobytes()
    return pcm
