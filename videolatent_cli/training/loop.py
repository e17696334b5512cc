"""The training loop: a generator of step results that writes no files and no log."""

from __future__ import annotations

import math
import time
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Protocol

import torch

from videolatent_cli.errors import DataError, ResourceError
from videolatent_cli.training.metrics import latent_diagnostics, peak_memory_bytes
from videolatent_cli.training.optimizer import set_rate
from videolatent_cli.training.prefetch import prefetched
from videolatent_cli.training.processes import Processes
from videolatent_cli.training.sharding import clip_gradients

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from videolatent_cli.model.batch import Batch
    from videolatent_cli.objectives import LossWeights
    from videolatent_cli.recipe.schema import Training
    from videolatent_cli.training.step import SelfForcing, Statistics, StepLosses


_SINGLE_PROCESS = Processes()


class Feed(Protocol):
    """Source of micro batches; any one can be requested directly."""

    def batch(self, index: int) -> Batch:
        """Return micro batch `index`, counted from the start of training."""
        ...


@dataclass(frozen=True)
class StepResult:
    """Losses, sizes and cost of one optimizer step."""

    step: int
    """Number of steps done, this one included."""
    loss: float
    """Weighted sum of all parts, as a mean over triplets."""
    parts: dict[str, float]
    """Each part of the loss without its weight, as a mean over triplets."""
    latents: dict[str, float]
    """Diagnostics of the last micro batch's latents."""
    learning_rate: float
    """Learning rate of the first parameter group."""
    grad_norm: float
    """Norm of all gradients before clipping."""
    latent_grad_norm: float | None
    """Norm of the gradients of the injection module before clipping; None without the module."""
    num_triplets: int
    num_tokens: int
    seconds: float
    """Wall time of the step."""
    peak_memory_bytes: int
    """Peak memory of the process or of its GPU since the start."""


def train_steps(  # noqa: PLR0913 - the parts of a training
    module: SelfForcing,
    optimizer: torch.optim.Optimizer,
    schedule: Callable[[int], float],
    feed: Feed,
    training: Training,
    *,
    first_step: int,
    total_steps: int,
    processes: Processes = _SINGLE_PROCESS,
) -> Iterator[StepResult]:
    """Yield a result after each optimizer step; the caller may save or stop between them.

    Args:
        module: Model and objectives; trained parameters require a gradient.
        optimizer: Optimizer of the module's trained parameters.
        schedule: Function from the number of steps done to the factor of the learning rates.
        feed: Source of micro batches.
        training: Section of the recipe that sets accumulation and clipping.
        first_step: Number of steps done before.
        total_steps: Number of steps of the whole run.
        processes: Processes that share the micro batches of each step.

    Raises:
        DataError: If the loss is not finite; the message names step and triplets.
        ResourceError: If GPU memory runs out; the message says what to change.
    """
    module.train()
    count = training.gradient_accumulation_steps
    steps, own_share = range(first_step, total_steps), processes.share(count)
    # Micro batches of all steps as one sequence, so that those of the next step are prefetched
    # while a step ends.
    indices = (step * count + index for step in steps for index in own_share)
    with closing(prefetched(lambda index: (index, feed.batch(index)), indices)) as batches:
        for step in steps:
            started = time.perf_counter()
            weights = module.weights_at(step, total_steps)
            results = processes.gather(
                [
                    _micro_step(module, weights, training, index, batch)
                    for index, batch in islice(batches, len(own_share))
                ]
            )
            try:
                norms = _update(module, optimizer, schedule(step), training, results, processes)
            except torch.OutOfMemoryError:
                raise _out_of_memory_in_update(step) from None
            seconds = time.perf_counter() - started
            rate = optimizer.param_groups[0]["lr"]
            yield _result(module, step + 1, results, rate, norms, seconds)


def _update(
    module: SelfForcing,
    optimizer: torch.optim.Optimizer,
    factor: float,
    training: Training,
    results: list[_MicroResult],
    processes: Processes,
) -> tuple[float, float | None]:
    """Do the optimizer step; return the gradient norms of all parameters and of the injection."""
    trained = [p for p in module.parameters() if p.requires_grad]
    processes.sum_gradients(trained)
    # Gradients are sums over the triplets of all micro batches of all processes; make them means.
    triplets = sum(result.num_triplets for result in results)
    for parameter in trained:
        if parameter.grad is not None:
            parameter.grad /= triplets
    # Every process has the results of all, in the same order, so that their statistics agree.
    module.remember([result.statistics for result in results])
    injection = module.model.injection
    latent_norm = _norm(injection) if injection is not None else None
    norm = clip_gradients(trained, training.max_grad_norm)
    set_rate(optimizer, factor)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    module.teacher.update()
    return norm, latent_norm


