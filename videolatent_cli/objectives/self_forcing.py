"""The weighted sum of latent self-forcing, and its weights over the course of training."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class LossWeights:
    """Weights of one optimizer step; cross-entropy has weight 1."""

    alignment: float = 0.0
    diversity: float = 0.0
    bottleneck: float = 0.0


def alignment_ramp(progress: float, warmup_fraction: float) -> float:
    """Return the factor of the alignment weight, rising from 0 to 1 over the warm-up."""
    return 1.0 if warmup_fraction == 0 else min(1.0, progress / warmup_fraction)


def bottleneck_probability(progress: float, full_fraction: float, final: float) -> float:
    """Return how often the bottleneck is applied: always at first, then less, by a cosine.

    Args:
        progress: Fraction of the training that is done, in [0, 1].
        full_fraction: Fraction with probability 1.
        final: Probability at the end.
    """
    if progress <= full_fraction or full_fraction >= 1:
        return 1.0
    rest = (progress - full_fraction) / (1 - full_fraction)
    return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * rest))
