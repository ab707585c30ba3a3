"""Moshi's language model, one frame of many conversations at a time.

The user's codes of a frame go in; out come the text token and the codes of the model's own
sound. The temporal transformer makes one step a frame, over the sum of the embeddings of all
streams; the depth transformer then writes that frame's codes one after the other. Acoustic codes
are one frame behind the semantic one (codebook 0), of both speakers, so a frame of own sound is
whole one step after it was begun; the text token that comes with it is of the same moment.

transformers' `generate` knows its whole input beforehand, so the loop is ours; every layer is
transformers'.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import torch
from torch import Tensor

from duologue.engines.moshi.ring import Ring


class Sampling(msgspec.Struct, frozen=True):
    """How tokens are drawn; a temperature of 0 takes the likeliest. Moshi's own defaults."""

    text_temperature: float = 0.7
    text_top: int = 25
    audio_temperature: float = 0.8
    audio_top: int = 250


USUAL = Sampling()


class Language:
    """The places' tokens of the frame before, and the two transformers."""

    def __init__(
        self, moshi: Any, slots: int, device: torch.device, sampling: Sampling = USUAL
    ) -> None:
        config = moshi.config
        self._moshi, self._device, self._sampling = moshi, device, sampling
        self._codebooks: int = config.num_codebooks
        self._no_text, self._no_audio = config.vocab_size, config.audio_vocab_size
        self._text_top = min(sampling.text_top, config.vocab_size)
        self._audio_top = min(sampling.audio_top, config.audio_vocab_size)
        self._ring = Ring(moshi.decoder.model.layers, slots, config.sliding_window, 1, device)
        self._depth = _DepthCache(moshi.depth_decoder, slots, device)
        self._indexes = [torch.tensor([k], device=device) for k in range(self._codebooks)]
        self._count = torch.zeros(slots, dtype=torch.long, device=device)
        self._text = torch.zeros(slots, dtype=torch.long, device=device)
        codes = (slots, self._codebooks)
        self._said = torch.zeros(codes, dtype=torch.long, device=device)
        self._heard = torch.zeros(codes, dtype=torch.long, device=device)
        self._noise = torch.ones(
            (slots, self._text_top + self._codebooks * self._audio_top), device=device
        )
        self._draws = [torch.Generator(device) for _ in range(slots)]

    def step(self, heard: Tensor, rows: Sequence[int]) -> tuple[Tensor, Tensor]:
        """The user's codes (slots, codebooks) to text (slots,) and own codes (slots, codebooks).

        What comes out of a place's first step is of no use: no frame is whole yet.
        """
        for row in rows:
            self._noise[row].exponential_(generator=self._draws[row])
        noise = self._noise.split([self._text_top, *[self._audio_top] * self._codebooks], dim=1)
        hidden = self._temporal(self._embedded(heard), rows)
        text = self._draw(
            self._moshi.decoder.lm_head(hidden),
            noise[0],
            self._sampling.text_temperature,
        )
        said = self._codes(hidden, text, noise[1:])
        whole = torch.cat([self._said[:, :1], said[:, 1:]], dim=1)
        before = self._text
        steps = torch.zeros_like(self._count, dtype=torch.bool)
        steps[list(rows)] = True
        self._count = self._count + steps
        self._text = torch.where(steps, text, before)
        self._said = torch.where(steps[:, None], said, self._said)
        self._heard = torch.where(steps[:, None], heard, self._heard)
        return before, whole

    def _embedded(self, heard: Tensor) -> Tensor:
        """The input of the temporal transformer (slots, 1, width)."""
        first, second = self._count == 0, self._count <= 1
        text = self._text.masked_fill(first, self._no_text)
        late = second[:, None].expand(-1, self._codebooks).clone()
        late[:, 0] = first
        said = self._said.masked_fill(late, self._no_audio)
        user = torch.cat([heard[:, :1], self._heard[:, 1:]], dim=1)
        codes = torch.cat([said, user.masked_fill(late, self._no_audio)], dim=1)
        embedded: Tensor = self._moshi.decoder.model.embed_tokens(text)
        for table, column in zip(self._moshi.embed_tokens, codes.unbind(1), strict=True):
            embedded = embedded + table(column)
        return embedded[:, None]

    def _temporal(self, hidden: Tensor, rows: Sequence[int]) -> Tensor:
        model = self._moshi.decoder.model
        positions, mask = self._ring.begin(rows)
        for layer in model.layers:
            hidden = layer(hidden, attention_mask=mask, position_ids=positions, cache=self._ring)
        normed: Tensor = model.norm(hidden)
        return normed[:, 0]

    def _codes(self, hidden: Tensor, text: Tensor, noise: Sequence[Tensor]) -> Tensor:
        """The depth transformer: codebook after codebook, from the text token on."""
        depth = self._moshi.depth_decoder
        self._depth.begin()
        token, codes = text, []
        for k, index in enumerate(self._indexes):
            table = depth.embed_tokens[k - 1] if k else depth.text_embed_tokens
            step = table(token)[:, None] + depth.input_projections(hidden[:, None], index)
            for layer in depth.layers:
                step = layer(step, cache=self._depth, codebook_idx=index)
            self._depth.next()
            logits = depth.lm_heads(step, index)[:, 0]
            token = self._draw(logits, noise[k], self._sampling.audio_temperature)
            codes.append(token)
        return torch.stack(codes, dim=1)

    def _draw(self, logits: Tensor, noise: Tensor, temperature: float) -> Tensor:
        """A token of each place, from its own noise, so that nobody else's draws matter."""
        if temperature == 0:
            return logits.argmax(-1)
        best, tokens = logits.float().topk(noise.shape[-1], dim=-1)
        choice = ((best / temperature).softmax(-1) / noise).argmax(-1, keepdim=True)
        return tokens.gather(1, choice)[:, 0]

    def reset(self, slot: int, seed: int) -> None:
        self._ring.reset(slot)
        self._count[slot] = 0
        self._text[slot] = 0
        self._said[slot] = 0
        self._heard[slot] = 0
        self._noise[slot] = 1
        self._draws[slot].manual_seed(seed)


class _DepthCache:
    """Keys and values of one frame's codebooks: written over by every frame."""

    def __init__(self, depth: Any, slots: int, device: torch.device) -> None:
        attention = depth.layers[0].self_attn
        weight = next(attention.k_proj.parameters())
        heads, width = attention.num_key_value_heads, attention.head_dim
        shape = (2, len(depth.layers), slots, heads, depth.config.num_codebooks, width)
        self._both = torch.zeros(shape, dtype=weight.dtype, device=device)
        self._count = 0

    def begin(self) -> None:
        self._count = 0

    def next(self) -> None:
        self._count += 1

    def update(
        self, keys: Tensor, values: Tensor, layer_idx: int, **_: Any
    ) -> tuple[Tensor, Tensor]:
        for new, old in zip((keys, values), self._both[:, layer_idx], strict=True):
            old[:, :, self._count] = new[:, :, 0]
        found = self._both[:, layer_idx, :, :, : self._count + 1]
        return found[0], found[1]
