"""Latent alignment: what the model thinks should be what it would think if it knew the answer."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from videolatent_cli.objectives.moments import Moments, RunningMoments


class Alignment(nn.Module):
    """Mean over layers and positions of 1 - cos(P(student), standardised teacher).

    Source: latent alignment (abstract). Choice: targets are standardised per layer and channel by
    running moments, since raw cosines of hidden states are near 1 for free; each layer has a
    predictor d -> d/4 -> d that is dropped after training. The moments move once a step
    (`remember`), so that the micro batches of a step can be run in any order and place.
    """

    def __init__(self, num_layers: int, dim: int, momentum: float) -> None:
        super().__init__()
        self.moments = nn.ModuleList(RunningMoments((dim,), momentum) for _ in range(num_layers))
        self.predictors = nn.ModuleList(
            nn.Sequential(nn.Linear(dim, dim // 4), nn.GELU(), nn.Linear(dim // 4, dim))
            for _ in range(num_layers)
        )

    def forward(
        self,
        student: tuple[Float[Tensor, "batch position dim"], ...],
        teacher: tuple[Float[Tensor, "batch position dim"], ...],
    ) -> Float[Tensor, ""]:
        """Return the loss, in [0, 2]; no gradient reaches the teacher."""
        losses = []
        for moments, predict, ours, target, seen in zip(
            self.moments, self.predictors, student, teacher, moments_of(teacher), strict=True
        ):
            assert isinstance(moments, RunningMoments)
            goal = moments.now(seen).standardise(target.detach().float())
            losses.append(1 - F.cosine_similarity(predict(ours.float()), goal, dim=-1).mean())
        return torch.stack(losses).mean()

    def remember(self, seen: tuple[Moments, ...]) -> None:
        """Move the running moments towards those of a batch of teacher states."""
        for moments, batch in zip(self.moments, seen, strict=True):
            assert isinstance(moments, RunningMoments)
            moments.update(batch)


def moments_of(states: tuple[Float[Tensor, "batch position dim"], ...]) -> tuple[Moments, ...]:
    """Return the moments of hidden states, layer by layer."""
    return tuple(Moments.of(layer.flatten(0, 1)) for layer in states)
