"""The training loop: a generator of step results, without files and without a logger."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch

from videolatent_cli.errors import DataError, ResourceError
from videolatent_cli.training.metrics import latent_diagnostics, peak_memory_bytes
from videolatent_cli.training.optimizer import set_rate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from videolatent_cli.model.batch import Batch
    from videolatent_cli.recipe.schema import Training
    from videolatent_cli.training.step import SelfForcing, StepLosses


class Feed(Protocol):
    """Where micro batches come from; any one can be asked for directly."""

    def batch(self, index: int) -> Batch:
        """Return micro batch `index`, counted from the start of training."""
        ...


@dataclass(frozen=True)
class StepResult:
    """One optimizer step."""

    step: int
    """Steps done, this one included."""
    loss: float
    parts: dict[str, float]
    """Each part of the loss before its weight, mean over micro batches."""
    latents: dict[str, float]
    """Diagnostics of the last micro batch's latents."""
    learning_rate: float
    grad_norm: float
    latent_grad_norm: float | None
    """Norm of the injection module's gradient before clipping."""
    num_triplets: int
    num_tokens: int
    seconds: float
    peak_memory_bytes: int
    """Largest memory so far."""


def train_steps(
    module: SelfForcing,
    optimizer: torch.optim.Optimizer,
    schedule: Callable[[int], float],
    feed: Feed,
    training: Training,
    *,
    first_step: int,
    total_steps: int,
) -> Iterator[StepResult]:
    """Yield a result after each optimizer step; the caller may save or stop between them.

    Args:
        module: Model and objectives, with gradients enabled on what is trained.
        optimizer: Over the module's trainable parameters.
        schedule: Factor of the learning rates by step.
        feed: Micro batches.
        training: Accumulation and clipping.
        first_step: Steps done before.
        total_steps: Steps of the whole run.

    Raises:
        DataError: Where the loss is not finite, naming the step.
        ResourceError: Where memory runs out, naming what to change.
    """
    module.train()
    trained = [p for p in module.parameters() if p.requires_grad]
    for step in range(first_step, total_steps):
        started = time.perf_counter()
        # Dropout then depends on the step alone, so a resumed run repeats it.
        torch.manual_seed(training.seed * 1_000_003 + step)
        micro, count, tokens = _accumulate(module, feed, training, step, total_steps)
        injection = module.model.injection
        latent_norm = _norm(injection) if injection is not None else None
        norm = float(torch.nn.utils.clip_grad_norm_(trained, training.max_grad_norm))
        set_rate(optimizer, schedule(step))
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        module.teacher.update()
        names = sorted({name for losses in micro for name in losses.parts})
        yield StepResult(
            step=step + 1,
            loss=sum(float(losses.total.detach()) for losses in micro) / len(micro),
            parts={
                name: sum(float(losses.parts[name]) for losses in micro) / len(micro)
                for name in names
            },
            latents=_diagnostics(module, micro[-1]),
            learning_rate=optimizer.param_groups[0]["lr"],
            grad_norm=norm,
            latent_grad_norm=latent_norm,
            num_triplets=count,
            num_tokens=tokens,
            seconds=time.perf_counter() - started,
            peak_memory_bytes=peak_memory_bytes(module.model.backbone.device),
        )


def _accumulate(
    module: SelfForcing, feed: Feed, training: Training, step: int, total_steps: int
) -> tuple[list[StepLosses], int, int]:
    """Run the micro batches of a step; return losses, number of triplets and of tokens."""
    weights = module.weights_at(step, total_steps)
    parts, count, tokens = [], 0, 0
    for index in range(training.gradient_accumulation_steps):
        batch = feed.batch(step * training.gradient_accumulation_steps + index)
        batch = batch.to(module.model.backbone.device)
        try:
            losses = module(batch, weights)
            (losses.total / training.gradient_accumulation_steps).backward()
        except torch.OutOfMemoryError:
            raise ResourceError(
                f"step {step + 1}: out of GPU memory with {len(batch.video_index)} triplets of "
                f"{batch.num_tokens} tokens in all; lower training.videos_per_batch, "
                "video.max_pixels or video.max_frames"
            ) from None
        total = float(losses.total.detach())
        if not math.isfinite(total):
            raise DataError(
                f"step {step + 1}: the loss is not finite, got {total}; "
                "lower training.learning_rate"
            )
        parts.append(losses)
        count += len(batch.video_index)
        tokens += batch.num_tokens
    return parts, count, tokens


def _norm(module: torch.nn.Module) -> float:
    """Return the norm of a module's gradients."""
    grads = [p.grad for p in module.parameters() if p.grad is not None]
    return float(torch.nn.utils.get_total_norm(grads)) if grads else 0.0


@torch.no_grad()
def _diagnostics(module: SelfForcing, losses: StepLosses) -> dict[str, float]:
    """Return the latent diagnostics of a micro batch, empty without blocks of latents."""
    model = module.model
    if losses.latents is None or not model.num_blocks:
        return {}
    return latent_diagnostics(losses.latents, model.num_blocks, model.embedding_rms())
