"""Latent diversity: latents differ from each other, and from those of other questions."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from videolatent_cli.objectives.moments import Moments, RunningMoments


def slot_loss(centred: Float[Tensor, "batch latent dim"], threshold: float) -> Float[Tensor, ""]:
    """Return the mean over pairs of latents of max(0, cos - threshold)^2; 0 for one latent."""
    count = centred.shape[1]
    if count < 2:
        return centred.new_zeros(())
    unit = F.normalize(centred, dim=-1)
    cosines = unit @ unit.transpose(1, 2)
    first, second = torch.triu_indices(count, count, 1)
    return (cosines[:, first, second] - threshold).clamp(min=0).square().mean()


def instance_loss(latents: Float[Tensor, "row latent dim"], floor: float) -> Float[Tensor, ""]:
    """Return the mean over latents and channels of max(0, floor - deviation over rows / rms)."""
    if len(latents) < 2:
        return latents.new_zeros(())
    rms = latents.detach().square().mean().sqrt() + 1e-8
    deviation = (latents.var(0, correction=0) + 1e-8 * rms.square()).sqrt()
    return (floor - deviation / rms).clamp(min=0).mean()


class Diversity(nn.Module):
    """Slot plus instance diversity, on latents centred by the running mean of each latent.

    Source: latent diversity (abstract). Choice: the rest. One global mean would be wrong: K
    constant, mutually orthogonal vectors would satisfy it.
    """

    queue: Tensor
    filled: Tensor

    def __init__(
        self,
        num_latents: int,
        dim: int,
        *,
        similarity: float,
        deviation: float,
        queue: int,
        momentum: float,
    ) -> None:
        super().__init__()
        self.similarity = similarity
        self.deviation = deviation
        self.moments = RunningMoments((num_latents, dim), momentum)
        self.register_buffer("queue", torch.zeros(queue, num_latents, dim))
        self.register_buffer("filled", torch.zeros((), dtype=torch.long))

    def forward(self, latents: Float[Tensor, "batch latent dim"]) -> Float[Tensor, ""]:
        """Return the loss; `remember` the latents once the step is over."""
        mean = self.moments.now(Moments.of(latents)).mean
        slots = slot_loss(latents - mean, self.similarity)
        rows = torch.cat((latents, self.queue[: int(self.filled)]))
        return slots + instance_loss(rows, self.deviation)

    @torch.no_grad()
    def remember(self, latents: Float[Tensor, "batch latent dim"]) -> None:
        """Move the mean towards these latents and put them in front of the queue."""
        latents = latents.to(self.queue)
        self.moments.update(Moments.of(latents))
        size = len(self.queue)
        kept = torch.cat((latents, self.queue[: int(self.filled)]))[:size]
        self.queue[: len(kept)] = kept
        self.filled.fill_(len(kept))
