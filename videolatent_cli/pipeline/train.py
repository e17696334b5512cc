"""`vl train`: from a recipe to a checkpoint."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from loguru import logger

from videolatent_cli.data.dataset import TRAIN
from videolatent_cli.logs import add_log_file
from videolatent_cli.model.checkpoint import (
    describe_checkpoint,
    find_checkpoint,
    load_tensors,
    save_checkpoint,
    trained_tensors,
)
from videolatent_cli.model.load import build_model, check_device, sampling_of, untrained_hash
from videolatent_cli.pipeline.cache import recipe_dataset
from videolatent_cli.pipeline.feeds import make_feed
from videolatent_cli.pipeline.interrupt import StopRequest
from videolatent_cli.pipeline.progress import Progress, silent
from videolatent_cli.pipeline.rundir import RunDir
from videolatent_cli.recipe.schema import EventWorldStreamData
from videolatent_cli.training.loop import train_steps
from videolatent_cli.training.optimizer import (
    load_optimizer_tensors,
    make_optimizer,
    make_schedule,
    optimizer_tensors,
)
from videolatent_cli.training.step import SelfForcing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import torch
    from torch import Tensor

    from videolatent_cli.model.checkpoint import Checkpoint
    from videolatent_cli.recipe import Recipe
    from videolatent_cli.training.loop import StepResult

_OPTIMIZER, _MODULE, _TEACHER = "optimizer.", "module.", "teacher."


@dataclass(frozen=True)
class TrainReport:
    """How a training ended."""

    run_dir: Path
    checkpoint: Path
    steps: int
    first_step: int
    """Steps that were done before; equal to `steps` where nothing was left to do."""
    last: StepResult | None
    seconds: float

    def document(self) -> dict[str, Any]:
        """Return the JSON document `vl.train/1`."""
        return {
            "schema": "vl.train/1",
            "run": str(self.run_dir),
            "checkpoint": self.checkpoint.name,
            "steps": self.steps,
            "steps_done_before": self.first_step,
            "loss": self.last.loss if self.last is not None else None,
            "parts": self.last.parts if self.last is not None else {},
            "seconds": self.seconds,
        }


@dataclass(frozen=True)
class TrainRequest:
    """What to train and where."""

    recipe: Recipe
    source: str
    """Text of the recipe file, kept with the run."""
    run_dir: Path
    cache_dir: Path
    base_dir: Path
    """Folder of the recipe file; data paths are relative to it."""
    overrides: tuple[str, ...] = ()
    device: str = "auto"
    resume_command: str = "the same command"


def train(
    request: TrainRequest,
    on_step: Callable[[StepResult, int], None] = lambda *_: None,
    progress: Progress = silent,
) -> TrainReport:
    """Train a recipe, or go on with its run; a finished run is left as it is.

    Args:
        request: What and where.
        on_step: Called after each step with its result and the number of all steps.
        progress: Called with (what, done, total) while data are prepared.

    Raises:
        VideoLatentError: As the parts of the run say; an interruption saves first.
    """
    started = time.perf_counter()
    recipe = request.recipe
    run = RunDir(request.run_dir)
    device = check_device(request.device)
    model = build_model(recipe, device)
    sampling = sampling_of(recipe, model)
    feed = make_feed(recipe, model, request.base_dir, request.cache_dir, progress)
    known = run.claim(
        recipe, request.source, list(request.overrides), feed.fingerprint, request.base_dir
    )
    with run.lock(), StopRequest() as stop:
        sink = add_log_file(run.path / "train.log")
        try:
            previous = find_checkpoint(run.path) if known else None
            trainer = _Trainer(request, SelfForcing(model, recipe), feed.num_steps(recipe.training))
            first = trainer.restore(previous) if previous is not None else 0
            run.cut_log(first)
            if previous is not None and previous.finished:
                logger.info("{} is finished: {} steps", run.path, first)
                return TrainReport(run.path, previous.folder, first, first, None, 0.0)
            if first:
                logger.info("going on after step {} of {}", first, trainer.total_steps)
            about = describe_checkpoint(
                0, trainer.total_steps, recipe, sampling, untrained_hash(model)
            )
            last: StepResult | None = None
            for last in train_steps(
                trainer.module,
                trainer.optimizer,
                trainer.schedule,
                feed,
                recipe.training,
                first_step=first,
                total_steps=trainer.total_steps,
            ):
                run.append_log(last)
                on_step(last, trainer.total_steps)
                due = last.step % recipe.training.checkpoint_every_steps == 0
                if due or last.step == trainer.total_steps or stop.signal is not None:
                    folder = trainer.save(run, {**about, "step": last.step})
                if last.step < trainer.total_steps:
                    stop.check(f"{run.path} is saved at step {last.step}", request.resume_command)
        finally:
            logger.remove(sink)
    seconds = time.perf_counter() - started
    return TrainReport(run.path, folder, trainer.total_steps, first, last, seconds)


def check_training(request: TrainRequest) -> str:
    """Return what a training would do, after everything that can be checked before it."""
    model = build_model(request.recipe, check_device(request.device))
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    total = sum(p.numel() for p in model.parameters())
    if not isinstance(request.recipe.data, EventWorldStreamData):
        dataset = recipe_dataset(request.recipe, request.base_dir, request.cache_dir)
        count = f"{len(dataset.splits[TRAIN])} triplets"
    else:
        count = "a stream of triplets"
    return f"would train {trained:,} of {total:,} parameters on {count} into {request.run_dir}"


class _Trainer:
    """Module, optimizer and schedule, with their state in and out of checkpoints."""

    def __init__(self, request: TrainRequest, module: SelfForcing, total_steps: int) -> None:
        training = request.recipe.training
        self.module = module
        self.total_steps = total_steps
        self.optimizer: torch.optim.Optimizer = make_optimizer(module, training)
        self.schedule = make_schedule(training, total_steps)

    def restore(self, checkpoint: Checkpoint) -> int:
        """Bring everything back to a checkpoint; return its step."""
        load_tensors(self.module.model, checkpoint.model_tensors(), checkpoint.folder)
        stored = checkpoint.training_tensors()
        load_optimizer_tensors(self.optimizer, _part(stored, _OPTIMIZER))
        own = self._objective_state()
        for name, value in _part(stored, _MODULE).items():
            own[name].copy_(value)
        for name, value in _part(stored, _TEACHER).items():
            self.module.teacher.weights[name].copy_(value)
        return checkpoint.step

    def save(self, run: RunDir, about: dict[str, object]) -> Path:
        """Write a checkpoint."""
        state = {_OPTIMIZER + n: t for n, t in optimizer_tensors(self.optimizer).items()}
        state |= {_MODULE + n: t for n, t in self._objective_state().items()}
        state |= {_TEACHER + n: t for n, t in self.module.teacher.weights.items()}
        return save_checkpoint(run.checkpoints, about, trained_tensors(self.module.model), state)

    def _objective_state(self) -> dict[str, Tensor]:
        """Return predictors, moments and queue by name."""
        return {n: t for n, t in self.module.state_dict().items() if not n.startswith("model.")}


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors of one part, without its prefix."""
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
