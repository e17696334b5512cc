"""Objectives of latent self-forcing, as functions of tensors; they know no model and no files."""

from videolatent_cli.objectives.alignment import Alignment, moments_of
from videolatent_cli.objectives.answer import answer_loss, answer_losses
from videolatent_cli.objectives.diversity import Diversity, instance_loss, slot_loss
from videolatent_cli.objectives.moments import Moments
from videolatent_cli.objectives.self_forcing import (
    LossWeights,
    alignment_ramp,
    bottleneck_probability,
)

__all__ = [
    "Alignment",
    "Diversity",
    "LossWeights",
    "Moments",
    "alignment_ramp",
    "answer_loss",
    "answer_losses",
    "bottleneck_probability",
    "instance_loss",
    "moments_of",
    "slot_loss",
]
