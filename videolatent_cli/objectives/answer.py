"""Answer loss: cross-entropy on answer tokens."""

from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F


def answer_losses(
    logits: Float[Tensor, "batch answer vocab"],
    ids: Int[Tensor, "batch answer"],
    mask: Bool[Tensor, "batch answer"],
) -> Float[Tensor, " batch"]:
    """Return -log p(answer) of each triplet, mean over its answer tokens (nats)."""
    losses = F.cross_entropy(logits.float().transpose(1, 2), ids, reduction="none")
    return (losses * mask).sum(1) / mask.sum(1)


def answer_loss(
    logits: Float[Tensor, "batch answer vocab"],
    ids: Int[Tensor, "batch answer"],
    mask: Bool[Tensor, "batch answer"],
) -> Float[Tensor, ""]:
    """Return -log p(answer), mean over the tokens of each triplet, then over triplets (nats)."""
    return answer_losses(logits, ids, mask).mean()
