"""Curves of a training in TensorBoard, Weights & Biases or trackio, beside the run's own log."""

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


def _tensorboard(run: RunDir, first_step: int) -> GeneralTracker:
    return TensorBoardTracker("tensorboard", run.path, purge_step=first_step + 1)


def _wandb(run: RunDir, first_step: int) -> GeneralTracker:
    del first_step  # it goes on after the last step that it has
    return WandBTracker(_PROJECT, name=run.name, id=run.name, dir=run.path, resume="allow")


def _trackio(run: RunDir, first_step: int) -> GeneralTracker:
    del first_step
    return TrackioTracker(_PROJECT, name=run.name, resume="allow")


_MAKERS = {"tensorboard": _tensorboard, "wandb": _wandb, "trackio": _trackio}


def check_trackers(names: Sequence[str]) -> None:
    """Look whether trackers can be used, before anything expensive is done.

    Raises:
        UsageError: For an unknown name.
        SetupError: For one whose package is missing.
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
    """Yield what hands a step to all trackers; they are closed at the end.

    Args:
        names: Which.
        run: Run folder, claimed; its name is the run's name there.
        first_step: Steps done before; TensorBoard then drops what it has of later ones.
    """
    with ExitStack() as stack:
        trackers = [_MAKERS[name](run, first_step) for name in names]
        if trackers:
            PartialState()  # accelerate's trackers write a log that asks for it
        for tracker in trackers:
            tracker.main_process_only = False  # only the first process has any
            tracker.start()
            stack.callback(tracker.finish)

        def track(result: StepResult) -> None:
            for tracker in trackers:
                tracker.log(values_of(result), step=result.step)

        yield track


def values_of(result: StepResult) -> dict[str, float]:
    """Return a step as flat curves."""
    return {
        "loss": result.loss,
        **{f"loss/{name}": value for name, value in result.parts.items()},
        **{f"latents/{name}": value for name, value in result.latents.items()},
        "learning_rate": result.learning_rate,
        "grad_norm": result.grad_norm,
        "tokens_per_second": result.num_tokens / result.seconds,
        "peak_memory_bytes": result.peak_memory_bytes,
    }