def _result(
    module: SelfForcing,
    step: int,
    results: list[_MicroResult],
    learning_rate: float,
    norms: tuple[float, float | None],
    seconds: float,
) -> StepResult:
    """Return the result of a step: means over the triplets of all its micro batches."""
    triplets = sum(result.num_triplets for result in results)
    return StepResult(
        step=step,
        loss=sum(result.loss * result.num_triplets for result in results) / triplets,
        parts={
            name: sum(result.parts[name] * result.num_triplets for result in results) / triplets
            for name in sorted(results[0].parts)
        },
        latents=_diagnostics(module, results[-1]),
        learning_rate=learning_rate,
        grad_norm=norms[0],
        latent_grad_norm=norms[1],
        num_triplets=triplets,
        num_tokens=sum(result.num_tokens for result in results),
        seconds=seconds,
        peak_memory_bytes=peak_memory_bytes(module.model.backbone.device),
    )


@dataclass(frozen=True)
class _MicroResult:
    """Result of one micro batch after its backward pass, on the CPU; processes exchange it."""

    loss: float
    parts: dict[str, float]
    statistics: Statistics
    num_triplets: int
    num_tokens: int


def _micro_step(
    module: SelfForcing, weights: LossWeights, training: Training, index: int, batch: Batch
) -> _MicroResult:
    """Run micro batch `index`, counted from the start of training, forward and backward."""
    step = index // training.gradient_accumulation_steps
    batch = batch.to(module.model.backbone.device)
    # Dropout depends on the micro batch alone, so any process draws the same at any time.
    torch.manual_seed(training.seed * 1_000_003 + index)
    try:
        losses = module(batch, weights)
        # The total is a mean over triplets. Its gradient is accumulated as a sum and divided in
        # `_update`, so that a triplet counts the same in a micro batch of any size.
        (losses.total * len(batch.video_index)).backward()
    except torch.OutOfMemoryError:
        raise _out_of_memory(step, batch) from None
    total = float(losses.total.detach())
    if not math.isfinite(total):
        raise _not_finite(step, batch, losses)
    return _MicroResult(
        total,
        {name: float(part) for name, part in losses.parts.items()},
        losses.statistics.cpu(),
        len(batch.video_index),
        batch.num_tokens,
    )


def _out_of_memory(step: int, batch: Batch) -> ResourceError:
    """Return the error for a batch that is too large; it names the largest triplet."""
    sizes = batch.tokens_by_triplet()
    largest = max(range(len(sizes)), key=sizes.__getitem__)
    return ResourceError(
        f"step {step + 1}: out of GPU memory with {len(sizes)} triplets of {batch.num_tokens} "
        f"tokens in all, the largest '{batch.names[largest]}' with {sizes[largest]}; lower "
        "training.videos_per_batch or tokens_per_batch, lower video.max_pixels or "
        "video.max_frames, or set training.recompute_prefix"
    )


def _out_of_memory_in_update(step: int) -> ResourceError:
    """Return the error for weights that need too much memory with any batch."""
    return ResourceError(
        f"step {step + 1}: out of GPU memory in the optimizer's update; train adapters "
        "(backbone.train: lora), or shard the optimizer's state (--nproc) and the weights "
        "(training.shard_weights) over several processes"
    )


def _not_finite(step: int, batch: Batch, losses: StepLosses) -> DataError:
    """Return the error that names the triplets without a finite answer loss, or else all."""
    finite = losses.answer_losses.isfinite().tolist()
    names = [name for name, is_finite in zip(batch.names, finite, strict=True) if not is_finite]
    shown = ", ".join((names or batch.names)[:3])
    return DataError(
        f"step {step + 1}: the loss is not finite, got {float(losses.total.detach())} with "
        f"triplet {shown}; lower training.learning_rate, or check the triplet"
    )


def _norm(module: torch.nn.Module) -> float:
    """Return the norm of a module's gradients."""
    grads = [p.grad for p in module.parameters() if p.grad is not None]
    return float(torch.nn.utils.get_total_norm(grads)) if grads else 0.0


@torch.no_grad()
def _diagnostics(module: SelfForcing, result: _MicroResult) -> dict[str, float]:
    """Return the latent diagnostics of a micro batch, empty without blocks of latents."""
    model = module.model
    latents = result.statistics.latents
    if latents is None or not model.num_blocks:
        return {}
    return latent_diagnostics(latents, model.num_blocks, model.embedding_rms())
