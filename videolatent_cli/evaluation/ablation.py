"""What happens to the answers when the latents are replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Ablation = Literal["on", "off", "markers", "zero", "mean", "shuffle", "noise"]
ABLATIONS: tuple[Ablation, ...] = ("on", "off", "markers", "zero", "mean", "shuffle", "noise")
REPLACING: tuple[Ablation, ...] = ("zero", "mean", "shuffle", "noise")
"""Ablations that put something else in the place of each latent."""


class Replacement:
    """Replaces each block of latents by the same block of other latents.

    Args:
        latents: (batch, latent, dim), all blocks; takes the place of the model's own.
    """

    def __init__(self, latents: Tensor) -> None:
        self._rest = latents

    def __call__(self, own: Tensor) -> Tensor:
        """Return the next block, of the shape of `own`."""
        count = own.shape[1]
        block, self._rest = self._rest[:, :count], self._rest[:, count:]
        return block.to(own)


def other_rows(answers: Sequence[str], videos: Sequence[int], seed: int) -> list[int]:
    """Return for each row another row, of another video and with another answer if there is one.

    Choice: a swap between questions with the same answer could not change anything.
    """
    order = torch.randperm(len(answers), generator=torch.Generator().manual_seed(seed)).tolist()
    chosen = []
    for row, answer in enumerate(answers):
        start = order.index(row)
        turns = [order[(start + step) % len(order)] for step in range(1, len(order))]
        far = [o for o in turns if videos[o] != videos[row]]
        different = [o for o in far if answers[o] != answer]
        chosen.append((different or far or turns or [row])[0])
    return chosen


def replacement(
    ablation: Ablation, own: Tensor, mean: Tensor, others: list[int], seed: int
) -> Callable[[Tensor], Tensor]:
    """Return what an ablation puts in the latents' place.

    Args:
        ablation: `zero`, `mean`, `shuffle` or `noise`.
        own: The batch's own latents, (batch, latent, dim).
        mean: Mean latents over the evaluation set, (latent, dim).
        others: Row whose latents each row gets with `shuffle`.
        seed: Of the noise, which has the scale of each latent.
    """
    match ablation:
        case "zero":
            return Replacement(torch.zeros_like(own))
        case "mean":
            return Replacement(mean.expand_as(own))
        case "shuffle":
            return Replacement(own[others])
        case "noise":
            generator = torch.Generator().manual_seed(seed)
            noise = torch.randn(own.shape, generator=generator).to(own)
            scale = own.square().mean(-1, keepdim=True).sqrt()
            return Replacement(noise * scale)
    raise ValueError(f"ablation {ablation} replaces nothing")
