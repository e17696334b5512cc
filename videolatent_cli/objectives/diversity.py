"""Latent diversity: latents differ within a triplet and between triplets."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from videolatent_cli.objectives.moments import Moments, RunningMoments


def slot_loss(centred: Float[Tensor, "batch latent dim"], threshold: float) -> Float[Tensor, ""]:
    """Return the mean over pairs of latents of max(0, cos - threshold)^2; 0 for a single latent.

    Args:
        centred: Latents minus the mean of each latent.
        threshold: Cosine similarity up to which a pair costs nothing.
    """
    count = centred.shape[1]
    if count < 2:
        return centred.new_zeros(())
    unit = F.normalize(centred, dim=-1)
    cosines = unit @ unit.transpose(1, 2)  # (batch, latent, latent)
    first, second = torch.triu_indices(count, count, 1)  # each pair once, without the diagonal
    return (cosines[:, first, second] - threshold).clamp(min=0).square().mean()


def instance_loss(latents: Float[Tensor, "row latent dim"], floor: float) -> Float[Tensor, ""]:
    """Return the mean over latents and channels of max(0, floor - deviation / rms).

    `deviation` is the standard deviation over rows, and `rms` the RMS of all values. The loss is 0
    for a single row.

    Args:
        latents: Latents of several triplets.
        floor: Relative deviation from which a channel costs nothing.
    """
    if len(latents) < 2:
        return latents.new_zeros(())
    # The RMS is only the unit of the deviation, so no gradient flows through it.
    rms = latents.detach().square().mean().sqrt() + 1e-8
    # The small term keeps the square root's gradient finite at zero variance.
    deviation = (latents.var(0, correction=0) + 1e-8 * rms.square()).sqrt()
    return (floor - deviation / rms).clamp(min=0).mean()


class Diversity(nn.Module):
    """Diversity loss: slot loss plus instance loss.

    The slot loss is taken on latents minus the running mean of each latent. The instance loss also
    covers a queue of latents from earlier steps, so that it works with small batches.

    Source: latent diversity (abstract). Choice: everything else. One mean over all latents would be
    wrong: K constant, mutually orthogonal vectors would satisfy the slot loss.

    Args:
        num_latents: Number of latents K of a triplet.
        dim: Width of a latent.
        similarity: Threshold of the slot loss.
        deviation: Floor of the instance loss.
        queue: Number of earlier triplets in the queue.
        momentum: Momentum of the running mean.
    """

    queue: Tensor
    """Latents of earlier triplets, (row, latent, dim), the newest first."""
    filled: Tensor
    """Number of rows of the queue that are in use."""

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
        """Return the loss; the caller passes the latents to `remember` at the end of the step."""
        mean = self.moments.now(Moments.of(latents)).mean
        slots = slot_loss(latents - mean, self.similarity)
        rows = torch.cat((latents, self.queue[: int(self.filled)]))
        return slots + instance_loss(rows, self.deviation)

    @torch.no_grad()
    def remember(self, latents: Float[Tensor, "batch latent dim"]) -> None:
        """Update the running mean with these latents and put them at the front of the queue."""
        latents = latents.to(self.queue)
        self.moments.update(Moments.of(latents))
        size = len(self.queue)
        newest = torch.cat((latents, self.queue[: int(self.filled)]))[:size]
        self.queue[: len(newest)] = newest
        self.filled.fill_(len(newest))
