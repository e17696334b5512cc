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


def instance_loss(
    latents: Float[Tensor, "batch latent dim"],
    reference: Float[Tensor, "row latent dim"],
    floor: float,
) -> Float[Tensor, ""]:
    """Return the mean over latents and channels of max(0, floor - deviation / rms).

    `deviation` is the standard deviation over the rows of the reference, and `rms` the RMS of all
    its values. The loss is expanded to first order around the reference: each triplet of the batch
    adds what its squared distance from the reference's mean changes in the variance. That makes it
    a mean over triplets, so its gradient does not depend on how a step is divided into micro
    batches. With the batch itself as reference it is the loss above, in value and in gradient.

    The loss is 0 for a reference of less than two rows.

    Args:
        latents: Latents of the batch.
        reference: Latents of other triplets, or of the batch; no gradient reaches them.
        floor: Relative deviation from which a channel costs nothing.
    """
    if len(reference) < 2:
        return latents.new_zeros(())
    reference = reference.detach()
    rms = reference.square().mean().sqrt() + 1e-8
    variance, mean = torch.var_mean(reference, 0, correction=0)  # both (latent, dim)
    # Source of the small term: VICReg (Bardes et al. 2022). It bounds the gradient at latents that
    # were all the same.
    deviation = (variance + 1e-4 * rms.square()).sqrt()
    gap = floor - deviation / rms
    # The derivative of deviation / rms by the variance is 1 / (2 deviation rms).
    change = ((latents - mean).square() - variance) / (2 * deviation * rms)
    return torch.where(gap > 0, gap - change, 0.0).mean()


class Diversity(nn.Module):
    """Diversity loss: slot loss plus instance loss.

    The slot loss is taken on latents minus the running mean of each latent. The instance loss
    compares them with a queue of latents from earlier steps, so that it works with small batches.

    Source: latent diversity (abstract). Choice: everything else. One mean over all latents would be
    wrong: K constant, mutually orthogonal vectors would satisfy the slot loss. Both statistics come
    from earlier steps and are updated once per step (`remember`), so that the loss of a triplet
    does not depend on its micro batch. The first step only measures them: see `ready`.

    Args:
        num_latents: Number of latents K of a triplet.
        dim: Width of a latent.
        similarity: Threshold of the slot loss.
        deviation: Floor of the instance loss.
        queue: Number of earlier triplets in the queue. With 0, the instance loss takes each micro
            batch alone, and depends on its size.
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

    @property
    def ready(self) -> bool:
        """Whether an earlier step has set the statistics, which the loss needs."""
        return bool(self.moments.started)

    def forward(self, latents: Float[Tensor, "batch latent dim"]) -> Float[Tensor, ""]:
        """Return the loss; the caller passes all latents of the step to `remember` at its end."""
        slots = slot_loss(latents - self.moments.mean, self.similarity)
        reference = self.queue[: int(self.filled)] if len(self.queue) else latents
        return slots + instance_loss(latents, reference, self.deviation)

    @torch.no_grad()
    def remember(self, latents: Float[Tensor, "batch latent dim"]) -> None:
        """Update the running mean with the latents of a step, and put them first in the queue."""
        latents = latents.to(self.queue)
        self.moments.update(Moments.of(latents))
        size = len(self.queue)
        newest = torch.cat((latents, self.queue[: int(self.filled)]))[:size]
        self.queue[: len(newest)] = newest
        self.filled.fill_(len(newest))
