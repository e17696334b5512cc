"""Ablations: answers with the latents switched off or replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Ablation = Literal["on", "off", "markers", "zero", "mean", "shuffle", "noise"]
ABLATIONS: tuple[Ablation, ...] = ("on", "off", "markers", "zero", "mean", "shuffle", "noise")
REPLACING: tuple[Ablation, ...] = ("zero", "mean", "shuffle", "noise")
"""Ablations that replace each latent by another vector."""


class Replacement:
    """Callable that replaces each block of latents by the same block of other latents.

    A rollout calls it once per block, in order.

    Args:
        latents: Replacements for the latents of all blocks, (batch, latent, dim).
    """

    def __init__(self, latents: Tensor) -> None:
        self._rest = latents

    def __call__(self, own: Tensor) -> Tensor:
        """Return the next block of replacements, with the shape of `own`."""
        count = own.shape[1]
        block, self._rest = self._rest[:, :count], self._rest[:, count:]
        return block.to(own)


def other_rows(answers: Sequence[str], videos: Sequence[int], seed: int) -> list[int]:
    """Return another row for each row: of another video and with another answer, if possible.

    Choice: a swap between questions with the same answer could not change the answer.
    """
    order = torch.randperm(len(answers), generator=torch.Generator().manual_seed(seed)).tolist()
    chosen = []
    for row, answer in enumerate(answers):
        start = order.index(row)
        others = [order[(start + step) % len(order)] for step in range(1, len(order))]
        other_video = [other for other in others if videos[other] != videos[row]]
        other_answer = [other for other in other_video if answers[other] != answer]
        chosen.append((other_answer or other_video or others or [row])[0])
    return chosen


def replacement(
    ablation: Ablation, own: Tensor, mean: Tensor, others: list[int], seed: int
) -> Callable[[Tensor], Tensor]:
    """Return the function by which an ablation replaces each block of latents.

    Args:
        ablation: `zero`, `mean`, `shuffle` or `noise`.
        own: Latents of the batch, (batch, latent, dim).
        mean: Mean latents over the evaluation set, (latent, dim).
        others: For `shuffle`: the row that each row takes its latents from.
        seed: Seed of the noise, which has the RMS of the latent that it replaces.
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
            scale = own.square().mean(-1, keepdim=True).sqrt()  # RMS of each latent
            return Replacement(noise * scale)
    raise ValueError(f"ablation {ablation} replaces nothing")
