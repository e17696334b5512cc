"""`vl train`: from a recipe to a checkpoint."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from loguru import logger

from videolatent_cli.data.dataset import TRAIN
from videolatent_cli.errors import UsageError
from videolatent_cli.model.backbones.attention import explain_attention
from videolatent_cli.model.backbones.load import check_device
from videolatent_cli.model.backbones.quantization import num_parameters
from videolatent_cli.model.checkpoint import checkpoint_name, find_checkpoint
from videolatent_cli.model.load import build_model
from videolatent_cli.pipeline.prepare import make_feed, recipe_dataset
from videolatent_cli.pipeline.runs.run_dir import RunDir
from videolatent_cli.pipeline.runs.trackers import check_trackers, open_trackers
from videolatent_cli.recipe.data_schema import EventWorldStreamData
from videolatent_cli.runtime.interrupt import StopRequest
from videolatent_cli.runtime.logs import log_file
from videolatent_cli.runtime.machine import Machine
from videolatent_cli.runtime.progress import Progress, silent
from videolatent_cli.training.processes import Processes, joined_processes
from videolatent_cli.training.trainer import Trainer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from videolatent_cli.recipe import Recipe
    from videolatent_cli.training.feed import StreamFeed, TripletFeed
    from videolatent_cli.training.loop import StepResult


@dataclass(frozen=True)
class TrainReport:
    """How a training ended."""

    run_dir: Path
    checkpoint: Path | None
    """Folder of the last checkpoint; None after a dry run."""
    steps: int
    first_step: int
    """Steps that were done before; equal to `steps` where nothing was left to do."""
    last: StepResult | None
    seconds: float
    dry_run: str | None = None
    """What a dry run found; None after a training."""

    def document(self) -> dict[str, Any]:
        """Return the JSON document `vl.train/1`."""
        return {
            "schema": "vl.train/1",
            "run": str(self.run_dir),
            "checkpoint": self.checkpoint.name if self.checkpoint is not None else None,
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
    base_dir: Path
    """Folder of the recipe file; data paths are relative to it."""
    overrides: tuple[str, ...] = ()
    resume_command: str = "the same command"
    trackers: tuple[str, ...] = ()
    """Where the curves go besides the run's own log."""
    resume: bool = False
    """Insist that there is a checkpoint to resume from."""
    dry_run: bool = False
    """Check the recipe and its data, train nothing."""

    def __post_init__(self) -> None:
        check_trackers(self.trackers)


def train(
    request: TrainRequest,
    machine: Machine = Machine(),
    progress: Progress = silent,
    on_step: Callable[[StepResult], None] = lambda _: None,
) -> TrainReport:
    """Train a recipe, or resume its run; a finished run is left as it is.

    Args:
        request: What to train, and into which folder.
        machine: Folder of caches and torch device.
        progress: Called with (what, done, total), `train` after each step.
        on_step: Called after each step with its result.

    Raises:
        VideoLatentError: As the parts of the run say; an interruption saves first.
    """
    recipe, run = request.recipe, RunDir(request.run_dir)
    if request.resume and not run.checkpoints.exists():
        raise UsageError(f"--resume: {run.path} holds no checkpoint; start without --resume")
    if request.dry_run:
        return _dry_run(request, machine)
    if run.is_known(recipe):
        previous = find_checkpoint(run.path)
        if previous is not None and previous.finished:
            return TrainReport(run.path, previous.folder, previous.step, previous.step, None, 0.0)
    device = check_device(machine.device)
    with joined_processes(device) as processes:
        processes.share(recipe.training.gradient_accumulation_steps)
        if processes.first:
            logger.info("attention: {}", explain_attention(recipe.backbone.attention, device))
        return _Training(request, machine.cache_dir, device, processes).run(progress, on_step)


class _Training:
    """One process of a training; the first of them alone writes."""

    def __init__(
        self, request: TrainRequest, cache_dir: Path, device: str, processes: Processes
    ) -> None:
        self.request = request
        self.cache_dir = cache_dir
        self.processes = processes
        self.folder = RunDir(request.run_dir)
        self.model = build_model(request.recipe, device)

    def run(self, progress: Progress, on_step: Callable[[StepResult], None]) -> TrainReport:
        """Prepare the data, train what is left, save."""
        started = time.perf_counter()
        request = self.request
        feed = self.processes.first_then_others(
            lambda: make_feed(
                request.recipe,
                self.model,
                request.base_dir,
                self.cache_dir,
                progress if self.processes.first else silent,
            )
        )
        with ExitStack() as stack:
            if self.processes.first:
                self._claim(feed, stack)
            stop = stack.enter_context(StopRequest())
            trainer = Trainer(request.recipe, self.model, feed, self.processes)
            first = self.processes.first_then_others(lambda: self._restore(trainer))
            mine = request.trackers if self.processes.first else ()
            track = stack.enter_context(open_trackers(mine, self.folder, first))

            def report(result: StepResult) -> None:
                self.folder.append_log(result)
                track(result)
                progress("train", result.step, trainer.total_steps)
                on_step(result)

            checkpoint, last = self._steps(trainer, first, stop, report)
        seconds = time.perf_counter() - started
        return TrainReport(self.folder.path, checkpoint, trainer.total_steps, first, last, seconds)

    def _claim(self, feed: StreamFeed | TripletFeed, stack: ExitStack) -> None:
        """Make the run folder this run's own, and lock it."""
        request = self.request
        self.folder.claim(
            request.recipe,
            request.source,
            list(request.overrides),
            feed.fingerprint,
            request.base_dir,
        )
        stack.enter_context(self.folder.lock())
        stack.enter_context(log_file(self.folder.path / "train.log"))

    def _restore(self, trainer: Trainer) -> int:
        """Bring the trainer to the newest checkpoint; return its step."""
        previous = find_checkpoint(self.folder.path)
        first = trainer.restore(previous) if previous is not None else 0
        if self.processes.first:
            self.folder.cut_log(first)
            if first:
                logger.info("going on after step {} of {}", first, trainer.total_steps)
        return first

    def _steps(
        self,
        trainer: Trainer,
        first: int,
        stop: StopRequest,
        report: Callable[[StepResult], None],
    ) -> tuple[Path, StepResult]:
        """Run the steps; return the last checkpoint and the last step."""
        recipe, run = self.request.recipe, self.folder
        for result in trainer.steps(first):
            last = result.step == trainer.total_steps
            due = result.step % recipe.training.checkpoint_every_steps == 0
            if self.processes.first:
                report(result)
            # A signal that comes after this is all processes' business at the next step.
            wish = next(filter(None, self.processes.gather([stop.signal])), None)
            if due or last or wish is not None:
                trainer.save(run.checkpoints, result.step)
            if wish is not None and not last:
                if not self.processes.first:
                    break
                stop.signal = wish
                what = f"{run.path} is saved at step {result.step}"
                stop.check(what, self.request.resume_command)
        return run.checkpoints / checkpoint_name(result.step), result


def _dry_run(request: TrainRequest, machine: Machine) -> TrainReport:
    """Report what a training would do, after everything that can be checked before it."""
    model = build_model(request.recipe, check_device(machine.device))
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    total = num_parameters(model)
    if not isinstance(request.recipe.data, EventWorldStreamData):
        dataset = recipe_dataset(request.recipe, request.base_dir, machine.cache_dir)
        count = f"{len(dataset.splits[TRAIN])} triplets"
    else:
        count = "a stream of triplets"
    plan = f"would train {trained:,} of {total:,} parameters on {count} into {request.run_dir}"
    return TrainReport(request.run_dir, None, 0, 0, None, 0.0, plan)
