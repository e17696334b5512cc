"""The training loop: a generator of step results, without files and without a logger."""

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
    from videolatent_cli.objectives import LossWeights, Moments
    from videolatent_cli.recipe.schema import Training
    from videolatent_cli.training.step import SelfForcing, StepLosses


_ALONE = Processes()


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
    """Each part of the loss before its weight, mean over triplets."""
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


def train_steps(  # noqa: PLR0913 - what a training is made of
    module: SelfForcing,
    optimizer: torch.optim.Optimizer,
    schedule: Callable[[int], float],
    feed: Feed,
    training: Training,
    *,
    first_step: int,
    total_steps: int,
    processes: Processes = _ALONE,
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
        processes: Who shares the micro batches of each step.

    Raises:
        DataError: Where the loss is not finite, naming step and triplets.
        ResourceError: Where memory runs out, naming the largest triplet and what to change.
    """
    module.train()
    count = training.gradient_accumulation_steps
    steps, mine = range(first_step, total_steps), processes.share(count)
    places = (step * count + index for step in steps for index in mine)
    with closing(prefetched(lambda place: (place, feed.batch(place)), places)) as batches:
        for step in steps:
            started = time.perf_counter()
            weights = module.weights_at(step, total_steps)
            micro = processes.gather(
                [
                    _micro_step(module, weights, training, place, batch)
                    for place, batch in islice(batches, len(mine))
                ]
            )
            try:
                norms = _update(module, optimizer, schedule(step), training, micro, processes)
            except torch.OutOfMemoryError:
                raise _no_room_to_update(step) from None
            seconds = time.perf_counter() - started
            rate = optimizer.param_groups[0]["lr"]
            yield _result(module, step + 1, micro, rate, norms, seconds)


def _update(
    module: SelfForcing,
    optimizer: torch.optim.Optimizer,
    factor: float,
    training: Training,
    micro: list[_Micro],
    processes: Processes,
) -> tuple[float, float | None]:
    """Make the optimizer step; return the norms of all gradients and of the latents' module."""
    trained = [p for p in module.parameters() if p.requires_grad]
    processes.sum_gradients(trained)
    triplets = sum(one.num_triplets for one in micro)
    for parameter in trained:
        if parameter.grad is not None:
            parameter.grad /= triplets
    for one in micro:
        module.remember(one.latents, one.teacher)
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
    micro: list[_Micro],
    learning_rate: float,
    norms: tuple[float, float | None],
    seconds: float,
) -> StepResult:
    """Return what a step says of itself."""
    triplets = sum(one.num_triplets for one in micro)
    return StepResult(
        step=step,
        loss=sum(one.loss * one.num_triplets for one in micro) / triplets,
        parts={
            name: sum(one.parts[name] * one.num_triplets for one in micro) / triplets
            for name in sorted(micro[0].parts)
        },
        latents=_diagnostics(module, micro[-1]),
        learning_rate=learning_rate,
        grad_norm=norms[0],
        latent_grad_norm=norms[1],
        num_triplets=triplets,
        num_tokens=sum(one.num_tokens for one in micro),
        seconds=seconds,
        peak_memory_bytes=peak_memory_bytes(module.model.backbone.device),
    )


@dataclass(frozen=True)
class _Micro:
    """What is left of a micro batch after its backward pass; it travels between processes."""

    loss: float
    parts: dict[str, float]
    latents: torch.Tensor | None
    teacher: tuple[Moments, ...]
    num_triplets: int
    num_tokens: int


def _micro_step(
    module: SelfForcing, weights: LossWeights, training: Training, place: int, batch: Batch
) -> _Micro:
    """Run micro batch `place`, forward and backward."""
    count = training.gradient_accumulation_steps
    batch = batch.to(module.model.backbone.device)
    # Dropout then depends on the micro batch alone, wherever and whenever it is run.
    torch.manual_seed(training.seed * 1_000_003 + place)
    try:
        losses = module(batch, weights)
        # Sums over triplets, divided once all are there: each counts the same, wherever it is.
        (losses.total * len(batch.video_index)).backward()
    except torch.OutOfMemoryError:
        raise _out_of_memory(place // count, batch) from None
    total = float(losses.total.detach())
    if not math.isfinite(total):
        raise _not_finite(place // count, batch, losses)
    return _Micro(
        total,
        {name: float(part) for name, part in losses.parts.items()},
        losses.latents.cpu() if losses.latents is not None else None,
        tuple(moments.cpu() for moments in losses.teacher),
        len(batch.video_index),
        batch.num_tokens,
    )


def _out_of_memory(step: int, batch: Batch) -> ResourceError:
    """Return the error that names the largest triplet and what to change."""
    sizes = batch.tokens_by_triplet()
    largest = max(range(len(sizes)), key=sizes.__getitem__)
    return ResourceError(
        f"step {step + 1}: out of GPU memory with {len(sizes)} triplets of {batch.num_tokens} "
        f"tokens in all, the largest '{batch.names[largest]}' with {sizes[largest]}; lower "
        "training.videos_per_batch or tokens_per_batch, lower video.max_pixels or "
        "video.max_frames, or set training.recompute_prefix"
    )


def _no_room_to_update(step: int) -> ResourceError:
    """Return the error of weights that are too many to be trained, whatever the batch."""
    return ResourceError(
        f"step {step + 1}: out of GPU memory in the optimizer's update; train adapters "
        "(backbone.train: lora), or share its state (--nproc) and the weights "
        "(training.shard_weights) among processes"
    )


def _not_finite(step: int, batch: Batch, losses: StepLosses) -> DataError:
    """Return the error that names the triplets whose answer has no finite loss, else all."""
    good = losses.answer_losses.isfinite().tolist()
    names = [name for name, fine in zip(batch.names, good, strict=True) if not fine]
    shown = ", ".join((names or batch.names)[:3])
    return DataError(
        f"step {step + 1}: the loss is not finite, got {float(losses.total.detach())} with "
        f"triplet {shown}; lower training.learning_rate, or look at the triplet"
    )


def _norm(module: torch.nn.Module) -> float:
    """Return the norm of a module's gradients."""
    grads = [p.grad for p in module.parameters() if p.grad is not None]
    return float(torch.nn.utils.get_total_norm(grads)) if grads else 0.0


@torch.no_grad()
def _diagnostics(module: SelfForcing, losses: _Micro) -> dict[str, float]:
    """Return the latent diagnostics of a micro batch, empty without blocks of latents."""
    model = module.model
    if losses.latents is None or not model.num_blocks:
        return {}
    return latent_diagnostics(losses.latents, model.num_blocks, model.embedding_rms())
