"""Key-value state of a language model, as an immutable value that branches can share."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True)
class State:
    """Keys and values of all positions so far, and the mask of padding among them.

    Choice: immutable, unlike transformers' cache, which is written in place. The teacher, the
    bottleneck and several questions can then share one prefix without a copy, and none of them sees
    what another one appended.
    """

    layers: tuple[
        tuple[Float[Tensor, "batch head seq headdim"], Float[Tensor, "batch head seq headdim"]], ...
    ]
    """Keys and values of each layer."""
    mask: Bool[Tensor, "batch seq"]
    """False at padding."""
    next_position: Int[Tensor, " batch"]
    """Position id of the next token of each row."""

    @property
    def length(self) -> int:
        """Number of positions, padding included."""
        return self.mask.shape[1]

    def rows(self, index: Int[Tensor, " row"]) -> State:
        """Return the state with the rows `index`, which may repeat; gradients flow through."""
        repeats = len(index) // len(self.mask)
        # Index of every row in order, each repeated equally often: 0 0 0 1 1 1 ...
        uniform = torch.arange(len(self.mask), device=index.device).repeat_interleave(repeats)
        if not torch.equal(index, uniform):
            layers = tuple((k[index], v[index]) for k, v in self.layers)
        elif repeats == 1:  # one question per video: nothing to copy
            layers = self.layers
        else:  # the gradient is a sum over an axis, which is faster than a scattered sum
            layers = tuple(
                (k.repeat_interleave(repeats, 0), v.repeat_interleave(repeats, 0))
                for k, v in self.layers
            )
        return State(layers, self.mask[index], self.next_position[index])

    def window(self, start: int, stop: int, next_position: Int[Tensor, " batch"]) -> State:
        """Return the state of positions `start` to `stop` only, with its own `next_position`."""
        layers = tuple((k[:, :, start:stop], v[:, :, start:stop]) for k, v in self.layers)
        return State(layers, self.mask[:, start:stop], next_position)

    def copied(self) -> State:
        """Return a copy of the state; a window is a view and keeps the whole state in memory."""
        layers = tuple((k.clone(), v.clone()) for k, v in self.layers)
        return State(layers, self.mask, self.next_position)

    def joined(self, *others: State) -> State:
        """Return this state followed by the positions of others, with the last `next_position`."""
        states = (self, *others)
        layers = tuple(
            (
                torch.cat([keys for keys, _ in layer], 2),  # (batch, head, total seq, headdim)
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
    """Result of running more positions on a state."""

    hidden: Float[Tensor, "batch seq dim"]
    """Last-layer hidden states after the final norm."""
    by_layer: tuple[Float[Tensor, "batch seq dim"], ...]
    """Hidden states after each requested layer, for the last layer after the final norm."""
    state: State
    """State that includes the new positions."""
