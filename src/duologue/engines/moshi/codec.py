"""Mimi in a stream, for many conversations: a frame of sound to codes, codes to a frame of sound.

The layers are those of transformers; what is between two frames of a conversation is kept here.
A convolution needs the end of what it saw before; a transposed one has sounded into the next
frame already, and that is added there. A frame at a time gives what all at once would give.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.models.mimi.modeling_mimi import MimiConv1d, MimiConvTranspose1d, MimiResnetBlock

from duologue.engines.moshi.ring import Ring


class Past:
    """What each convolution saw last, by its `layer_idx`: satisfies Mimi's padding cache."""

    def __init__(self, convolutions: Sequence[Any], slots: int, device: torch.device) -> None:
        self._past = [
            torch.zeros(
                (slots, each.in_channels, int(each.padding_total)),
                dtype=each.conv.weight.dtype,
                device=device,
            )
            for each in convolutions
        ]
        self._copies_first = [each.pad_mode == "replicate" for each in convolutions]
        self._is_new = torch.ones((slots, 1, 1), dtype=torch.bool, device=device)
        self._steps = torch.zeros_like(self._is_new)

    def begin(self, rows: Tensor) -> None:
        """Step in `rows`, a mask (slots,)."""
        self._steps = rows[:, None, None]

    def end(self) -> None:
        self._is_new = self._is_new & ~self._steps

    def update(self, hidden: Tensor, layer_idx: int) -> Tensor:
        """What stands before `hidden` (slots, channels, time), whose end is kept for the next."""
        past = self._past[layer_idx]
        length = past.shape[-1]
        if not length:
            return past
        if self._copies_first[layer_idx]:
            past = torch.where(self._is_new, hidden[..., :1], past)
        after = torch.cat([past, hidden], dim=-1)[..., -length:]
        self._past[layer_idx] = torch.where(self._steps, after, self._past[layer_idx])
        return past

    def reset(self, slot: int) -> None:
        self._is_new[slot] = True
        for past in self._past:
            past[slot] = 0


class Overlap:
    """One transposed convolution, whose sound runs on into the next frame."""

    def __init__(self, layer: Any, slots: int, device: torch.device) -> None:
        self._layer = layer.conv
        self._length = layer.conv.kernel_size[0] - layer.conv.stride[0]
        shape = (slots, layer.conv.out_channels, self._length)
        self._tail = torch.zeros(shape, dtype=layer.conv.weight.dtype, device=device)

    def step(self, hidden: Tensor, rows: Tensor) -> Tensor:
        """(slots, channels, time) to (slots, channels, time times stride)."""
        sound = self._layer(hidden)
        sound[..., : self._length] += self._tail
        now, tail = sound[..., : -self._length], sound[..., -self._length :]
        if self._layer.bias is not None:  # it comes once with each frame
            tail = tail - self._layer.bias[:, None]
        self._tail = torch.where(rows[:, None, None], tail, self._tail)
        return now

    def reset(self, slot: int) -> None:
        self._tail[slot] = 0


class Encoder:
    """Sound to codes."""

    def __init__(self, mimi: Any, codebooks: int, slots: int, device: torch.device) -> None:
        self._encoder, self._quantizer, self._codebooks = mimi.encoder, mimi.quantizer, codebooks
        seanet = mimi.encoder.encoder_seanet
        convolutions = [seanet.get_submodule(name) for name in seanet._conv1d_layer_names]
        self._past = Past([*convolutions, mimi.encoder.downsample], slots, device)
        self._transformer = _Transformer(mimi.encoder.encoder_transformer, slots, device)

    def step(self, sound: Tensor, rows: Sequence[int]) -> Tensor:
        """(slots, samples) of -1..1 to codes (slots, codebooks)."""
        self._past.begin(_mask(rows, sound))
        hidden = self._encoder.encoder_seanet(sound[:, None], padding_cache=self._past)
        hidden = self._transformer.step(hidden, rows)
        latents = self._encoder.downsample(hidden, padding_cache=self._past)
        self._past.end()
        codes: Tensor = self._quantizer.encode(latents, self._codebooks)
        return codes[..., 0].transpose(0, 1)

    def reset(self, slot: int) -> None:
        self._past.reset(slot)
        self._transformer.reset(slot)


class Decoder:
    """Codes to sound."""

    def __init__(self, mimi: Any, slots: int, device: torch.device) -> None:
        self._quantizer = mimi.quantizer
        self._layers = list(mimi.decoder.decoder_seanet.layers)
        convolutions = [
            each for each in mimi.decoder.decoder_seanet.modules() if isinstance(each, MimiConv1d)
        ]
        for index, convolution in enumerate(convolutions):
            convolution.layer_idx = index  # transformers numbers those of the encoder only
        self._past = Past(convolutions, slots, device)
        self._transformer = _Transformer(mimi.decoder.decoder_transformer, slots, device)
        self._upsample = Overlap(mimi.decoder.upsample, slots, device)
        self._overlaps = {
            index: Overlap(layer, slots, device)
            for index, layer in enumerate(self._layers)
            if isinstance(layer, MimiConvTranspose1d)
        }

    def step(self, codes: Tensor, rows: Sequence[int]) -> Tensor:
        """Codes (slots, codebooks) to (slots, samples)."""
        steps = _mask(rows, codes)
        latents = self._quantizer.decode(codes[..., None])
        self._past.begin(steps)
        hidden = self._transformer.step(self._upsample.step(latents, steps), rows)
        for index, layer in enumerate(self._layers):
            if index in self._overlaps:
                hidden = self._overlaps[index].step(hidden, steps)
            elif isinstance(layer, MimiConv1d | MimiResnetBlock):
                hidden = layer(hidden, padding_cache=self._past)
            else:
                hidden = layer(hidden)
        self._past.end()
        return hidden[:, 0]

    def reset(self, slot: int) -> None:
        self._past.reset(slot)
        self._transformer.reset(slot)
        for overlap in (self._upsample, *self._overlaps.values()):
            overlap.reset(slot)


class _Transformer:
    """One of Mimi's two transformers, on two positions a frame."""

    def __init__(self, transformer: Any, slots: int, device: torch.device) -> None:
        config = transformer.config
        self._module = transformer
        self._ring = Ring(
            transformer.layers, slots, config.sliding_window, config.latent_stride, device
        )

    def step(self, hidden: Tensor, rows: Sequence[int]) -> Tensor:
        """(slots, channels, time) to the same."""
        positions, mask = self._ring.begin(rows)
        hidden = hidden.transpose(1, 2)
        angles = self._module.rotary_emb(hidden, positions)
        for layer in self._module.layers:
            hidden = layer(
                hidden, attention_mask=mask, cache=self._ring, position_embeddings=angles
            )
        return hidden.transpose(1, 2)

    def reset(self, slot: int) -> None:
        self._ring.reset(slot)


def _mask(rows: Sequence[int], like: Tensor) -> Tensor:
    mask = torch.zeros(like.shape[0], dtype=torch.bool, device=like.device)
    mask[list(rows)] = True
    return mask
