"""Latent alignment: latents become like those of a teacher that knows the answer."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from videolatent_cli.objectives.moments import Moments, RunningMoments


class Alignment(nn.Module):
    """Alignment loss: mean over layers and positions of 1 - cos(P(student), standardised teacher).

    Source: latent alignment (abstract).

    Choice: targets are standardised per layer and channel with running moments, since the raw
    cosines of hidden states are near 1 in any case. Each layer has a predictor P, d -> d/4 -> d,
    that is dropped after training. The moments come from earlier steps and are updated once per
    step (`remember`), so that the loss of a triplet does not depend on its micro batch. The first
    step with a teacher only measures them: see `ready`.

    Args:
        num_layers: Number of compared layers.
        dim: Width d of the language model.
        momentum: Momentum of the running moments.
    """

    def __init__(self, num_layers: int, dim: int, momentum: float) -> None:
        super().__init__()
        self.moments = nn.ModuleList(RunningMoments((dim,), momentum) for _ in range(num_layers))
        self.predictors = nn.ModuleList(
            nn.Sequential(nn.Linear(dim, dim // 4), nn.GELU(), nn.Linear(dim // 4, dim))
            for _ in range(num_layers)
        )

    @property
    def ready(self) -> bool:
        """Whether an earlier step has set the moments, which the loss needs."""
        return all(bool(running.started) for running in self.moments)

    def forward(
        self,
        student: tuple[Float[Tensor, "batch position dim"], ...],
        teacher: tuple[Float[Tensor, "batch position dim"], ...],
    ) -> Float[Tensor, ""]:
        """Return the loss, in [0, 2]; no gradient reaches the teacher.

        Args:
            student: Hidden states of the student, one entry per compared layer.
            teacher: Hidden states of the teacher at the same layers and positions.
        """
        losses = []
        for running, predict, ours, theirs in zip(
            self.moments, self.predictors, student, teacher, strict=True
        ):
            assert isinstance(running, RunningMoments)
            target = running.standardise(theirs.detach().float())
            losses.append(1 - F.cosine_similarity(predict(ours.float()), target, dim=-1).mean())
        return torch.stack(losses).mean()

    def remember(self, teacher: tuple[Moments, ...]) -> None:
        """Update the running moments with those of all teacher states of a step, one per layer."""
        for running, step in zip(self.moments, teacher, strict=True):
            assert isinstance(running, RunningMoments)
            running.update(step)


def moments_of(states: tuple[Float[Tensor, "batch position dim"], ...]) -> tuple[Moments, ...]:
    """Return the moments of hidden states over batch and positions, one entry per layer."""
    return tuple(Moments.of(layer.flatten(0, 1)) for layer in states)
