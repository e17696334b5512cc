"""Trained models are opened only with the sampling that they were trained with."""

import json
import shutil
from pathlib import Path

import pytest

from videolatent_cli.errors import IncompatibleError, SetupError
from videolatent_cli.pipeline.runs.trained_model import open_model
from videolatent_cli.pipeline.train import TrainReport


def test_another_sampling_is_refused(trained: TrainReport, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(trained.run_dir, copy)
    path = next((copy / "checkpoints").glob("*/checkpoint.json"))
    about = json.loads(path.read_text())
    about["sampling"]["max_frames"] = 99
    path.write_text(json.dumps(about))
    with pytest.raises(
        IncompatibleError,
        match=r"was trained with sampling .* \(max_frames 99 and 32\); train again",
    ):
        open_model(copy)


def test_a_run_without_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="holds no checkpoint; train it with: vl train"):
        open_model(tmp_path)
