"""Curves outside the run folder: the same numbers as in the run's own log."""

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.factories import make_recipe
from videolatent_cli.errors import SetupError, UsageError
from videolatent_cli.pipeline.runs import trackers
from videolatent_cli.pipeline.runs.run_dir import RunDir
from videolatent_cli.pipeline.runs.trackers import check_trackers
from videolatent_cli.pipeline.train import TrainRequest, train
from videolatent_cli.runtime.machine import Machine
from videolatent_cli.training.loop import StepResult


def test_tensorboard_shows_the_log_also_after_a_resume(
    small_folder: Path, cache_dir: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    recipe = make_recipe(small_folder)
    request = TrainRequest(recipe, "source: text\n", run, tmp_path, trackers=("tensorboard",))

    def stop(result: StepResult) -> None:
        if result.step == 3:  # one after the checkpoint: it is trained again
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(request, Machine(cache_dir), on_step=stop)
    train(request, Machine(cache_dir))
    shown = EventAccumulator(str(run / "tensorboard")).Reload()
    log = list(RunDir(run).read_log())
    assert [line["step"] for line in log] == [1, 2, 3, 4]
    for name, values in {
        "loss": [line["loss"] for line in log],
        "loss/answer": [line["parts"]["answer"] for line in log],
        "latents/scale": [line["latents"]["scale"] for line in log],
        "learning_rate": [line["learning_rate"] for line in log],
    }.items():
        events = shown.Scalars(name)
        assert [event.step for event in events] == [1, 2, 3, 4]
        assert [event.value for event in events] == pytest.approx(values)


def test_trackers_are_checked_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_trackers(["tensorboard"])
    with pytest.raises(UsageError, match="must be one of tensorboard, wandb, trackio, got 'tb'"):
        TrainRequest(make_recipe("tiny"), "", tmp_path, tmp_path, trackers=("tb",))
    monkeypatch.setattr(trackers, "find_spec", lambda name: None)
    with pytest.raises(SetupError, match="wandb is missing; pip install wandb"):
        check_trackers(["wandb"])
