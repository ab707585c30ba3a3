"""The keys and values of a transformer for many conversations, each in a ring of its own.

A place of the batch is a conversation with its own position. What goes in: the rows that step;
what comes out: their positions, a mask, and to each attention layer the ring as its keys and
values. Nothing grows: what falls out of the window is written over.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

ROUND = 64
"""The part of the ring that is read grows in steps of so many places, so that shapes are few."""


class Ring:
    """Satisfies what transformers' attention layers ask of a cache.

    `window`: how many positions a query sees, itself included; `step`: positions per call.
    """

    def __init__(
        self,
        layers: Sequence[Any],
        slots: int,
        window: int,
        step: int,
        device: torch.device,
    ) -> None:
        attention = layers[0].self_attn
        weight = next(attention.k_proj.parameters())
        self._size = window + step - 1
        shape = (slots, self._size, attention.num_key_value_heads, attention.head_dim)
        make = {"dtype": weight.dtype, "device": device}
        self._keys = [torch.zeros(shape, **make) for _ in layers]
        self._values = [torch.zeros(shape, **make) for _ in layers]
        self._window, self._step, self._device = window, step, device
        self._next = [0] * slots
        self._held = torch.full((slots, self._size), -1, device=device)
        """The position that each place of the ring holds; -1: none."""
        self._rows = self._places = torch.empty(0)
        self._read = 0

    def begin(self, rows: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Step in `rows`: positions (slots, step) of all, mask (slots, 1, step, places read).

        A row that does not step has a position all the same, which nobody looks at.
        """
        first = torch.tensor(self._next, device=self._device)
        positions = first[:, None] + torch.arange(self._step, device=self._device)
        self._rows = torch.tensor(rows, device=self._device)
        self._places = (positions % self._size)[self._rows]
        self._held[self._rows[:, None], self._places] = positions[self._rows]
        for row in rows:
            self._next[row] += self._step
        most = -(-max(self._next[row] for row in rows) // ROUND) * ROUND
        self._read = min(self._size, most)
        held = self._held[:, None, : self._read]
        query = positions[:, :, None]
        mask = (held >= 0) & (held <= query) & (held > query - self._window)
        # Softmax over nothing is no number; a row that is idle and empty may see zeros instead.
        return positions, (mask | ~mask.any(-1, keepdim=True))[:, None]

    def update(
        self, keys: Tensor, values: Tensor, layer_idx: int, **_: Any
    ) -> tuple[Tensor, Tensor]:
        """New keys and values (slots, heads, step, width) in; those of the ring out."""
        found = []
        for new, old in ((keys, self._keys[layer_idx]), (values, self._values[layer_idx])):
            old[self._rows[:, None], self._places] = new.transpose(1, 2)[self._rows]
            found.append(old[:, : self._read].transpose(1, 2))
        return found[0], found[1]

    def reset(self, slot: int) -> None:
        """Forget a conversation."""
        self._next[slot] = 0
        self._held[slot] = -1
        for tensor in (*self._keys, *self._values):
            tensor[slot] = 0
