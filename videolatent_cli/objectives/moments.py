"""Running mean and deviation."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class RunningMoments(nn.Module):
    """Mean and variance over the first axis, averaged over batches; the first batch sets them."""

    mean: Tensor
    variance: Tensor
    started: Tensor

    def __init__(self, shape: tuple[int, ...], momentum: float) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("variance", torch.ones(shape))
        self.register_buffer("started", torch.zeros((), dtype=torch.bool))

    @torch.no_grad()
    def update(self, x: Float[Tensor, "row ..."]) -> None:
        """Move towards the moments of a batch."""
        x = x.detach().float()
        weight = 1 - self.momentum if self.started else 1.0
        self.mean.lerp_(x.mean(0), weight)
        self.variance.lerp_(x.var(0, correction=0), weight)
        self.started.fill_(True)

    def standardise(self, x: Float[Tensor, "row ..."]) -> Float[Tensor, "row ..."]:
        """Return (x - mean) / deviation."""
        return (x - self.mean) / (self.variance.sqrt() + 1e-4)
