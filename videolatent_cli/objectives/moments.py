"""Moments of a batch, their merging, and their running average."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True)
class Moments:
    """Mean and variance over a number of rows."""

    mean: Float[Tensor, ...]
    variance: Float[Tensor, ...]
    count: int
    """Number of rows."""

    @classmethod
    def of(cls, x: Float[Tensor, "row ..."]) -> Moments:
        """Return the moments of a batch, without gradient."""
        x = x.detach().float()
        return cls(x.mean(0), x.var(0, correction=0), len(x))

    @classmethod
    def merged(cls, parts: Iterable[Moments]) -> Moments:
        """Return the moments of all rows of several batches together."""
        return reduce(cls._joined, parts)

    def _joined(self, other: Moments) -> Moments:
        """Return the moments of the rows of both.

        Source: Chan, Golub and LeVeque 1983, for means instead of sums.
        """
        count = self.count + other.count
        share = other.count / count
        distance = other.mean - self.mean
        return Moments(
            self.mean + share * distance,
            # The variance within the two, and that between their means.
            torch.lerp(self.variance, other.variance, share)
            + share * (1 - share) * distance.square(),
            count,
        )

    def cpu(self) -> Moments:
        """Return a copy in main memory."""
        return Moments(self.mean.cpu(), self.variance.cpu(), self.count)


class RunningMoments(nn.Module):
    """Exponential moving average of moments over steps; the first step initialises it.

    Choice: one update per step, with the moments of all rows of the step. What the average is does
    then not depend on how a step is divided into micro batches.
    """

    mean: Tensor
    variance: Tensor
    started: Tensor
    """Whether there was a first update."""

    def __init__(self, shape: tuple[int, ...], momentum: float) -> None:
        super().__init__()
        self.momentum = momentum
        # Names of buffers are keys of checkpoints.
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("variance", torch.ones(shape))
        self.register_buffer("started", torch.zeros((), dtype=torch.bool))

    def standardise(self, x: Float[Tensor, "row ..."]) -> Float[Tensor, "row ..."]:
        """Return (x - mean) / (deviation + 1e-4)."""
        return (x - self.mean) / (self.variance.sqrt() + 1e-4)

    @torch.no_grad()
    def update(self, step: Moments) -> None:
        """Update the average with the moments of a step."""
        weight = 1 - self.momentum if self.started else 1.0
        self.mean.lerp_(step.mean.to(self.mean), weight)
        self.variance.lerp_(step.variance.to(self.variance), weight)
        self.started.fill_(True)
