"""Losses of one micro batch: the model's forward pass and the objectives in one module."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from videolatent_cli.model.teacher import TeacherWeights
from videolatent_cli.objectives import (
    Alignment,
    Diversity,
    LossWeights,
    Moments,
    alignment_ramp,
    answer_loss,
    answer_losses,
    bottleneck_probability,
    moments_of,
)

if TYPE_CHECKING:
    from videolatent_cli.model.batch import Batch
    from videolatent_cli.model.videolatent import ForwardOutput, VideoLatent
    from videolatent_cli.recipe.recipe import Recipe


@dataclass(frozen=True)
class Statistics:
    """Statistics of a micro batch that the objectives keep for later steps, without gradient."""

    latents: Tensor | None
    """Latents, (batch, latent, dim); None without latents."""
    teacher: tuple[Moments, ...] = ()
    """Moments of the teacher's hidden states for each compared layer; empty without a teacher."""

    def cpu(self) -> Statistics:
        """Return a copy in main memory."""
        latents = self.latents.cpu() if self.latents is not None else None
        return Statistics(latents, tuple(moments.cpu() for moments in self.teacher))


@dataclass(frozen=True)
class StepLosses:
    """Losses of a micro batch, and its statistics."""

    total: Tensor
    """Weighted sum of all parts, with gradient."""
    parts: dict[str, Tensor]
    """Each part without its weight, detached."""
    answer_losses: Tensor
    """Cross-entropy of each triplet (nats), (batch,), detached."""
    statistics: Statistics


class SelfForcing(nn.Module):
    """VideoLatent model together with the objectives of latent self-forcing.

    Choice: predictors, running moments and the queue belong to this module, not to the model,
    since they are dropped after training.
    """

    def __init__(self, model: VideoLatent, recipe: Recipe) -> None:
        super().__init__()
        self.model = model
        model.recompute_prefix = recipe.training.recompute_prefix
        self.loss = recipe.loss
        self.seed = recipe.training.seed
        self.layers = model.layers_at(recipe.loss.alignment_depths)
        dim = model.backbone.dim
        momentum = recipe.loss.target_momentum
        latent = recipe.latent
        self.alignment: Alignment | None = None
        self.diversity: Diversity | None = None
        if latent is not None and recipe.loss.alignment_weight > 0:
            self.alignment = Alignment(len(self.layers), dim, momentum)
        if latent is not None and recipe.loss.diversity_weight > 0:
            self.diversity = Diversity(
                latent.num_latents,
                dim,
                similarity=recipe.loss.diversity_similarity,
                deviation=recipe.loss.diversity_deviation,
                queue=recipe.loss.diversity_queue,
                momentum=momentum,
            )
        self.uses_bottleneck = latent is not None and recipe.loss.bottleneck_weight > 0
        self.to(model.backbone.device)
        self.teacher = TeacherWeights(
            model.backbone, recipe.loss.teacher, recipe.loss.teacher_ema_decay
        )

    def weights_at(self, step: int, total_steps: int) -> LossWeights:
        """Return the weights of a step; the bottleneck applies to a random share of steps."""
        progress = step / total_steps
        loss = self.loss
        ramp = alignment_ramp(progress, loss.alignment_warmup_fraction)
        probability = bottleneck_probability(
            progress, loss.bottleneck_full_fraction, loss.bottleneck_final_probability
        )
        # Seeded by the step, so that all processes and a resumed run decide alike.
        coin = torch.rand((), generator=torch.Generator().manual_seed(self.seed * 1_000_003 + step))
        applied = self.uses_bottleneck and float(coin) < probability
        return LossWeights(
            alignment=loss.alignment_weight * ramp if self.alignment is not None else 0.0,
            diversity=loss.diversity_weight if self.diversity is not None else 0.0,
            bottleneck=loss.bottleneck_weight if applied else 0.0,
        )

    def forward(self, batch: Batch, weights: LossWeights) -> StepLosses:
        """Return the losses of a micro batch, which must be on the model's device."""
        out: ForwardOutput = self.model(
            batch,
            teacher=self.teacher if weights.alignment else None,
            layers=self.layers,
            bottleneck=self.loss.bottleneck_view if weights.bottleneck else None,
        )
        answer = batch.answer
        by_triplet = answer_losses(out.answer_logits, answer.ids, answer.mask)  # (batch,)
        parts = {"answer": by_triplet.mean()}
        total = parts["answer"]
        latents = out.rollout.latents if out.rollout is not None else None
        # The first step of alignment or diversity only measures the statistics that it needs.
        alignment, diversity = self.alignment, self.diversity
        if weights.alignment and alignment is not None and alignment.ready:
            assert out.rollout is not None, "a model with alignment has latents"
            parts["alignment"] = alignment(out.rollout.by_layer, out.teacher_by_layer)
            total = total + weights.alignment * parts["alignment"]
        if weights.diversity and diversity is not None and diversity.ready:
            parts["diversity"] = diversity(latents)
            total = total + weights.diversity * parts["diversity"]
        if out.bottleneck_logits is not None:
            parts["bottleneck"] = answer_loss(out.bottleneck_logits, answer.ids, answer.mask)
            total = total + weights.bottleneck * parts["bottleneck"]
        return StepLosses(
            total,
            {name: part.detach() for name, part in parts.items()},
            by_triplet.detach(),
            Statistics(
                latents.detach() if latents is not None else None, moments_of(out.teacher_by_layer)
            ),
        )

    def remember(self, step: list[Statistics]) -> None:
        """Update the statistics of the objectives at the end of a step.

        Args:
            step: Statistics of all micro batches of the step, of all processes.
        """
        latents = [part.latents for part in step if part.latents is not None]
        if self.diversity is not None and latents:
            self.diversity.remember(torch.cat(latents))
        by_layer = zip(*(part.teacher for part in step), strict=True)
        teacher = tuple(Moments.merged(layer) for layer in by_layer)
        if self.alignment is not None and teacher:
            self.alignment.remember(teacher)
