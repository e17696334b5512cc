"""Trackers that show a training's curves: TensorBoard, Weights & Biases and trackio."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

from accelerate import PartialState
from accelerate.tracking import GeneralTracker, TensorBoardTracker, TrackioTracker, WandBTracker

from videolatent_cli.errors import SetupError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from videolatent_cli.pipeline.runs.run_dir import RunDir
    from videolatent_cli.training.loop import StepResult

_PROJECT = "videolatent"
"""Name of the project that runs appear in."""


def _tensorboard(run: RunDir, first_step: int) -> GeneralTracker:
    return TensorBoardTracker("tensorboard", run.path, purge_step=first_step + 1)


def _wandb(run: RunDir, first_step: int) -> GeneralTracker:
    del first_step  # the service keeps its own steps and continues after them
    return WandBTracker(_PROJECT, name=run.name, id=run.name, dir=run.path, resume="allow")


def _trackio(run: RunDir, first_step: int) -> GeneralTracker:
    del first_step
    return TrackioTracker(_PROJECT, name=run.name, resume="allow")


_MAKERS = {"tensorboard": _tensorboard, "wandb": _wandb, "trackio": _trackio}


def check_trackers(names: Sequence[str]) -> None:
    """Check that trackers can be used, before anything expensive is done.

    Raises:
        UsageError: For an unknown name.
        SetupError: If the package of a tracker is missing.
    """
    for name in names:
        if name not in _MAKERS:
            raise UsageError(f"--track: must be one of {', '.join(_MAKERS)}, got '{name}'")
        if find_spec(name) is None:
            raise SetupError(f"--track: {name} is missing; pip install {name}")


@contextmanager
def open_trackers(
    names: Sequence[str], run: RunDir, first_step: int
) -> Iterator[Callable[[StepResult], None]]:
    """Yield a function that sends a step to all trackers; close the trackers at the end.

    Args:
        names: Names of the trackers.
        run: Run folder, claimed; its unique name is the run's name in the tracker.
        first_step: Number of steps done before; TensorBoard drops its records of later steps.
    """
    with ExitStack() as stack:
        trackers = [_MAKERS[name](run, first_step) for name in names]
        if trackers:
            PartialState()  # the logger of accelerate's trackers requires it
        for tracker in trackers:
            tracker.main_process_only = False  # only the first process opens trackers anyway
            tracker.start()
            stack.callback(tracker.finish)

        def track(result: StepResult) -> None:
            for tracker in trackers:
                tracker.log(values_of(result), step=result.step)

        yield track


def values_of(result: StepResult) -> dict[str, float]:
    """Return the values of a step by the name of their curve."""
    return {
        "loss": result.loss,
        **{f"loss/{name}": value for name, value in result.parts.items()},
        **{f"latents/{name}": value for name, value in result.latents.items()},
        "learning_rate": result.learning_rate,
        "grad_norm": result.grad_norm,
        "tokens_per_second": result.num_tokens / result.seconds,
        "peak_memory_bytes": result.peak_memory_bytes,
    }
