"""The key-value state of a language model as a value: branches cannot write into each other."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True)
class State:
    """Keys and values of all positions so far, with the positions that are only padding.

    Choice: immutable, where transformers' cache is written in place; a teacher, a bottleneck and
    several questions then share one prefix without copying and without seeing each other.
    """

    layers: tuple[
        tuple[Float[Tensor, "batch head seq headdim"], Float[Tensor, "batch head seq headdim"]], ...
    ]
    """Keys and values by layer."""
    mask: Bool[Tensor, "batch seq"]
    """False at padding."""
    next_position: Int[Tensor, " batch"]
    """Position of the next token of each row."""

    @property
    def length(self) -> int:
        """Number of positions, padding included."""
        return self.mask.shape[1]

    def rows(self, index: Int[Tensor, " row"]) -> State:
        """Return the state with the rows `index`, which may repeat; gradients flow."""
        each = len(index) // len(self.mask)
        every = torch.arange(len(self.mask), device=index.device).repeat_interleave(each)
        if not torch.equal(index, every):
            layers = tuple((k[index], v[index]) for k, v in self.layers)
        elif each == 1:  # one question a video: nothing is copied
            layers = self.layers
        else:  # gradients of equal repeats are a plain sum, which is faster than a scattered one
            layers = tuple(
                (k.repeat_interleave(each, 0), v.repeat_interleave(each, 0)) for k, v in self.layers
            )
        return State(layers, self.mask[index], self.next_position[index])

    def window(self, start: int, stop: int, next_position: Int[Tensor, " batch"]) -> State:
        """Return the state of some positions only; `next_position` says where it goes on."""
        layers = tuple((k[:, :, start:stop], v[:, :, start:stop]) for k, v in self.layers)
        return State(layers, self.mask[:, start:stop], next_position)

    def copied(self) -> State:
        """Return the state in memory of its own: a window would hold on to all that it is of."""
        layers = tuple((k.clone(), v.clone()) for k, v in self.layers)
        return State(layers, self.mask, self.next_position)

    def joined(self, *others: State) -> State:
        """Return this state followed by the positions of others; the last says where it goes on."""
        states = (self, *others)
        layers = tuple(
            (
                torch.cat([keys for keys, _ in layer], 2),
                torch.cat([values for _, values in layer], 2),
            )
            for layer in zip(*(state.layers for state in states), strict=True)
        )
        mask = torch.cat([state.mask for state in states], 1)
        return State(layers, mask, states[-1].next_position)

    def detach(self) -> State:
        """Return the state without gradient."""
        layers = tuple((k.detach(), v.detach()) for k, v in self.layers)
        return State(layers, self.mask, self.next_position)


@dataclass(frozen=True)
class Extension:
    """What running more positions gave."""

    hidden: Float[Tensor, "batch seq dim"]
    """Last-layer hidden states after the final norm."""
    by_layer: tuple[Float[Tensor, "batch seq dim"], ...]
    """Hidden states after each layer that was asked for, the last one after the final norm."""
    state: State
