"""Loss weights of latent self-forcing and their schedules."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class LossWeights:
    """Weights of the losses in one optimizer step; cross-entropy has weight 1."""

    alignment: float = 0.0
    diversity: float = 0.0
    bottleneck: float = 0.0


def alignment_ramp(progress: float, warmup_fraction: float) -> float:
    """Return the factor of the alignment weight, which rises linearly from 0 to 1.

    Args:
        progress: Completed fraction of the training, in [0, 1].
        warmup_fraction: Fraction of the training over which the factor rises.
    """
    return 1.0 if warmup_fraction == 0 else min(1.0, progress / warmup_fraction)


def bottleneck_probability(progress: float, full_fraction: float, final: float) -> float:
    """Return the probability of the bottleneck loss: 1 at first, then falling along a cosine.

    Args:
        progress: Completed fraction of the training, in [0, 1].
        full_fraction: Fraction of the training with probability 1.
        final: Probability at the end of the training.
    """
    if progress <= full_fraction or full_fraction >= 1:
        return 1.0
    decayed = (progress - full_fraction) / (1 - full_fraction)
    return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * decayed))
