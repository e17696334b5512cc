"""`vl train`: train a recipe, or resume its run, up to a finished checkpoint."""

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
    """Outcome of a training."""

    run_dir: Path
    checkpoint: Path | None
    """Folder of the last checkpoint; None after a dry run."""
    steps: int
    """Number of optimizer steps of the whole run."""
    first_step: int
    """Number of steps done by earlier processes; equal to `steps` if nothing was left to do."""
    last: StepResult | None
    """Result of the last step; None if no step was done."""
    seconds: float
    """Wall time of this process (s)."""
    dry_run: str | None = None
    """Summary of a dry run; None after a training."""

    def document(self) -> dict[str, Any]:
        """Return the report as the JSON document `vl.train/1`."""
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
    """Recipe to train, and the folder of its run."""

    recipe: Recipe
    source: str
    """Text of the recipe file, stored with the run."""
    run_dir: Path
    """Folder of the run, new or to resume."""
    base_dir: Path
    """Folder of the recipe file; data paths are relative to it."""
    overrides: tuple[str, ...] = ()
    """Values that override the recipe file's, as `SECTION.KEY=VALUE`."""
    resume_command: str = "the same command"
    """Command that resumes the run, as printed after an interruption."""
    trackers: tuple[str, ...] = ()
    """Names of trackers that receive the curves too, besides the run's own log."""
    resume: bool = False
    """Raise if there is no checkpoint to resume from."""
    dry_run: bool = False
    """Check the recipe and its data without training."""

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
        request: The recipe, and the folder of the run.
        machine: Folder of caches and torch device.
        progress: Called with (what, done, total), `train` after each step.
        on_step: Called after each step with its result.

    Raises:
        UsageError: If the folder holds another recipe, or no checkpoint although one is required.
        InterruptedRunError: After Ctrl-C or SIGTERM; a checkpoint is saved first.
        VideoLatentError: For errors in the recipe, its data or the machine.
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
    """One process of a training. Only the first process writes to the run folder."""

    def __init__(
        self, request: TrainRequest, cache_dir: Path, device: str, processes: Processes
    ) -> None:
        self.request = request
        self.cache_dir = cache_dir
        self.processes = processes
        self.folder = RunDir(request.run_dir)
        self.model = build_model(request.recipe, device)

    def run(self, progress: Progress, on_step: Callable[[StepResult], None]) -> TrainReport:
        """Prepare the data, train the steps left, save the last checkpoint."""
        started = time.perf_counter()
        request = self.request
        # The first process renders and encodes what is missing; the others then find it cached.
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
            names = request.trackers if self.processes.first else ()
            track = stack.enter_context(open_trackers(names, self.folder, first))

            def report(result: StepResult) -> None:
                self.folder.append_log(result)
                track(result)
                progress("train", result.step, trainer.total_steps)
                on_step(result)

            checkpoint, last = self._steps(trainer, first, stop, report)
        seconds = time.perf_counter() - started
        return TrainReport(self.folder.path, checkpoint, trainer.total_steps, first, last, seconds)

    def _claim(self, feed: StreamFeed | TripletFeed, stack: ExitStack) -> None:
        """Create or recognise the run folder, lock it, and send the log there too."""
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
        """Load the newest checkpoint into the trainer, if there is one; return its step."""
        previous = find_checkpoint(self.folder.path)
        first = trainer.restore(previous) if previous is not None else 0
        if self.processes.first:
            self.folder.cut_log(first)
            if first:
                logger.info("resuming after step {} of {}", first, trainer.total_steps)
        return first

    def _steps(
        self,
        trainer: Trainer,
        first: int,
        stop: StopRequest,
        report: Callable[[StepResult], None],
    ) -> tuple[Path, StepResult]:
        """Run the steps left; return the folder of the last checkpoint and the last step."""
        recipe, run = self.request.recipe, self.folder
        for result in trainer.steps(first):
            is_last = result.step == trainer.total_steps
            is_due = result.step % recipe.training.checkpoint_every_steps == 0
            if self.processes.first:
                report(result)
            # All processes must agree on whether to stop, and a signal may reach only one of them.
            # A signal that arrives after this line is handled at the next step.
            stop_signal = next(filter(None, self.processes.gather([stop.signal])), None)
            if is_due or is_last or stop_signal is not None:
                trainer.save(run.checkpoints, result.step)
            if stop_signal is not None and not is_last:
                if not self.processes.first:
                    break
                stop.signal = stop_signal
                what = f"{run.path} is saved at step {result.step}"
                stop.check(what, self.request.resume_command)
        return run.checkpoints / checkpoint_name(result.step), result


def _dry_run(request: TrainRequest, machine: Machine) -> TrainReport:
    """Report what a training would do, after all checks that need no training."""
    model = build_model(request.recipe, check_device(machine.device))
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    total = num_parameters(model)
    if not isinstance(request.recipe.data, EventWorldStreamData):
        dataset = recipe_dataset(request.recipe, request.base_dir, machine.cache_dir)
        data = f"{len(dataset.splits[TRAIN])} triplets"
    else:
        data = "a stream of triplets"
    summary = f"would train {trained:,} of {total:,} parameters on {data} into {request.run_dir}"
    return TrainReport(request.run_dir, None, 0, 0, None, 0.0, summary)
