"""Running mean and variance."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn


@dataclass(frozen=True)
class Moments:
    """Mean and variance over the rows of a batch."""

    mean: Float[Tensor, "..."]
    variance: Float[Tensor, "..."]

    @classmethod
    def of(cls, x: Float[Tensor, "row ..."]) -> "Moments":
        """Return the moments of a batch, without gradient."""
        x = x.detach().float()
        return cls(x.mean(0), x.var(0, correction=0))

    def cpu(self) -> "Moments":
        """Return a copy in main memory."""
        return Moments(self.mean.cpu(), self.variance.cpu())

    def standardise(self, x: Float[Tensor, "row ..."]) -> Float[Tensor, "row ..."]:
        """Return (x - mean) / (deviation + 1e-4)."""
        return (x - self.mean) / (self.variance.sqrt() + 1e-4)


class RunningMoments(nn.Module):
    """Exponential moving average of moments over batches; the first batch initialises it."""

    mean: Tensor
    variance: Tensor
    started: Tensor
    """Whether there was a first batch."""

    def __init__(self, shape: tuple[int, ...], momentum: float) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("variance", torch.ones(shape))
        self.register_buffer("started", torch.zeros((), dtype=torch.bool))

    def now(self, batch: Moments) -> Moments:
        """Return the running moments, or those of `batch` before the first update."""
        return Moments(self.mean, self.variance) if self.started else batch

    @torch.no_grad()
    def update(self, batch: Moments) -> None:
        """Update the average with the moments of a batch."""
        weight = 1 - self.momentum if self.started else 1.0
        self.mean.lerp_(batch.mean.to(self.mean), weight)
        self.variance.lerp_(batch.variance.to(self.variance), weight)
        self.started.fill_(True)
